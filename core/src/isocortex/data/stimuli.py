"""Stimuli: IDs in canonical order, lazily read waveforms or images, a table, and a digest over all of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.data.labels import label, labels, text_columns
from isocortex.data.media import READERS, SUFFIXES
from isocortex.data.sounds import notes_on_sounds
from isocortex.data.stimulus_contents import contents_of, equal_groups
from isocortex.display import Displayed, Shown, counted, listed
from isocortex.errors import DataError, shorten
from isocortex.files.digests import digest_array, digest_files, digest_of
from isocortex.files.not_fetched import is_of_the_system, refuse_not_fetched

if TYPE_CHECKING:
    import pandas as pd

    from isocortex.typing import Array


@dataclass(frozen=True, slots=True)
class Stimulus:
    """One stimulus in memory.

    Attributes
    ----------
    array
        audio: (n_samples,) or (n_samples, n_channels) float32 in [-1, 1); image: (height, width, 3) uint8 RGB.
    sample_rate
        Hz for audio, None otherwise.
    """

    id: str
    modality: str
    array: Array
    sample_rate: float | None = None


class StimulusSet(Displayed):
    """Stimuli in their canonical order, read one by one when they are needed.

    Parameters
    ----------
    id
        Name of the set.
    modality
        ``audio``, ``image`` or any other word that models use.
    sources
        ``stimulus_id`` → file, or → array in memory (``Stimulus``); the order of the mapping is the canonical order.
    table
        Optional, indexed by ``stimulus_id``: category and whatever else is known. Missing rows are an error.
    read
        Turns a file into (array, sample rate); by default what ``isocortex.data.media`` has for the modality.
    warnings
        What was dropped, guessed or found odd when the set was made; results keep it.

    Raises
    ------
    DataError
        No stimuli, duplicated IDs, or a table that does not fit them.

    Examples
    --------
    >>> import numpy as np
    >>> silence = Stimulus("silence", "audio", np.zeros(100, dtype=np.float32), 16000.0)
    >>> stimuli = StimulusSet("demo", "audio", {"silence": silence})
    >>> stimuli.ids, len(stimuli.load(0).array)
    (('silence',), 100)
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        modality: str,
        sources: Mapping[str, Path | Stimulus] | Sequence[tuple[str, Path | Stimulus]],
        *,
        table: pd.DataFrame | None = None,
        read: Callable[[Path], tuple[Any, float | None]] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        pairs = list(sources.items()) if isinstance(sources, Mapping) else list(sources)
        self.id = id
        self.modality = modality
        self._warnings = tuple(warnings)
        names = (name for name, _ in pairs)
        self.ids: tuple[str, ...] = tuple(labels(names, "stimulus_id", f"The stimulus set {id!r}"))
        self._sources: tuple[Path | Stimulus, ...] = tuple(source for _, source in pairs)
        self._read = read or READERS.get(modality)
        self._whole: tuple[StimulusSet, tuple[int, ...]] | None = None
        self._check_ids()
        self.table: pd.DataFrame = self._fitted(table)

    def __len__(self) -> int:
        return len(self.ids)

    def _shown(self) -> Shown:
        columns = [str(name) for name in self.table.columns[:4]]
        rows = [(name, *map(str, self.table.loc[name, columns])) for name in self.ids[:5]]
        title = f"StimulusSet {self.id!r}: {self.modality}, {counted(len(self), 'stimulus', 'stimuli')}"
        facts = {"table": listed(list(self.table.columns), 8), "warnings": str(len(self._warnings) or "")}
        return Shown(title, facts, ("stimulus_id", *columns), rows)

    def _check_ids(self) -> None:
        if not self.ids:
            raise DataError(f"The stimulus set {self.id!r} is empty.")
        twice = [name for name, count in Counter(self.ids).items() if count > 1]
        if twice:
            raise DataError(f"stimulus_id must be unique in {self.id!r}; found more than once: {shorten(twice)}.")

    def _fitted(self, table: pd.DataFrame | None) -> pd.DataFrame:
        import pandas as pd

        if table is None:
            return pd.DataFrame(index=pd.Index(self.ids, name="stimulus_id"))
        where = f"The table of the stimulus set {self.id!r}"
        table = table.set_axis(pd.Index(labels(table.index, "stimulus_id", where)), axis=0)
        absent = [name for name in self.ids if name not in table.index]
        if absent or not table.index.is_unique:
            problem = f"lacks {shorten(absent)}" if absent else "has a stimulus_id twice"
            raise DataError(f"{where} {problem}.")
        return text_columns(table.loc[list(self.ids)].rename_axis("stimulus_id"), where)

    def load(self, index: int) -> Stimulus:
        """Read one stimulus by its place in the canonical order.

        Raises
        ------
        DataError
            The file is damaged or not of the modality; the message names the stimulus.
        """
        source = self._sources[index]
        if isinstance(source, Stimulus):
            return replace(source, id=self.ids[index], modality=self.modality)
        if self._read is None:
            raise DataError(
                f"Files of modality {self.modality!r} have no reader. Expected one of {', '.join(READERS)}, "
                f"or a plugin that passes read=."
            )
        try:
            array, rate = self._read(source)
        except DataError as error:
            raise DataError(f"Stimulus {self.ids[index]!r} of {self.id!r}: {error}") from error
        return Stimulus(self.ids[index], self.modality, array, rate)

    def __iter__(self) -> Iterator[Stimulus]:
        return (self.load(index) for index in range(len(self)))

    def only(self, ids: Iterable[str]) -> StimulusSet:
        """Some of the stimuli, in canonical order, whatever the order in which they are named.

        Raises
        ------
        DataError
            A stimulus that is not there, or none is named.

        Examples
        --------
        >>> import numpy as np
        >>> sounds = {name: Stimulus(name, "audio", np.zeros(9, "float32"), 8000.0) for name in "abc"}
        >>> StimulusSet("demo", "audio", sounds).only(["c", "a"]).ids
        ('a', 'c')
        """
        wanted = set(ids)
        absent = sorted(wanted.difference(self.ids))
        if absent:
            raise DataError(f"The stimulus set {self.id!r} has no {shorten(absent)}; it has {shorten(self.ids, 3)}.")
        places = tuple(place for place, name in enumerate(self.ids) if name in wanted)
        sources = [(self.ids[place], self._sources[place]) for place in places]
        part = StimulusSet(self.id, self.modality, sources, table=self.table, read=self._read, warnings=self._warnings)
        part._whole = self, places
        return part

    def apart(self, ids: Iterable[str]) -> StimulusSet:
        """As ``only``, as a set of its own from which nothing leads to the other stimuli."""
        part = self.only(ids)
        return StimulusSet(
            part.id, part.modality, list(zip(part.ids, part._sources, strict=True)), table=part.table, read=self._read
        )

    def batch(self, index: Sequence[int]) -> StimulusBatch:
        """The stimuli at these places of the canonical order."""
        return StimulusBatch(self, tuple(index))

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What was dropped, guessed or found odd: when the set was made, and in the headers of its sounds."""
        of_core = self.modality == "audio" and self._read is READERS["audio"]
        return (*self._warnings, *(notes_on_sounds(self.files) if of_core else ()))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files behind the stimuli, without those that lie in memory."""
        return tuple(source for source in self._sources if isinstance(source, Path))

    @cached_property
    def content_digests(self) -> tuple[str, ...]:
        """What each stimulus holds, in canonical order: ``file:…`` of its bytes, or ``array:…`` of samples and rate.

        The bytes of a file count only where core itself reads them: else they do not say what a model gets.
        """
        of_file = digest_files(self.files) if self._read is READERS.get(self.modality) else {}
        return tuple(
            f"file:{of_file[source]}" if of_file and isinstance(source, Path) else digest_loaded(self.load(index))
            for index, source in enumerate(self._sources)
        )

    @cached_property
    def contents(self) -> tuple[str, ...]:
        """What each stimulus holds once it is read, in canonical order: equal digests are equal samples or pixels.

        Two files that were saved differently may hold the same; ``content_digests`` tells them apart, this does not.
        """
        if self._whole is not None:  # they are read once, for all selections
            whole, places = self._whole
            return tuple(whole.contents[place] for place in places)
        return contents_of(self, digest_loaded)

    @cached_property
    def equal(self) -> tuple[tuple[str, ...], ...]:
        """IDs of stimuli that hold the same, a group for each content that is there more than once."""
        return tuple(map(tuple, equal_groups(self.ids, self.contents)))

    @cached_property
    def digest(self) -> str:
        """Digest over IDs in order, contents and table; equal digests mean equal inputs to a model."""
        table = self.table.to_csv(float_format="%.17g")
        return digest_of({"modality": self.modality, "ids": self.ids, "contents": self.content_digests, "table": table})


