from .checkpoints import (
    Checkpoint as Checkpoint,
    adopt_checkpoint as adopt_checkpoint,
    checkpoint_in as checkpoint_in,
    find_checkpoint as find_checkpoint,
    find_or_download_checkpoint as find_or_download_checkpoint,
    named_checkpoint as named_checkpoint,
    own_folder_of as own_folder_of,
    tensor_shapes as tensor_shapes,
)
from .torch_model import TorchModel as TorchModel, TorchRecipe as TorchRecipe, first_tensor as first_tensor
from .variants import load_state as load_state, read_state as read_state
