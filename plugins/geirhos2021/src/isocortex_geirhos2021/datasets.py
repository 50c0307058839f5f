"""The data sets: what people decided about the pictures of a stimulus set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.interfaces import DataFiles, DatasetPlugin
from isocortex_geirhos2021.conditions import DATA_SETS, counts
from isocortex_geirhos2021.decisions import is_person
from isocortex_geirhos2021.source_files import DECISIONS, PICTURES, bring
from isocortex_geirhos2021.stimuli import stored_decisions

if TYPE_CHECKING:
    from isocortex.data import Dataset, StimulusSet


class HumanDecisions(DatasetPlugin):
    """Trials of people, one decision each; machines are models.

    ``options.data_sets`` of the row names some of the 17, default all.
    """

    @property
    def data_sets(self) -> list[str]:
        """Names of the data sets."""
        return list(self.card.options.get("data_sets", DATA_SETS))

    def fetch(self, source: Path | None = None) -> list[Path]:
        """Bring decisions and, where the stimuli are pictures, those from a folder; nothing is downloaded.

        Raises
        ------
        FilesError
            They are neither here nor in the folder; the message says how to get them.
        """
        parts = [DECISIONS, *([PICTURES[name] for name in self.data_sets] if self.card.options.get("pictures") else [])]
        return [path for part in parts for path in bring(part, source)]

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set: columns ``stimulus_id``, ``subject`` and ``choice``; the rest is the stimuli's table.

        Raises
        ------
        FilesError
            The decisions were not brought yet.
        DataError
            They are other than expected.
        """
        from isocortex.data import Dataset

        del files
        table = stored_decisions(self.data_sets)
        people = table[[is_person(name) for name in table["observer"]]]
        counted = [counts(*pair) for pair in zip(people["data_set"], people["condition"], strict=True)]
        n_left_out = len(people) - sum(counted)
        said = (
            f"{n_left_out:,} of {len(people):,} trials of people are left out by the benchmark's own rules: conditions "
            "without manipulation, and those under which people are right in less than 20 % of the trials.",
        )
        people = people[counted]
        shown = people[people["stimulus_id"].isin(stimuli.ids)]
        trials = shown.rename(columns={"observer": "subject", "decision": "choice"})
        return Dataset(
            self.card.id,
            stimuli,
            trials=trials[["stimulus_id", "subject", "choice"]].reset_index(drop=True),
            attrs={"licence": self.card.licence, "reference": self.card.reference},
            warnings=said if n_left_out else (),
        )
