from .plan import RunConfig as RunConfig
from .runner import Outcome as Outcome
