"""The stimuli ``natsound165``: 165 natural sounds of two seconds, in ascending order of the number in their ID."""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import AlignmentError, DataError, shorten
from isocortex.interfaces import DataFiles, StimuliPlugin

if TYPE_CHECKING:
    from isocortex.data import StimulusSet
    from isocortex.typing import Array

#: Hz, of the sounds of the release
RELEASE_RATE = 16_000.0
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


class NaturalSounds16kHz(NaturalSounds):
    """The same sounds as the release of Tuckute et al. 2023 has them: 16 kHz, whole numbers of 16 bits.

    They are made of the 44.1 kHz files, by polyphase resampling and rounding: the files of the release are not needed.
    """

    def load(self, files: DataFiles) -> StimulusSet:
        """Make the stimulus set, in memory (21 MB), in canonical order."""
        from isocortex.data import Stimulus, StimulusSet

        whole = super().load(files)
        sounds = {
            one.id: Stimulus(one.id, one.modality, at_16_khz(one.array, one.sample_rate or 0.0), RELEASE_RATE)
            for one in whole
        }
        said = "The sounds were brought to 16 kHz and 16 bits here; the files of the release may differ in rounding."
        return StimulusSet(self.card.id, self.card.modality, sounds, table=whole.table, warnings=[said])


def at_16_khz(sound: Array, rate: float) -> Array:
    """A sound in [-1, 1) at 16 kHz, (n_samples[, n_channels]) float32, rounded to 16 bits.

    Raises
    ------
    DataError
        A rate that is no whole number.

    Examples
    --------
    >>> at_16_khz(np.zeros(44_100, np.float32), 44_100.0).shape
    (16000,)
    """
    from scipy.signal import resample_poly

    if rate <= 0 or rate != round(rate):
        raise DataError(f"Expected a rate of whole Hz, found {rate}.")
    common = math.gcd(int(RELEASE_RATE), int(rate))
    resampled = resample_poly(sound.astype(np.float64), int(RELEASE_RATE) // common, int(rate) // common, axis=0)
    return (np.clip(np.rint(resampled * 32768), -32768, 32767) / 32768).astype(np.float32)
