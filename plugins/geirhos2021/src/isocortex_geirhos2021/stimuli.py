"""Stimuli: pictures where they can be shown to a model, and names alone where only decisions are stored."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from isocortex.errors import DataError, shorten
from isocortex.interfaces import DataFiles, StimuliPlugin
from isocortex_geirhos2021.conditions import DATA_SETS, counts
from isocortex_geirhos2021.decisions import CUE_CONFLICT, image_name, one_table, read_compact, read_trials, texture_of
from isocortex_geirhos2021.source_files import DECISIONS, PICTURES, present

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from isocortex.data import StimulusSet

#: of a card that names none
_ALL: Final = list(DATA_SETS)


def stored_decisions(data_sets: Sequence[str]) -> pd.DataFrame:
    """Decisions that were brought here, of some of the data sets; machines among the observers where the files say so.

    Raises
    ------
    FilesError
        They were not brought yet.
    DataError
        They are other than expected, or none are of one of the data sets.
    """
    files = present(DECISIONS)
    if "categories.npy" in files:
        return one_table([read_compact(files, data_sets)])
    wanted = {name: path for name, path in files.items() if PurePosixPath(name).parent.name in data_sets}
    absent = sorted(set(data_sets) - {PurePosixPath(name).parent.name for name in wanted})
    if absent:
        raise DataError(f"There are no trials of {len(absent)} of {len(data_sets)} data sets: {shorten(absent, 17)}.")
    return one_table(read_trials(path, PurePosixPath(name).parent.name) for name, path in wanted.items())


def table_of(decisions: pd.DataFrame) -> pd.DataFrame:
    """What is known of pictures that count: ``data_set``, ``condition``, ``truth``; of the cue conflict ``texture``.

    The index is ``stimulus_id``, sorted as text.
    """
    known = decisions.drop_duplicates("stimulus_id").set_index("stimulus_id").sort_index()
    known = known[[counts(*pair) for pair in zip(known["data_set"], known["condition"], strict=True)]]
    table = known[["data_set", "condition"]].assign(truth=known["category"])
    if (table["data_set"] == CUE_CONFLICT).all():
        table = table.assign(texture=[texture_of(name) for name in table.index])
    return table


class StoredStimuli(StimuliPlugin):
    """Pictures of which only names are here: stored decisions can be scored on them, and nothing can look at them.

    ``options.data_sets`` of the row names some of the 17, default all. In the place of a picture stands its name.
    """

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set of all pictures under conditions that count, sorted by ``stimulus_id``.

        Raises
        ------
        FilesError
            The decisions were not brought yet.
        DataError
            They are other than expected.
        """
        from isocortex.data import Stimulus, StimulusSet

        del files
        table = table_of(stored_decisions(self.card.options.get("data_sets", _ALL)))
        sources = {
            name: Stimulus(name, self.card.modality, np.frombuffer(name.encode(), dtype=np.uint8))
            for name in table.index
        }
        return StimulusSet(self.card.id, self.card.modality, sources, table=table)


class Pictures(StimuliPlugin):
    """The pictures of one data set, ``options.data_set`` of the row."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set of the pictures that are here, sorted by ``stimulus_id``.

        Where some are absent the set is smaller, and says so.

        Raises
        ------
        FilesError
            Pictures or decisions were not brought yet.
        DataError
            A picture that no decision is about, or two files of one picture.
        """
        from isocortex.data import StimulusSet

        del files
        data_set = str(self.card.options["data_set"])
        table = table_of(stored_decisions([data_set]))
        paths = {}
        for name, path in present(PICTURES[data_set]).items():
            stimulus = f"{data_set}/{image_name(PurePosixPath(name).name)}"
            if stimulus in paths or stimulus not in table.index:
                why = "is there twice" if stimulus in paths else "is a picture that no decision is about"
                raise DataError(f"{name} of the {PICTURES[data_set].what} {why}. Bring the published pictures alone.")
            paths[stimulus] = path
        absent = [name for name in table.index if name not in paths]
        said = [
            f"{len(absent)} of {len(table)} {PICTURES[data_set].what} are not here ({shorten(absent)}): scores are "
            f"over the other {len(paths)}."
        ]
        kept = table.loc[[name for name in table.index if name in paths]]
        sources = {name: paths[name] for name in kept.index}
        return StimulusSet(self.card.id, self.card.modality, sources, table=kept, warnings=said if absent else ())
