"""The data sets ``Cowley2023.SESSION``: spike counts of V4 neurons in 100 ms, as single trials or as means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from isocortex.errors import AlignmentError
from isocortex.interfaces import DataFiles, DatasetPlugin
from isocortex_cowley2023.images import stimulus_ids
from isocortex_cowley2023.responses import read_means, read_trials
from isocortex_cowley2023.source_files import bring, only, present

if TYPE_CHECKING:
    from isocortex.data import Dataset, Gaps, StimulusSet

UNITS = "spikes in 100 ms"


def neuroid_ids(session: str, n_neurons: int) -> list[str]:
    """``190923.neuron0``, …: the numbers by which the authors name the networks of neurons.

    Examples
    --------
    >>> neuroid_ids("190923", 2)
    ['190923.neuron0', '190923.neuron1']
    """
    return [f"{session}.neuron{number}" for number in range(n_neurons)]


class V4Responses(DatasetPlugin):
    """A session: ``options`` of the row name it, its kind ("trials" or "mean"), animal, and number of neurons."""

    def fetch(self, source: Path | None = None) -> list[Path]:
        """Bring responses and images, from a folder or from the authors' repository.

        Raises
        ------
        FilesError
            They are not to be had, or differ from what was expected.
        """
        session = self._option("session")
        return [
            path
            for part in (self._option("kind"), "images")
            for path in bring(f"{part} {session}", source, offline=self.offline)
        ]

    def load(self, files: DataFiles, stimuli: StimulusSet) -> Dataset:
        """Make the data set: presentations by trials, NaN where a trial was not shown; coordinates region and subject.

        Parameters
        ----------
        files
            The file of responses; without any, the one that was brought before.
        stimuli
            The images; ``options.gaps`` of the row says what is done with those of which a neuron has no trial.

        Raises
        ------
        AlignmentError
            Other stimuli than the session's.
        DataError
            The file has other contents than expected.
        FilesError
            It was not brought yet.
        """
        from isocortex.data import Dataset, make_responses

        session, kind = self._option("session"), self._option("kind")
        ids = stimulus_ids(len(stimuli))
        if list(stimuli.ids) != ids:
            raise AlignmentError(
                f"Column k of the responses is image k; {stimuli.id!r} has other images than 1 to {len(ids)}."
            )
        path = only(files or present(f"{kind} {session}"), kind)
        n_neurons = int(self.card.options["n_neurons"])
        values = (read_trials if kind == "trials" else read_means)(path, n_neurons, len(ids))
        about: dict[str, list[Any]] = {
            "neuroid_id": neuroid_ids(session, n_neurons),
            "region": ["V4"] * n_neurons,
            "subject": [self._option("animal")] * n_neurons,
        }
        attrs = {"units": UNITS, "licence": self.card.licence, "reference": self.card.reference}
        return Dataset(
            self.card.id,
            stimuli,
            responses=make_responses(values, ids, neuroid=about, units=UNITS),
            attrs=attrs,
            gaps=cast("Gaps", str(self.card.options.get("gaps", "refuse"))),
        )

    def _option(self, name: str) -> str:
        return str(self.card.options[name])
