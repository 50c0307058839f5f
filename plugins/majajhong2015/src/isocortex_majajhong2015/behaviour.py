"""The data set ``Rajalingham2018public``: which of two objects people took an image for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isocortex.interfaces import DataFiles, DatasetPlugin
from isocortex_majajhong2015.assembly import PRESENTATION, texts_along

if TYPE_CHECKING:
    from isocortex.data import Dataset, StimulusSet

FILE: Final = "assy_dicarlo_Rajalingham2018_public.nc"
NEEDED: Final = ("sample_obj", "dist_obj", "choice")
#: what a worker may be called by; kept as ``subject``
WORKERS: Final = ("WorkerId", "worker_id", "workerid", "subject")


class PublicBehaviour(DatasetPlugin):
    """Match to sample: an image for 100 ms, then a choice between its object and another one."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set: one row per trial, in the order of the file, which decides the halves of i2n.

        Memory: the trials as words, about 0.4 GB for the 585,511 published ones.

        Raises
        ------
        AlignmentError
            Trials of other images.
        DataError
            The file is damaged, or lacks what was shown or chosen.
        """
        import pandas as pd

        from isocortex.data import Dataset

        found = texts_along(files.named(FILE), PRESENTATION, ("stimulus_id", *NEEDED))
        kept = ["stimulus_id", *NEEDED, *(["truth"] if "truth" in found else [])]
        trials = pd.DataFrame({name: found[name] for name in kept})
        worker = next((name for name in WORKERS if name in found), None)
        if worker is not None:
            trials["subject"] = found[worker].astype(str)
        attrs = {"visual_degrees": 8, "licence": self.card.licence, "reference": self.card.reference}
        return Dataset(self.card.id, stimuli, trials=trials, attrs=attrs)
