"""The stimuli ``natsound165``: 165 natural sounds of two seconds, in ascending order of the number in their ID."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.interfaces import DataFiles, StimuliPlugin

if TYPE_CHECKING:
    from isocortex.data import StimulusSet

CATEGORY_FILE = "category_labels.csv"
_NUMBERED = re.compile(r"stim(\d+)_.+")


def stimulus_number(stimulus_id: str) -> int:
    """Return the number in a stimulus ID, which gives the canonical order of the sounds.

    Splits are drawn by position. With the sounds in ascending order of this number, not in the order of
    ``components.mat`` nor in that of the file names, the published scores of the SpectroTemporal model come out.

    Parameters
    ----------
    stimulus_id
        ``stim<number>_<name>``.

    Raises
    ------
    DataError
        If the ID has another form.

    References
    ----------
    Tuckute et al. (2023), PLOS Biology 21(12): e3002366.

    Examples
    --------
    >>> sorted(["stim11_baby_crying", "stim7_applause", "stim5_alarm_clock"], key=stimulus_number)
    ['stim5_alarm_clock', 'stim7_applause', 'stim11_baby_crying']
    """
    match = _NUMBERED.fullmatch(stimulus_id)
    if match is None:
        raise DataError(f"Expected a stimulus_id of the form stim<number>_<name>, found {stimulus_id!r}.")
    return int(match[1])


def canonical_order(stimulus_ids: list[str]) -> list[str]:
    """Return stimulus IDs in ascending order of their number.

    Raises
    ------
    DataError
        If two IDs have the same number, so that their order is not defined, or an ID has no number.

    Examples
    --------
    >>> canonical_order(["stim11_baby_crying", "stim7_applause"])
    ['stim7_applause', 'stim11_baby_crying']
    """
    by_number: dict[int, str] = {}
    for name in stimulus_ids:
        other = by_number.setdefault(stimulus_number(name), name)
        if other != name:
            raise DataError(f"Expected one sound per number, found {other!r} and {name!r}.")
    return [by_number[number] for number in sorted(by_number)]


def read_categories(path: Path) -> dict[str, str]:
    """Read the category of each sound from a CSV file without header: stimulus ID, category.

    Returns
    -------
    Stimulus ID to category, in the order of the file.

    Raises
    ------
    DataError
        If a line has other than two fields, a field is empty, or a stimulus occurs twice.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "category_labels.csv"
    >>> _ = path.write_text("stim7_applause,HumNonVoc")
    >>> read_categories(path)
    {'stim7_applause': 'HumNonVoc'}
    """
    import csv

    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path.name} cannot be read as CSV ({error}). Copy or download it again.") from error
    categories: dict[str, str] = {}
    for row in rows:
        if len(row) != 2 or not all(row):
            raise DataError(f"{path.name}: expected lines 'stimulus_id,category', found {','.join(row)!r}.")
        if row[0] in categories:
            raise DataError(f"{path.name}: expected each stimulus once, found {row[0]!r} twice.")
        categories[row[0]] = row[1]
    return categories


def _check_same(sounds: dict[str, Path], categories: dict[str, str]) -> None:
    silent = [name for name in categories if name not in sounds]
    if silent:
        raise AlignmentError(
            f"{len(silent)} of {len(categories)} stimuli in {CATEGORY_FILE} have no sound file: {shorten(silent)}. "
            "Run 'isocortex fetch' to bring them."
        )
    unlabelled = [name for name in sounds if name not in categories]
    if unlabelled:
        raise AlignmentError(
            f"{len(unlabelled)} of {len(sounds)} sounds have no category in {CATEGORY_FILE}: {shorten(unlabelled)}."
        )


class NaturalSounds(StimuliPlugin):
    """165 natural sounds in eleven categories: 2 s, 44.1 kHz, mono; read from WAV files when they are needed."""

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set in canonical order; its table has the column ``category``.

        Parameters
        ----------
        files
            The WAV files, named by stimulus ID in any folder, and ``category_labels.csv``.

        Raises
        ------
        AlignmentError
            If sounds and categories are not about the same stimuli.
        DataError
            If a name or the table has another form than expected.
        """
        import pandas as pd

        from isocortex.data import StimulusSet

        sounds = {PurePosixPath(name).stem: path for name, path in files.items() if name.lower().endswith(".wav")}
        categories = read_categories(files.named(CATEGORY_FILE))
        _check_same(sounds, categories)
        ids = canonical_order(list(sounds))
        table = pd.DataFrame({"category": [categories[name] for name in ids]}, index=pd.Index(ids, name="stimulus_id"))
        return StimulusSet(self.card.id, self.card.modality, {name: sounds[name] for name in ids}, table=table)
