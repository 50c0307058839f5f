from .torch_model import TorchModel as TorchModel, TorchRecipe as TorchRecipe, first_tensor as first_tensor
from .variants import load_state as load_state, read_state as read_state
