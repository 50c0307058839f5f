"""The data sets: the tables of the published tutorial, and recordings that are split into trials or taken whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex.interfaces import DataFiles, DatasetPlugin
from isocortex.typing import Array
from isocortex_allen2p import placed_files, trial_files
from isocortex_allen2p.cells import CellTable, coordinates_of, warnings_of
from isocortex_allen2p.tables import join, of_images, read_cells, read_responses
from isocortex_allen2p.trials import Selection, halves_of

if TYPE_CHECKING:
    from isocortex.data import Dataset, StimulusSet

UNITS_OF_TABLES: Final = "mean response, as published"
UNITS_OF_TRIALS: Final = "mean dF/F over 14 frames from the onset of a scene on"


class _MouseCortex(DatasetPlugin):
    """What the data sets share."""

    def _dataset(
        self, stimuli: StimulusSet, responses: Sequence[Array], cells: CellTable, units: str, warnings: Sequence[str]
    ) -> Dataset:
        """Responses as (n_images, n_cells), one or several repetitions of them."""
        from isocortex.data import Dataset, make_responses

        neuroid = coordinates_of(cells, int(self.card.options.get("subset_seed", 0)))
        values = np.stack(responses)
        found = make_responses(values if len(values) > 1 else values[0], stimuli.ids, neuroid=neuroid, units=units)
        attrs = {"units": units, "licence": self.card.licence, "reference": self.card.reference}
        return Dataset(self.card.id, stimuli, responses=found, attrs=attrs, warnings=tuple(warnings))


class TableCells(_MouseCortex):
    """Mean responses over all trials, and what is known of the cells, as the published tutorial has them."""

    def fetch(self, source: Path | None = None) -> list[Path]:
        """Bring in the tables from a folder; nothing is downloaded, as they have no address with a checksum.

        Raises
        ------
        FilesError
            They are neither here nor in the folder, or others are here already.
        """
        if source is not None:
            placed_files.bring_tables(source)
        return list(placed_files.tables().values())

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set; where the average is absent, the means of odd and even trials are two repetitions.

        Parameters
        ----------
        files
            ``cell_metadata_mini.csv``, and ``cell_response_average.csv`` or those of odd and even trials; without any,
            what was brought in before.
        stimuli
            The images of ``stimulus_set.npy``.

        Raises
        ------
        AlignmentError
            Tables of different cells, or columns that do not fit the images.
        DataError
            A table holds something else.
        FilesError
            They were not brought in yet, or have changed since.
        """
        files = files or placed_files.tables()
        names = {Path(name).name for name in files}
        average = placed_files.AVERAGE in names
        wanted = [files.named(name) for name in ([placed_files.AVERAGE] if average else placed_files.HALVES)]
        cells_path = files.named(placed_files.METADATA)
        described, said = read_cells(cells_path)
        tables = {path: read_responses(path) for path in wanted}
        rows, cells, left_out = join(described, cells_path, tables)
        said += left_out
        blank = [word == "yes" for word in stimuli.table["blank"]]
        responses: list[Array] = []
        for (path, table), places in zip(tables.items(), rows, strict=True):
            values, of_columns = of_images(table, path, blank)
            responses.append(values[places].T)
            said += of_columns
        if not average:
            said.append(f"{placed_files.AVERAGE} is absent: the means of odd and even trials are two repetitions.")
        said += warnings_of(cells, "all trials, the scored ones among them,")
        return self._dataset(stimuli, responses, cells, UNITS_OF_TABLES, said)


class TrialCells(_MouseCortex):
    """Recordings, trial by trial: odd presentations of a scene select cells, even ones are scored; or all do both."""

    def fetch(self, source: Path | None = None) -> list[Path]:
        """Read the NWB files below a folder and keep their trials; nothing is downloaded.

        Raises
        ------
        FilesError
            There are no recordings of natural scenes, neither here nor in the folder.
        DataError
            Recordings that cannot be used.
        """
        return trial_files.experiments() if source is None else trial_files.bring_recordings(source)

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set; the scored presentations are averaged in two halves, which are its repetitions.

        Memory: one recording, and two float32 values for each scene and cell.

        Raises
        ------
        DataError
            Recordings with other scenes, a cell in two of them, or too few presentations of a scene.
        FilesError
            None were brought in yet, or one has changed since.
        """
        del files
        selection = Selection(of_all=self.card.options.get("trials", "split") == "all")
        parts = [halves_of(recording, len(stimuli), selection) for recording in trial_files.recordings()]
        cells = CellTable.together([part.cells for part in parts])
        twice = [name for name, count in Counter(cells.cell_id).items() if count > 1]
        if twice:
            raise DataError(f"{len(twice)} cells are in two recordings: {shorten(twice)}. Keep one of a session.")
        said = selection.warnings(parts) + warnings_of(cells, selection.selected_on)
        halves = [np.concatenate([part.halves[number] for part in parts], axis=1) for number in range(2)]
        return self._dataset(stimuli, halves, cells, UNITS_OF_TRIALS, said)
