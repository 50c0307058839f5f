from .cached import Extraction as Extraction
from .extractor import CHUNK_SIZE as CHUNK_SIZE, activations_in_memory as activations_in_memory
