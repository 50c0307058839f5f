"""How a training tells how far it is, and goes on after a kill at the end of an epoch."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import FilesError
from isocortex.files.disk import folder_name
from isocortex.files.sealed import believed, write_sealed
from isocortex.progress import lasting
from isocortex.training.fitted import read_tensors, write_tensors
from isocortex.training.tensor_trees import put_together, taken_apart

if TYPE_CHECKING:
    from isocortex.progress import Reporter

RECORD = "epoch.json"


class Journal:
    """A folder with the last finished epoch of every part of a training, and the progress of all of them.

    Parameters
    ----------
    folder
        Its own; what lies there of an earlier, killed training is gone on with.
    reporter
        Told how far it is; None: nobody.
    name
        What is trained, for whoever waits.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> Journal(folder).part("rate 0.1", n_epochs=2).keep({"step": 1}, loss=0.5)
    >>> again = Journal(folder).part("rate 0.1", n_epochs=2)
    >>> again.n_done, again.state, again.curves
    (1, {'step': 1}, {'loss': [0.5]})
    """

    def __init__(self, folder: Path, reporter: Reporter | None = None, name: str = "training") -> None:
        self.folder, self.reporter, self.name = folder, reporter, name
        self._n_expected = self._n_done = self._n_found = 0
        self._started = time.monotonic()

    def expect(self, n_epochs: int) -> None:
        """Say how many epochs there will be, of all parts together."""
        self._n_expected = n_epochs

    def part(self, name: str, n_epochs: int) -> Part:
        """One run of several epochs: a point of a grid, a stage; a part of one name is the same one."""
        found = Part(self, name, n_epochs)
        self._n_done += found.n_done
        self._n_found += found.n_done
        return found

    def tell(self, part: Part) -> None:
        """An epoch has ended."""
        self._n_done += 1
        total = max(self._n_expected, self._n_done)
        if self.reporter is None:
            return
        computed = self._n_done - self._n_found
        left = (time.monotonic() - self._started) / computed * (total - self._n_done)
        last = ", ".join(f"{name} {values[-1]:.3g}" for name, values in part.curves.items())
        if self._n_done in (1, total) or computed == 1:
            self.reporter.line(f"{self.name}: {part.name}, {last}; about {lasting(left)} left")
        self.reporter.step(f"{self.name}: epoch", self._n_done, total)


class Part:
    """One run of several epochs, and the last of them that has ended.

    Attributes
    ----------
    n_done
        Epochs that have ended; ``n_epochs`` where it was finished before.
    state
        What ``keep`` was given at the end of the last one: nested lists and dictionaries of numpy arrays, numbers and
        texts; None where none has ended.
    curves
        One value for each epoch that has ended, by name.
    """

    def __init__(self, journal: Journal, name: str, n_epochs: int) -> None:
        self.name, self.n_epochs = name, n_epochs
        self._journal, self._folder = journal, journal.folder / folder_name(name)
        self.n_done, self.state, self.curves = 0, None, dict[str, list[float]]()
        record = believed(self._folder / RECORD)
        if record.get("n_epochs") == n_epochs:  # another length is another training
            with suppress(FilesError):  # what is damaged is trained again
                place = self._folder / f"epoch-{record['n_done']}.safetensors"
                self.state: Any = put_together(read_tensors(place, str(record["state_sha256"])), record["rest"])
                self.n_done, self.curves = int(record["n_done"]), record["curves"]

    @property
    def finished(self) -> bool:
        """Whether all epochs have ended."""
        return self.n_done >= self.n_epochs

    def keep(self, state: Any, **values: float) -> None:
        """End an epoch: its state and one value for each curve, whole on disk before it is told.

        Raises
        ------
        DataError
            A state that holds what is no array, number, text, list or dictionary, or arrays that are not finite.
        StoreError
            It cannot be written.
        """
        for name, value in values.items():
            self.curves.setdefault(name, []).append(float(value))
        self.n_done, self.state = self.n_done + 1, state
        arrays, rest = taken_apart(state)
        place = self._folder / f"epoch-{self.n_done}.safetensors"
        digest = write_tensors(place, arrays)
        record = {"n_epochs": self.n_epochs, "n_done": self.n_done, "curves": self.curves, "rest": rest}
        write_sealed(self._folder / RECORD, {**record, "state_sha256": digest})
        for older in self._folder.glob("epoch-*.safetensors"):  # the record names the new one from here on
            if older != place:
                older.unlink(missing_ok=True)
        self._journal.tell(self)
