from .dataset import (
    Dataset as Dataset,
    averaged as averaged,
    make_responses as make_responses,
    repetitions as repetitions,
    stimulus_order as stimulus_order,
)
from .gaps import Gaps as Gaps, close_gaps as close_gaps
from .media import resample as resample
from .pictures import read_image as read_image
from .response_checks import check_responses as check_responses
from .sounds import read_audio as read_audio
from .stimuli import Stimulus as Stimulus, StimulusBatch as StimulusBatch, StimulusSet as StimulusSet
from .stimulus_labels import labels_of_stimuli as labels_of_stimuli
