from .array_api import namespace as namespace
from .folder import ActivationFolder as ActivationFolder
from .layer import Activations as Activations
from .layer_names import match_layers as match_layers
from .output import Emit as Emit, LayerOutput as LayerOutput
from .reductions import reduce_output as reduce_output
