"""What a model hears is what its card says, whatever the files have, and whoever runs it."""
# ruff: noqa: ARG002 - models that have no use for what they are given

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import isocortex
from isocortex.activations.output import LayerOutput
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.data.stimuli import Stimulus, StimulusBatch, StimulusSet
from isocortex.errors import DataError, PluginError
from isocortex.extraction.hearing import heard
from isocortex.interfaces import LoadedModel, ModelPlugin, digest_plugin
from isocortex.loading.folder_activations import FolderActivations

SECONDS = 0.25


def tones(*rates: float, channels: int = 0) -> StimulusSet:
    """The same tone at several rates."""
    made = {}
    for rate in rates:
        tone = np.sin(2 * np.pi * 440 * np.arange(round(SECONDS * rate)) / rate).astype(np.float32)
        array = np.stack([tone, -0.5 * tone], axis=1)[:, :channels] if channels else tone
        made[f"at {rate:g}"] = Stimulus(f"at {rate:g}", "audio", array, rate)
    return StimulusSet("tones", "audio", made)


class Loaded(LoadedModel):
    """Counts periods per sample: 440 / the rate at which it was sampled."""

    layers = ("samples", "crossings")

    def __init__(self, seen: list[Stimulus]) -> None:
        self.seen = seen

    def run(self, batch: StimulusBatch, layers, emit) -> None:
        sounds = list(batch)
        self.seen.extend(sounds)
        counts = {
            "samples": [[len(sound.array)] for sound in sounds],
            "crossings": [
                [np.mean(np.diff(np.sign(sound.array.reshape(len(sound.array), -1)[:, 0])) != 0)] for sound in sounds
            ],
        }
        for layer in layers:
            emit(layer, LayerOutput(np.array(counts[layer], dtype=np.float32), ("unit",)))


class Ear(ModelPlugin):
    """A model that believes its card."""

    def __init__(self, **row: Any) -> None:
        super().__init__(ModelCard(id="ear", object="x:X", layers=Loaded.layers, **{"modality": "audio", **row}))
        self.seen: list[Stimulus] = []

    def load(self, variant: Variant, *, device: str) -> LoadedModel:
        return Loaded(self.seen)

    def digest(self, variant: Variant) -> str | None:
        return None


def extracted(ear: Ear, stimuli: StimulusSet) -> dict[str, list[float]]:
    found = isocortex.extract(ear, stimuli, quiet=True)
    return {name: layer.array(stimuli.ids)[:, 0].tolist() for name, layer in found.items()}


@pytest.mark.parametrize("resampler", ["soxr", "polyphase"])
def test_sounds_come_at_the_rate_of_the_card(resampler: str) -> None:
    ear = Ear(sample_rate=20_000, resampler=resampler)
    found = extracted(ear, tones(44_100, 20_000, 8_000, 16_000))
    assert found["samples"] == [5000.0] * 4
    assert found["crossings"] == pytest.approx([2 * 440 / 20_000] * 4, rel=0.02)
    assert {sound.sample_rate for sound in ear.seen} == {20_000.0}
    assert {sound.array.dtype for sound in ear.seen} == {np.dtype("float32")}


def test_a_model_that_resamples_itself_gets_them_as_they_are_and_so_does_one_without_a_rate() -> None:
    for row in ({"sample_rate": 20_000, "resampler": "model"}, {}):
        ear = Ear(**row)
        assert extracted(ear, tones(44_100, 8_000))["samples"] == [11_025.0, 2_000.0]
        assert {sound.sample_rate for sound in ear.seen} == {44_100, 8_000}


def test_channels_stay_apart_and_are_resampled_alike() -> None:
    ear = Ear(sample_rate=16_000)
    extracted(ear, tones(44_100, channels=2))
    assert {sound.array.shape for sound in ear.seen} == {(4000, 2)}
    np.testing.assert_allclose(ear.seen[0].array[:, 1], -0.5 * ear.seen[0].array[:, 0], atol=1e-6)


