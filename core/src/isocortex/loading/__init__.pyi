from .by_name import (
    load_card as load_card,
    load_cards as load_cards,
    load_dataset as load_dataset,
    load_metric as load_metric,
    load_model as load_model,
    load_stimuli as load_stimuli,
    model_digest as model_digest,
)
from .resolver import Resolver as Resolver
