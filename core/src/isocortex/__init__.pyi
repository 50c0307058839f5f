from .api import compare as compare, results as results, score as score
from .loading import (
    load_dataset as load_dataset,
    load_metric as load_metric,
    load_model as load_model,
    load_stimuli as load_stimuli,
)
from .planning import RunConfig as RunConfig
from .wrapping import wrap as wrap

__version__: str