def test_images_have_no_rate() -> None:
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    images = StimulusSet("images", "image", {"i": Stimulus("i", "image", pixels)})
    [image] = heard(images, Ear(modality="any", sample_rate=20_000).card)
    assert image.sample_rate is None
    np.testing.assert_array_equal(image.array, pixels)


def test_a_sound_whose_rate_is_not_known_is_refused() -> None:
    for rate in (None, 0.0, -8e3, float("nan"), float("inf")):
        stimuli = StimulusSet("sounds", "audio", {"s": Stimulus("s", "audio", np.zeros(10, dtype=np.float32), rate)})
        with pytest.raises(DataError, match=r"'s' of 'sounds' has no sampling rate \(found .*takes sounds at 8000 Hz"):
            isocortex.extract(Ear(sample_rate=8_000), stimuli, quiet=True)
    integers = StimulusSet("sounds", "audio", {"s": Stimulus("s", "audio", np.zeros(10, dtype=np.int16), 16e3)})
    with pytest.raises(DataError, match=r"'s' of 'sounds': Only sounds of floating point numbers.*int16"):
        isocortex.extract(Ear(sample_rate=8_000), integers, quiet=True)


def test_what_is_missing_for_a_resampler_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.signal", None)
    with pytest.raises(PluginError, match=r"needs scipy, which is not installed: pip install scipy"):
        isocortex.extract(Ear(sample_rate=20_000, resampler="polyphase"), tones(44_100), quiet=True)


def test_a_row_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"resampler\n.*needs sample_rate"):
        Ear(resampler="polyphase")
    for row in ({"sample_rate": 8_000, "resampler": "linear"}, {"sample_rate": float("inf")}):
        with pytest.raises(ValidationError):
            Ear(**row)


def test_rate_resampler_and_its_library_are_part_of_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(**row: Any) -> str | None:
        card = ModelCard(id="a", object="x:A", modality="audio", layers=("a",), **row)
        return digest_plugin(FolderActivations(card))

    rows: list[dict[str, Any]] = [
        {},
        {"sample_rate": 8_000},
        {"sample_rate": 8_000, "resampler": "polyphase"},
        {"sample_rate": 8_000, "resampler": "model"},
        {"random": True},
    ]
    before = [digest(**row) for row in rows]
    assert len(set(before)) == len(rows)
    monkeypatch.setattr(
        "isocortex.files.libraries.public_version", lambda name: f"another {name}" if name == "scipy" else "1"
    )
    other = [digest(**row) for row in rows]
    monkeypatch.setattr(
        "isocortex.files.libraries.public_version", lambda name: f"one more {name}" if name == "scipy" else "1"
    )
    assert [one != two for one, two in zip(other, [digest(**row) for row in rows], strict=True)] == [
        False,
        False,
        True,
        False,
        False,
    ]


def test_a_wrapped_function_hears_what_it_says() -> None:
    heard_by: list[tuple[int, ...]] = []

    def levels(sounds: np.ndarray) -> np.ndarray:
        heard_by.append(sounds.shape)
        return np.sqrt((sounds.reshape(len(sounds), 8, -1) ** 2).mean(axis=2))

    model = isocortex.wrap(levels, modality="audio", sample_rate=16_000)
    found = isocortex.extract(model, tones(44_100, 16_000, 48_000), quiet=True)["output"].array()
    assert {shape[1] for shape in heard_by} == {4000}
    np.testing.assert_allclose(found, found[[1, 1, 1]], atol=2e-3)


def test_the_set_behind_is_the_same() -> None:
    stimuli = tones(44_100, 8_000)
    played = heard(stimuli, Ear(sample_rate=16_000).card)
    assert (played.digest, played.content_digests, played.ids) == (stimuli.digest, stimuli.content_digests, stimuli.ids)
    assert played.files == ()
    assert played.batch([1]).table is not None
    again = heard(played, Ear(sample_rate=16_000).card)
    np.testing.assert_array_equal(again.load(0).array, played.load(0).array)
