"""The data sets ``NH2015`` and ``B2021``: voxels of human auditory cortex, three scans of each natural sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.interfaces import DataFiles, DatasetPlugin
from isocortex_nh2015 import release
from isocortex_nh2015.voxel_files import (
    FUNCTIONAL,
    N_SCANS,
    POSITION,
    compare_masks,
    compare_positions,
    coordinates_of,
    read_array,
    read_stimulus_names,
    read_stimulus_order,
    read_voxels,
    scans_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from isocortex.data import Dataset, StimulusSet

UNITS: Final = "voxel response, as released"


class _Voxels(DatasetPlugin):
    """What the two data sets share."""

    #: the data set of the release whose files these are, whatever the row is called
    of_release: ClassVar[str]

    def fetch(self, source: Path | None = None) -> list[Path]:
        """Bring in the files of the release from a folder; nothing is downloaded, as no checksum is published.

        Raises
        ------
        FilesError
            If they are neither here nor in the folder; the message says how to get them.
        """
        return release.fetch(self.of_release, source)

    def _files(self, files: DataFiles) -> DataFiles:
        return files or release.present(self.of_release)

    def _dataset(
        self, stimuli: StimulusSet, ids: tuple[str, ...], scans: NDArray[Any], neuroid: dict[str, list[Any]]
    ) -> Dataset:
        from isocortex.data import Dataset, make_responses

        responses = make_responses(scans, ids, neuroid=neuroid, units=UNITS)
        attrs = {"units": UNITS, "licence": self.card.licence, "reference": self.card.reference}
        return Dataset(self.card.id, stimuli, responses=responses, attrs=attrs)


class NH2015Voxels(_Voxels):
    """7,694 voxels of eight participants that heard every sound in three scans."""

    of_release = "NH2015"

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set of the voxels with three repetitions; rows are matched by stimulus, columns by voxel.

        Parameters
        ----------
        files
            ``neural_stim_meta.npy``, ``voxel_features_array.npy``, ``voxel_features_meta.npy``, ``df_roi_meta.pkl``
            and, to be compared with it, ``roi_masks.cpy``; without any, those that were brought in before.
        stimuli
            The 165 sounds.

        Raises
        ------
        AlignmentError
            If responses and stimuli, or responses and descriptions of voxels, are not about the same.
        DataError
            If a file has other contents than expected.
        FilesError
            If the files were not brought in yet, or have changed since.
        """
        files = self._files(files)
        ids = read_stimulus_order(files.named("neural_stim_meta.npy"))
        voxels = read_array(files.named("voxel_features_meta.npy"), ("voxel_id", "n_reps", *POSITION))
        kept = np.asarray(voxels["n_reps"] == N_SCANS)
        array = files.named("voxel_features_array.npy")
        values = read_array(array)
        if len(values) != len(ids):
            raise DataError(f"{array}: expected a row for each of {len(ids)} stimuli, found shape {values.shape}.")
        scans = scans_of(values, len(ids), kept, str(array))
        table = read_voxels(files.named("df_roi_meta.pkl"), voxels["voxel_id"][kept], FUNCTIONAL)
        compare_positions(voxels[kept], table)
        if any(name.endswith("roi_masks.cpy") for name in files):
            compare_masks(files.named("roi_masks.cpy"), table)
        return self._dataset(stimuli, ids, scans, coordinates_of(table, self.card.id, FUNCTIONAL))


class B2021Voxels(_Voxels):
    """26,792 voxels of twenty participants; of 192 sounds the 165 of NH2015 are used."""

    of_release = "B2021"

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set of the first rows, which must be the stimuli; columns are matched by voxel.

        Parameters
        ----------
        files
            ``stim_info_v4.mat``, ``voxel_features_array.npy``, ``voxel_features_meta.npy`` and ``df_roi_meta.pkl``;
            without any, those that were brought in before.
        stimuli
            The 165 sounds.

        Raises
        ------
        AlignmentError
            If the first rows are not the stimuli, or responses and descriptions of voxels are not about the same.
        DataError
            If a file has other contents than expected.
        FilesError
            If the files were not brought in yet, or have changed since.
        """
        files = self._files(files)
        names = read_stimulus_names(files.named("stim_info_v4.mat"))
        ids = names[: len(stimuli)]
        absent = [name for name in stimuli.ids if name not in ids]
        if absent:
            raise AlignmentError(
                f"The first {len(ids)} of the {len(names)} stimuli in stim_info_v4.mat must be those of "
                f"{stimuli.id!r}; {len(absent)} are not among them: {shorten(absent)}."
            )
        voxel_id = read_array(files.named("voxel_features_meta.npy"))
        if voxel_id.ndim != 1 or voxel_id.dtype.kind not in "iu":
            raise DataError(f"voxel_features_meta.npy of B2021: expected whole numbers, found {voxel_id.dtype}.")
        array = files.named("voxel_features_array.npy")
        values = read_array(array)
        if len(values) != len(names):
            raise DataError(f"{array}: expected a row for each of {len(names)} stimuli, found shape {values.shape}.")
        scans = scans_of(values, len(ids), np.ones(len(voxel_id), dtype=bool), str(array))
        table = read_voxels(files.named("df_roi_meta.pkl"), voxel_id)
        return self._dataset(stimuli, ids, scans, coordinates_of(table, self.card.id))
