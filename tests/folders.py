"""Small data set folders that the tests write, and folders of results that they compare."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

N_IMAGES = 24
N_NEUROIDS = 4
#: what tells when, where and by which command a result was made, and the seal over it
_PROVENANCE = ("provenance", "sha256")


def image_folder(folder: Path, *, n_images: int = N_IMAGES, seed: int = 0) -> Path:
    """A data set of random images and responses that depend on their brightness.

    Returns
    -------
    The folder, with stimuli/, stimuli.csv (two categories) and responses.csv.
    """
    generator = np.random.default_rng(seed)
    (folder / "stimuli").mkdir(parents=True)
    brightness = generator.uniform(30, 220, n_images)
    ids = [f"image{number:02d}" for number in range(n_images)]
    for name, level in zip(ids, brightness, strict=True):
        pixels = np.clip(generator.normal(level, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "stimuli" / f"{name}.png")
    noise = generator.normal(0, 5, (n_images, N_NEUROIDS))
    write_responses(folder, ids, brightness[:, None] * generator.uniform(0.5, 2, N_NEUROIDS) + noise)
    labels = [f"{name},{'bright' if level > 125 else 'dark'}" for name, level in zip(ids, brightness, strict=True)]
    (folder / "stimuli.csv").write_text("\n".join(["stimulus_id,category", *labels]) + "\n")
    return folder


def write_responses(folder: Path, ids: list[str], responses: np.ndarray) -> None:
    """Write responses.csv, one column per neuroid."""
    header = "stimulus_id," + ",".join(f"site{number}" for number in range(responses.shape[1]))
    rows = [f"{name}," + ",".join(f"{value:.6f}" for value in row) for name, row in zip(ids, responses, strict=True)]
    (folder / "responses.csv").write_text("\n".join([header, *rows]) + "\n")


def edit_responses(folder: Path, line: int, text: str | None) -> None:
    """Replace a line of responses.csv (0 is the header), or remove it."""
    lines = (folder / "responses.csv").read_text().splitlines()
    lines[line : line + 1] = [] if text is None else [text]
    (folder / "responses.csv").write_text("\n".join(lines) + "\n")


def sound_folder(folder: Path, *, n_sounds: int = 20, seed: int = 0) -> Path:
    """A data set of tones in noise, one second each, and responses that depend on the level of the tone."""
    import soundfile

    generator = np.random.default_rng(seed)
    (folder / "stimuli").mkdir(parents=True)
    ids = [f"sound{number:02d}" for number in range(n_sounds)]
    levels = generator.uniform(0.02, 0.3, n_sounds)
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    for name, level in zip(ids, levels, strict=True):
        soundfile.write(
            folder / "stimuli" / f"{name}.wav", level * tone + 0.05 * generator.standard_normal(16_000), 16_000
        )
    write_responses(folder, ids, 10 * levels[:, None] + generator.normal(0, 0.1, (n_sounds, N_NEUROIDS)))
    return folder


def results_of(folder: Path) -> dict[str, object]:
    """What a folder of results holds, file by file, but for provenance and the seal over it."""
    found: dict[str, object] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        found[name] = path.read_bytes()
        if path.suffix == ".json":
            record = json.loads(path.read_bytes())
            found[name] = {key: value for key, value in record.items() if key not in _PROVENANCE}
    return found