def digest_loaded(stimulus: Stimulus) -> str:
    """Digest over what a stimulus holds, decoded.

    Examples
    --------
    >>> import numpy as np
    >>> silence = Stimulus("silence", "audio", np.zeros(100, dtype=np.float32), 16000.0)
    >>> digest_loaded(silence).partition(":")[0]
    'array'
    """
    return f"array:{digest_of([digest_array(stimulus.array), stimulus.sample_rate])}"


@dataclass(frozen=True, slots=True)
class StimulusBatch:
    """Some stimuli of a set, as a model receives them.

    ``whole`` is the set they come from: what a model derives from it (the categories that exist, say) is thereby
    independent of how the stimuli were batched.
    """

    whole: StimulusSet
    index: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.index)

    def __iter__(self) -> Iterator[Stimulus]:
        return (self.whole.load(place) for place in self.index)

    @property
    def ids(self) -> tuple[str, ...]:
        """``stimulus_id`` of each stimulus of the batch."""
        return tuple(self.whole.ids[place] for place in self.index)

    @property
    def table(self) -> pd.DataFrame:
        """The rows of the set's table that belong to the batch."""
        return self.whole.table.iloc[list(self.index)]


def from_folder(folder: Path, *, modality: str | None = None, table: pd.DataFrame | None = None) -> StimulusSet:
    """Make a stimulus set of the sounds or images in a folder, in the order of the table or of the file names.

    Numbers within file names count by their value: ``dog 2.wav`` comes before ``dog 10.wav``.

    Files that are no stimuli, and stimuli that the table does not list, are left out; ``warnings`` counts them.

    Raises
    ------
    DataError
        The folder is absent, holds nothing that can be read, mixes modalities, or holds what was not fetched.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Expected a folder of sound or image files.")
    files = [
        path for path in sorted(folder.iterdir(), key=_by_name) if not path.is_dir() and not is_of_the_system(path.name)
    ]
    found = {kind: [path for path in files if path.suffix.lower() in suffixes] for kind, suffixes in SUFFIXES.items()}
    present = [kind for kind, paths in found.items() if paths]
    if modality is None and len(present) != 1:
        kinds = " and ".join(present) or "neither sounds nor images"
        raise DataError(f"{folder} holds {kinds}. Expected files of one kind, or 'modality' in dataset.toml.")
    kind = modality or present[0]
    paths = found.get(kind, [])
    if not paths:
        read = (
            f"no {kind}" if kind in SUFFIXES else f"nothing that is read as {kind!r}, only {' or '.join(SUFFIXES)} is"
        )
        raise DataError(f"{folder} holds {read}. Mend 'modality' in dataset.toml, or the files.")
    twice = [name for name, count in Counter(label(path.stem) for path in paths).items() if count > 1]
    if twice:
        raise DataError(f"stimulus_id is the file name without its ending; found twice in {folder}: {shorten(twice)}.")
    by_id = {label(path.stem): path for path in paths}
    warnings = _left_out(f"files in {folder} are no {kind} by their endings", set(files).difference(paths))
    if table is not None:
        listed = [label(name) for name in table.index]
        absent = [name for name in listed if name not in by_id]
        if absent:
            raise DataError(f"{folder} has no file for {len(absent)} listed stimuli: {shorten(absent)}.")
        warnings += _left_out(
            f"files in {folder} are not in the table", [by_id[name] for name in set(by_id).difference(listed)]
        )
        by_id = {name: by_id[name] for name in listed}
    refuse_not_fetched(list(by_id.values()))
    return StimulusSet(folder.name, kind, by_id, table=table, warnings=warnings)


def _by_name(path: Path) -> tuple[list[tuple[str, int]], str]:
    """Letters by code point and numbers by value; equal ones by the name as it is."""
    parts = re.split(r"([0-9]+)", label(path.stem))  # text and numbers in turn, text first
    return [("", int(part)) if place % 2 else (part, -1) for place, part in enumerate(parts)], path.name


def _left_out(why: str, paths: Iterable[Path]) -> list[str]:
    names = sorted(path.name for path in paths)
    return [f"{len(names)} {why} and were left out: {shorten(names)}."] if names else []
