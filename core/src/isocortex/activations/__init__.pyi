from .array_api import namespace as namespace
from .layer import Activations as Activations
from .reductions import reduce_output as reduce_output
