from .alone import Alone as Alone, training_alone as training_alone
from .fitted import Fitted as Fitted, read_fitted as read_fitted, write_fitted as write_fitted
from .journal import Journal as Journal, Part as Part
from .trained_on import TrainedOn as TrainedOn
