"""Stimuli, features, responses and RDMs made up from a seed, for tests of plugins; nothing here needs a plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import DataError
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr


SAMPLE_RATE = 16000.0
DURATIONS_S = (0.5, 1.0, 1.5, 2.0)
IMAGE_SIDE = 64
CATEGORIES = ("tone", "noise", "mixture")
N_SUBJECTS = 4


def synthetic_sound(number: int, *, duration_s: float = 1.0, seed: int = 0) -> Array:
    """Return a sound (n_samples,) float32 at 16 kHz with peak 0.5: a modulated tone complex, noise, or both.

    Examples
    --------
    >>> sound = synthetic_sound(0, duration_s=0.5)
    >>> sound.shape, sound.dtype.name, float(abs(sound).max())
    ((8000,), 'float32', 0.5)
    """
    stream = np.random.default_rng([seed, number])
    time_s = np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE
    fundamental = stream.uniform(100, 800)
    tone = sum(np.sin(2 * np.pi * fundamental * harmonic * time_s) / harmonic for harmonic in range(1, 6))
    noise = np.cumsum(stream.normal(size=time_s.size)) * 0.01 + stream.normal(size=time_s.size)
    kind = CATEGORIES[number % len(CATEGORIES)]
    carrier = {"tone": tone, "noise": noise, "mixture": tone + 0.5 * noise}[kind]
    envelope = 1 + 0.8 * np.sin(2 * np.pi * stream.uniform(1, 10) * time_s)
    sound = carrier * envelope
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def synthetic_image(number: int, *, side: int = IMAGE_SIDE, seed: int = 0) -> Array:
    """Return an image (side, side, 3) uint8: a coloured grating, random pixels, or both.

    Examples
    --------
    >>> synthetic_image(1, side=8).shape
    (8, 8, 3)
    """
    stream = np.random.default_rng([seed, number])
    rows, columns = np.mgrid[:side, :side] / side
    angle = stream.uniform(0, np.pi)
    wave = np.sin(2 * np.pi * stream.uniform(1, 8) * (np.cos(angle) * rows + np.sin(angle) * columns))
    grating = 127.5 + 100 * wave[:, :, None] * stream.uniform(0.2, 1, 3)
    pixels = stream.uniform(0, 255, (side, side, 3))
    kind = CATEGORIES[number % len(CATEGORIES)]
    image = {"tone": grating, "noise": pixels, "mixture": 0.5 * grating + 0.5 * pixels}[kind]
    return np.clip(image, 0, 255).astype(np.uint8)


def synthetic_stimuli(
    modality: str,
    n_stimuli: int,
    *,
    seed: int = 0,
    folder: Path | None = None,
    durations_s: Sequence[float] = DURATIONS_S,
    side: int = IMAGE_SIDE,
) -> StimulusSet:
    """Make a stimulus set with a table that has the column ``category``.

    Parameters
    ----------
    modality
        "audio", "image", or "any", which gives sounds.
    n_stimuli
        How many.
    folder
        Where the stimuli are written as files, to be read one by one; None: they lie in memory.
    durations_s
        Durations of sounds in s, taken in turn.
    side
        Height and width of images.

    Raises
    ------
    DataError
        There is no recipe for the modality.

    Examples
    --------
    >>> synthetic_stimuli("audio", 3).ids
    ('stimulus000', 'stimulus001', 'stimulus002')
    """
    import pandas as pd

    kind = {"any": "audio"}.get(modality, modality)
    if kind not in MODALITIES:
        raise DataError(f"There are no synthetic stimuli of modality {modality!r}, only {', '.join(MODALITIES)}.")

    def make(number: int) -> Stimulus:
        name = _name(number)
        if kind == "image":
            return Stimulus(name, kind, synthetic_image(number, side=side, seed=seed))
        duration_s = durations_s[number % len(durations_s)]
        return Stimulus(name, kind, synthetic_sound(number, duration_s=duration_s, seed=seed), SAMPLE_RATE)

    write = MODALITIES[kind]
    sources: dict[str, Path | Stimulus] = {
        _name(number): make(number) if folder is None else write(folder, make(number)) for number in range(n_stimuli)
    }
    labels = [CATEGORIES[number % len(CATEGORIES)] for number in range(n_stimuli)]
    table = pd.DataFrame({"category": labels}, index=pd.Index(list(sources)))
    return StimulusSet(f"synthetic-{kind}", kind, sources, table=table)


def _name(number: int) -> str:
    return f"stimulus{number:03d}"


def _write_sound(folder: Path, stimulus: Stimulus) -> Path:
    import soundfile

    path = folder / f"{stimulus.id}.wav"
    soundfile.write(path, stimulus.array, int(SAMPLE_RATE), subtype="PCM_16")
    return path


def _write_image(folder: Path, stimulus: Stimulus) -> Path:
    from PIL import Image

    path = folder / f"{stimulus.id}.png"
    Image.fromarray(stimulus.array).save(path, compress_level=1)
    return path


#: modality → how one of its stimuli is written to a file
MODALITIES: dict[str, Callable[[Path, Stimulus], Path]] = {"audio": _write_sound, "image": _write_image}


def synthetic_features(n_stimuli: int, n_units: int, seed: int = 0) -> Array:
    """Return independent standard normal features, (n_stimuli, n_units) float64.

    Examples
    --------
    >>> synthetic_features(4, 3).shape
    (4, 3)
    """
    return np.random.default_rng([seed, n_stimuli, n_units]).normal(size=(n_stimuli, n_units))


def linear_responses(
    features: Array,
    snr: float,
    seed: int,
    *,
    stimulus_id: Sequence[str] | None = None,
    n_neuroids: int = 12,
    n_repetitions: int = 2,
) -> xr.DataArray:
    r"""Make responses that are linear in features, plus noise that is new in every repetition.

    y = z(X w) + e / sqrt(snr), w and e standard normal, z: mean 0 and variance 1 over stimuli. The two regions "A" and
    "B" and the participants "S1" and "S2" have equal shares of the neuroids.

    Parameters
    ----------
    features
        X, (n_stimuli, n_units).
    snr
        Variance of the signal over that of the noise of one presentation; 0: noise alone.
    seed
        Draws w and e.

    Returns
    -------
    ("presentation", "neuroid"), float64, with ``stimulus_id``, ``repetition``, ``neuroid_id``, ``region``, ``subject``.

    Examples
    --------
    >>> linear_responses(synthetic_features(5, 3), snr=1.0, seed=0).shape
    (10, 12)
    """
    stream = np.random.default_rng([seed, 1])
    n_stimuli, n_units = features.shape
    signal = features @ stream.normal(size=(n_units, n_neuroids))
    signal = (signal - signal.mean(axis=0)) / signal.std(axis=0)
    noise = stream.normal(size=(n_repetitions, n_stimuli, n_neuroids))
    values = noise if snr == 0 else signal + noise / np.sqrt(snr)  # (n_repetitions, n_stimuli, n_neuroids)
    names = [_name(number) for number in range(n_stimuli)] if stimulus_id is None else list(stimulus_id)
    subject = [f"S{1 + number % 2}" for number in range(n_neuroids)]
    region = ["A" if number < (n_neuroids + 1) // 2 else "B" for number in range(n_neuroids)]
    identity = [f"{who}.{where}.{number}" for number, (who, where) in enumerate(zip(subject, region, strict=True))]
    neuroid = {"neuroid_id": identity, "region": region, "subject": subject}
    return make_responses(values, names, neuroid=neuroid, units="synthetic")


def synthetic_rdm(stimulus_id: Sequence[str], features: Array | None, snr: float, seed: int) -> xr.DataArray:
    """Make RDMs, 1 − r between the response patterns of 30 neuroids, of four participants.

    Parameters
    ----------
    features
        (n_stimuli, n_units) that the responses are linear in; None: they are noise.
    snr
        As in ``linear_responses``.

    Returns
    -------
    ("subject", "pair") with ``stimulus_a`` and ``stimulus_b``.

    Examples
    --------
    >>> synthetic_rdm(["a", "b", "c"], None, 0.0, seed=0).shape
    (4, 3)
    """
    import xarray as xr

    base = synthetic_features(len(stimulus_id), 1, seed) if features is None else features
    first, second = np.triu_indices(len(stimulus_id), 1)
    rows: list[Array] = []
    for subject in range(N_SUBJECTS):
        own = linear_responses(
            base, 0.0 if features is None else snr, seed * N_SUBJECTS + subject, n_neuroids=30, n_repetitions=1
        )
        rows.append(1 - np.corrcoef(own.values)[first, second])
    names = np.asarray(stimulus_id, dtype=object)
    return xr.DataArray(
        np.stack(rows),
        dims=("subject", "pair"),
        coords={
            "subject": [f"S{1 + number}" for number in range(N_SUBJECTS)],
            "stimulus_a": ("pair", names[first]),
            "stimulus_b": ("pair", names[second]),
        },
    )


def synthetic_dataset(kind: str, n_stimuli: int, *, features: Array | None, snr: float = 4.0, seed: int = 0) -> Dataset:
    """Make a data set of ``responses``, ``rdm`` or ``trials`` over short sounds.

    ``features`` (n_stimuli, n_units) are what the brain responds to; None: it responds with noise. Trials hold a choice
    among the categories of the stimuli and do not depend on features.

    Examples
    --------
    >>> synthetic_dataset("rdm", 5, features=None).kind
    'rdm'
    """
    import pandas as pd

    stimuli = synthetic_stimuli("audio", n_stimuli, durations_s=(0.01,))
    if kind == "responses":
        base = synthetic_features(n_stimuli, 1, seed) if features is None else features
        return Dataset("synthetic", stimuli, responses=linear_responses(base, 0.0 if features is None else snr, seed))
    if kind == "rdm":
        return Dataset("synthetic", stimuli, rdm=synthetic_rdm(stimuli.ids, features, snr, seed))
    choices = np.random.default_rng(seed).choice(CATEGORIES, n_stimuli)
    return Dataset("synthetic", stimuli, trials=pd.DataFrame({"stimulus_id": stimuli.ids, "choice": choices}))
