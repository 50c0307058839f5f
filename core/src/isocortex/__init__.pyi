from .api import compare as compare, extract as extract, score as score
from .catalogue.rows import installed_once as installed_once
from .loading.by_name import (
    load_card as load_card,
    load_cards as load_cards,
    load_dataset as load_dataset,
    load_metric as load_metric,
    load_model as load_model,
    load_stimuli as load_stimuli,
    model_digest as model_digest,
)
from .models.wrap import wrap as wrap
from .results.reading import kept as kept, layers as layers, results as results, scores as scores
from .run.plan import RunConfig as RunConfig
from .run.rerun import rerun as rerun

__version__: str
