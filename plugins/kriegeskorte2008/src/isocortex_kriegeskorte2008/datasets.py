"""The data sets ``Kriegeskorte2008.human-IT`` and ``Kriegeskorte2008.monkey-IT``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.interfaces import DataFiles, DatasetPlugin
from isocortex_kriegeskorte2008.images import IMAGE_FILE
from isocortex_kriegeskorte2008.rdms import pair_indices, read_published_rdms, read_subject_rdms

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.data import Dataset, StimulusSet

BRAIN_FILE = "92_brainRDMs.mat"
UNITS = "1 - Pearson correlation"
GROUP = "group"


def rdm_array(
    dissimilarity: NDArray[np.float64],
    stimuli: StimulusSet,
    subject: tuple[str, ...],
    session: tuple[int, ...] | None = None,
) -> xr.DataArray:
    """Label dissimilarities with their participants, sessions and pairs of stimuli.

    Parameters
    ----------
    dissimilarity
        (n_subjects, n_pairs) or (n_subjects, n_sessions, n_pairs), pairs in row-major order.
    stimuli
        Stimuli in the order of the rows of the matrices.
    subject, session
        Names along the first dimensions.

    Raises
    ------
    AlignmentError
        If there are not n(n-1)/2 pairs for n stimuli.
    """
    import xarray as xr

    n_pairs = len(stimuli) * (len(stimuli) - 1) // 2
    if dissimilarity.shape[-1] != n_pairs:
        raise AlignmentError(
            f"Expected {n_pairs} pairs for the {len(stimuli)} stimuli of {stimuli.id!r}, found "
            f"{dissimilarity.shape[-1]}. The file belongs to other stimuli."
        )
    first, second = pair_indices(len(stimuli))
    names = np.asarray(stimuli.ids, dtype=object)
    coords: dict[str, Any] = {
        "subject": list(subject),
        "stimulus_a": ("pair", names[first]),
        "stimulus_b": ("pair", names[second]),
    }
    if session is None:
        return xr.DataArray(dissimilarity, dims=("subject", "pair"), coords=coords, attrs={"units": UNITS})
    coords["session"] = list(session)
    return xr.DataArray(dissimilarity, dims=("subject", "session", "pair"), coords=coords, attrs={"units": UNITS})


class HumanIT(DatasetPlugin):
    """Human IT, fMRI: 4 participants in 2 sessions each."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set; the RDMs have dims ("subject", "session", "pair").

        Raises
        ------
        AlignmentError
            If the matrices are not of the size of ``stimuli``.
        DataError
            If the file has other contents than expected.
        """
        from isocortex.data import Dataset

        measured = read_subject_rdms(files.named(BRAIN_FILE))
        rdm = rdm_array(measured.dissimilarity, stimuli, measured.subject, measured.session)
        attrs = {"units": UNITS, "licence": self.card.licence, "reference": self.card.reference}
        return Dataset(self.card.id, stimuli, rdm=rdm, attrs=attrs)


class MonkeyIT(DatasetPlugin):
    """Monkey IT: one matrix over 674 neurons of 2 macaques, as published; its one subject is called ``group``."""

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set; the RDM has dims ("subject", "pair") with one subject.

        ``attrs["target"]`` is ``group-mean`` on the RDM and on the data set: it is a result of the group, so that no
        participant can be compared with it and it carries no ceiling.

        Raises
        ------
        AlignmentError
            If the matrix is not of the size of ``stimuli``.
        DataError
            If the file has other contents than expected.
        """
        from isocortex.data import Dataset

        published = read_published_rdms(files.named(IMAGE_FILE))
        names = [name for name in published if name.startswith("mIT")]
        if len(names) != 1:
            raise DataError(
                f"{IMAGE_FILE}: expected one RDM with a name that starts with mIT, found {shorten(published)}."
            )
        rdm = rdm_array(published[names[0]][None], stimuli, (GROUP,))
        rdm.attrs["target"] = "group-mean"
        attrs = {
            "units": UNITS,
            "target": "group-mean",
            "group": "the published matrix over 674 neurons of 2 monkeys together; no matrix per monkey is published",
            "licence": self.card.licence,
            "reference": self.card.reference,
        }
        return Dataset(self.card.id, stimuli, rdm=rdm, attrs=attrs)
