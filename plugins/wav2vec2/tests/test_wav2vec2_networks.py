"""What networks give: against transformers' own outputs, alone and together, and for sounds that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_wav2vec2")

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.data.stimuli import Stimulus, StimulusSet  # noqa: E402
from isocortex.errors import DataError, FilesError, LayerError, UsageError  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from isocortex.models.variants import build_variant  # noqa: E402
from isocortex.testing import check_model  # noqa: E402
from isocortex_wav2vec2.families import family_named, import_transformers, quiet  # noqa: E402
from isocortex_wav2vec2.features import FilterBank, features_of, mono  # noqa: E402

pytestmark = pytest.mark.xdist_group("wav2vec2")

WAVEFORMS = ("wav2vec2", "wav2vec2-stable", "conformer-relative", "conformer-rotary", "hubert", "wavlm")
NAMES = (*WAVEFORMS, "whisper", "spectrogram")
TOLERANCE = 5e-6

Make = Callable[[str], Any]
Sounds = Callable[..., StimulusSet]


def plain(plugin: Any, seed: int) -> Any:
    """The network by transformers' own classes and constructors alone."""
    architecture = plugin.architecture()
    family = family_named(architecture.family)
    configurations = import_transformers(f"models.{family.module}.configuration_{family.module}")
    networks = import_transformers(f"models.{family.module}.modeling_{family.module}")
    config = getattr(configurations, family.config)(**architecture.config)
    torch.manual_seed(seed)
    return getattr(networks, family.network)(config).eval()


def extractor(plugin: Any) -> Any:
    """What transformers makes the input of a network with."""
    architecture = plugin.architecture()
    name, kind = {
        "whisper": ("whisper", "WhisperFeatureExtractor"),
        "audio-spectrogram-transformer": ("audio_spectrogram_transformer", "ASTFeatureExtractor"),
    }.get(architecture.family, ("wav2vec2", "Wav2Vec2FeatureExtractor"))
    module = import_transformers(f"models.{name}.feature_extraction_{name}")
    return getattr(module, kind)(**architecture.features, return_attention_mask=name == "wav2vec2")


def hidden(plugin: Any, network: Any, sound: Stimulus) -> Mapping[str, Any]:
    """transformers' output for a sound, with all hidden states."""
    with quiet(), torch.no_grad():
        fed = extractor(plugin)(sound.array, sampling_rate=16_000, return_tensors="pt")
        return network(**fed, output_hidden_states=True)


def raw(model: Any, stimuli: StimulusSet, layers: list[str]) -> dict[str, np.ndarray]:
    """What layers give for all stimuli in one batch, unreduced."""
    found: dict[str, np.ndarray] = {}
    model.run(stimuli.batch(range(len(stimuli))), layers, lambda layer, out: found.update({layer: out.array.numpy()}))
    return found


# --- against transformers


@pytest.mark.parametrize("name", NAMES)
def test_random_is_the_plain_constructor_and_disturbs_no_generator(tiny: Make, name: str) -> None:
    plugin = tiny(name)
    expected = plain(plugin, 7).state_dict()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with plugin.load(Variant.parse("random:7"), device="cpu") as model:
        state = model.module.state_dict()
        assert list(state) == list(expected)
        assert all(torch.equal(state[key], expected[key]) for key in expected)
        assert not any(module.training for module in model.module.modules())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", WAVEFORMS)
def test_layers_are_the_hidden_states_of_transformers(tiny: Make, sounds: Sounds, name: str) -> None:
    """Each hidden state is what goes into the next layer; the last is what the network returns."""
    plugin, stimuli = tiny(name), sounds(1.0)
    network = plain(plugin, 3)
    expected = hidden(plugin, network, stimuli.load(0))
    with plugin.load(Variant.parse("random:3"), device="cpu") as model:
        found = raw(model, stimuli, list(model.layers))
    assert list(found)[:8] == [*(f"feature_extractor.conv_layers.{place}" for place in range(7)), "feature_projection"]
    for place in range(2):
        states = expected["hidden_states"][place + 1].numpy()
        np.testing.assert_allclose(found[f"encoder.layers.{place}"], states, atol=TOLERANCE)
    last = "encoder.layer_norm" if plugin.card.layers[-1] == "encoder.layer_norm" else "encoder.layers.2"
    np.testing.assert_allclose(found[last], expected["last_hidden_state"].numpy(), atol=TOLERANCE)
    if last == "encoder.layers.2":
        states = expected["hidden_states"][0].numpy()
        np.testing.assert_allclose(found["encoder.layer_norm"], states, atol=TOLERANCE)
    assert found["feature_extractor.conv_layers.6"].shape == (1, 8, 49)
    assert np.abs(found["encoder.layers.0"] - found["encoder.layers.2"]).max() > 0.01


def test_whispers_layers_are_the_hidden_states_of_transformers(tiny: Make, sounds: Sounds) -> None:
    plugin, stimuli = tiny("whisper"), sounds(1.0)
    network = plain(plugin, 3)
    expected = hidden(plugin, network, stimuli.load(0))
    with plugin.load(Variant.parse("random:3"), device="cpu") as model:
        found = raw(model, stimuli, list(model.layers))
    states = expected["hidden_states"][1].numpy()
    np.testing.assert_allclose(found["encoder.layers.0"], states, atol=TOLERANCE)
    np.testing.assert_allclose(found["encoder.layer_norm"], expected["last_hidden_state"].numpy(), atol=TOLERANCE)
    assert found["encoder.conv1"].shape == (1, 16, 300)


@pytest.mark.parametrize(("duration", "valid"), [(1.0, 50), (0.01, 1), (1.011, 51), (3.0, 150), (4.0, 150)])
def test_whispers_mean_is_over_the_steps_within_the_sound(
    tiny: Make, sounds: Sounds, duration: float, valid: int
) -> None:
    """A step of the encoder is 20 ms; of a window of 3 s, those count that begin before the sound ends."""
    plugin, stimuli = tiny("whisper"), sounds(duration)
    expected = hidden(plugin, plain(plugin, 0), stimuli.load(0))["last_hidden_state"].numpy()[0]
    with plugin.load(Variant.parse("random:0"), device="cpu") as model:
        found = activations_in_memory(model, stimuli, ["encoder.conv1", "encoder.layer_norm"], reduction="time-mean")
        steps = raw(model, stimuli, ["encoder.conv1"])["encoder.conv1"][0]
    np.testing.assert_allclose(found["encoder.layer_norm"].array()[0], expected[:valid].mean(0), atol=TOLERANCE)
    n_early = min(300, int(np.ceil(duration * 100 - 1e-9)))  # conv1 has steps of 10 ms
    np.testing.assert_allclose(found["encoder.conv1"].array()[0], steps[:, :n_early].mean(1), atol=TOLERANCE)


def test_spectrograms_layers_are_means_over_patches(tiny: Make, sounds: Sounds) -> None:
    """Of 25 patches in time, a sound of 1 s (98 frames) holds 9 whole ones: 16 frames each, 10 apart."""
    plugin, stimuli = tiny("spectrogram"), sounds(1.0)
    network = plain(plugin, 3)
    given: dict[str, Any] = {}
    parts = dict(network.named_modules())
    for layer in ("embeddings.patch_embeddings", "encoder.layers.1.output.dense", "encoder.layers.0"):
        name = next(part for part in parts if family_named("audio-spectrogram-transformer").layer(part) == layer)
        parts[name].register_forward_hook(lambda _, __, output, layer=layer: given.update({layer: output}))
    logits = hidden(plugin, network, stimuli.load(0))["logits"].numpy()
    layers = [*given, "classifier.dense"]
    with plugin.load(Variant.parse("random:3"), device="cpu") as model:
        found = activations_in_memory(model, stimuli, layers, reduction="time-mean")
        assert [name for name in model.layers if name.endswith("output.dense")] == [
            "encoder.layers.0.output.dense",
            "encoder.layers.1.output.dense",
        ]
    np.testing.assert_allclose(found["classifier.dense"].array(), logits, atol=TOLERANCE)
    for layer, output in given.items():
        tokens = (output[0] if isinstance(output, tuple) else output)[0].numpy()
        assert len(tokens) in (75, 77)  # 3 patches in frequency, 25 in time; two tokens without a place
        # the first of frequency's patches come first: patch f * 25 + t
        chosen = [tokens[len(tokens) - 75 + f * 25 + t] for f in range(3) for t in range(9)]
        np.testing.assert_allclose(found[layer].array()[0], np.mean(chosen, axis=0), atol=TOLERANCE)


def test_the_filter_bank_is_transformers_own_and_kaldis_rules(tiny: Make, sounds: Sounds) -> None:
    plugin, sound = tiny("spectrogram"), sounds(0.7).load(0)
    features = features_of(plugin.architecture())
    assert isinstance(features, FilterBank)
    found = features.make([sound.array])[0]
    frames = features.filter_bank(sound.array)
    np.testing.assert_allclose(frames, kaldi(sound.array, 36), rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(found[: len(frames)], (frames + 4.2677393) / (2 * 4.5689974), atol=1e-6)
    np.testing.assert_allclose(found[len(frames) :], 4.2677393 / (2 * 4.5689974), atol=1e-6)
    audio = import_transformers("utils.import_utils")
    if not audio.is_speech_available():
        theirs = extractor(plugin)(sound.array, sampling_rate=16_000, return_tensors="np")["input_values"][0]
        np.testing.assert_array_equal(found, theirs.astype(np.float32))


def kaldi(sound: np.ndarray, n_bands: int) -> np.ndarray:
    """Kaldi's log filter bank by its definition, frame by frame and band by band."""
    n_frames = 1 + (len(sound) - 400) // 160
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    mel = 1127 * np.log1p(np.fft.rfftfreq(512, 1 / 16_000) / 700)
    low, high = (1127 * np.log1p(frequency / 700) for frequency in (20, 8000))
    step = (high - low) / (n_bands + 1)
    found = np.empty((n_frames, n_bands))
    for place in range(n_frames):
        frame = sound[place * 160 : place * 160 + 400].astype(np.float64)
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, 512)) ** 2
        for band in range(n_bands):
            left, centre, right = (low + (band + offset) * step for offset in range(3))
            weight = np.clip(np.minimum((mel - left) / (centre - left), (right - mel) / (right - centre)), 0, None)
            found[place, band] = np.log(max(np.sum(weight * power), np.finfo(np.float32).eps))
    return found


# --- alone and together


@pytest.mark.parametrize("name", NAMES)
def test_sounds_of_different_length_give_together_what_they_give_alone(tiny: Make, sounds: Sounds, name: str) -> None:
    together = sounds(1.0, 1.5, 2.0, 1.0)
    with tiny(name).load(Variant.parse("random:0"), device="cpu") as model:
        found = activations_in_memory(model, together, model.layers, reduction="time-mean", batch_size=4)
        for place, stimulus in enumerate(together):
            one = StimulusSet("one", "audio", {stimulus.id: stimulus})
            alone = activations_in_memory(model, one, model.layers, reduction="time-mean")
            for layer, activations in alone.items():
                np.testing.assert_allclose(found[layer].array()[place], activations.array()[0], atol=TOLERANCE)


@pytest.mark.parametrize("name", ["wav2vec2", "conformer-relative", "conformer-rotary", "hubert", "wavlm"])
def test_padding_would_leak_which_is_why_lengths_are_kept_apart(tiny: Make, sounds: Sounds, name: str) -> None:
    """With the mask that transformers makes for it, a padded sound still gives something else than alone."""
    plugin, stimuli = tiny(name), sounds(1.0, 2.0)
    network, both = plain(plugin, 0), [stimulus.array for stimulus in stimuli]
    with quiet(), torch.no_grad():
        padded = extractor(plugin)(both, sampling_rate=16_000, return_tensors="pt", padding=True)
        alone = extractor(plugin)(both[0], sampling_rate=16_000, return_tensors="pt")
        gaps = network(**padded)[0][0, :49] - network(**alone)[0][0]
    assert gaps.abs().max() > 100 * TOLERANCE
    with plugin.load(Variant.parse("random:0"), device="cpu") as model:
        assert model.batching == "equal-length"
        with pytest.raises(DataError, match=r"one length, found \[16000, 32000\]"):
            raw(model, stimuli, ["feature_projection"])


@pytest.mark.parametrize("name", ["wavlm", "whisper", "spectrogram"])
def test_the_contract_of_models_is_kept(tiny: Make, name: str) -> None:
    """What the conformance kit checks in this process; ``test_wav2vec2_conformance`` does the rest."""
    assert {outcome.status for outcome in check_model(tiny(name))} <= {"passed", "skipped"}


def test_parts_of_layers_are_found_and_containers_are_not(tiny: Make, sounds: Sounds) -> None:
    stimuli = sounds(1.0)
    with tiny("conformer-rotary").load(Variant.parse("random:0"), device="cpu") as model:
        assert model.find("encoder.layers.*") == [f"encoder.layers.{place}" for place in range(3)]
        assert not model.find("encoder.layers")
        assert not [name for name in model.find("**") if "embed_positions" in name or "parametrizations" in name]
        axes: dict[str, Any] = {}
        layers = ["feature_extractor.conv_layers.1.layer_norm", "encoder.layers.1.self_attn", "encoder.layers.1.ffn2"]
        layers += ["encoder.layers.1.conv_module.depthwise_conv", "encoder.layers.1.conv_module"]
        model.run(stimuli.batch([0]), layers, lambda layer, out: axes.update({layer: (out.axes, out.array.shape[1:])}))
        for layer, (names, shape) in axes.items():
            n_steps, n_channels = (1599, 8) if layer.startswith("feature") else (49, 16)
            assert dict(zip(names, shape, strict=True)) == {"time": n_steps, "channel": n_channels}, layer
        with pytest.raises(LayerError, match=r"no module 'encoder\.layers\.7'"):
            raw(model, stimuli, ["encoder.layers.7"])


def test_permuted_leaves_alone_what_no_training_changes(tiny: Make) -> None:
    for name, constant in (
        ("conformer-rotary", "encoder.embed_positions.inv_freq"),
        ("whisper", "embed_positions.weight"),
    ):
        plugin = tiny(name)
        network = plain(plugin, 0)
        recipe = plugin.recipe(None)
        found = build_variant(
            recipe.build,
            Variant.parse("permuted:0"),
            weights=network.state_dict(),
            front_end=recipe.front_end,
            rename=recipe.rename,
        ).state_dict()
        before = network.state_dict()
        assert torch.equal(found[constant], before[constant])
        moved = [key for key in before if before[key].numel() > 50 and not torch.equal(found[key], before[key])]
        assert len(moved) > 10
        assert all(
            torch.equal(found[key].sort().values, before[key].sort().values) for key in moved if before[key].ndim == 1
        )


# --- sounds


@pytest.mark.parametrize("name", NAMES)
def test_silence_gives_something_finite(tiny: Make, name: str) -> None:
    silence = StimulusSet("one", "audio", {"silence": Stimulus("silence", "audio", np.zeros(16_000, np.float32), 16e3)})
    with tiny(name).load(Variant.parse("random:0"), device="cpu") as model:
        found = activations_in_memory(model, silence, model.layers, reduction="time-mean")
    assert all(np.isfinite(activations.array()).all() for activations in found.values())


def test_sounds_are_averaged_over_channels_and_resampled() -> None:
    time_s = np.arange(44_100) / 44_100
    tone = np.sin(2 * np.pi * 440 * time_s)
    found = mono(np.stack([tone, 3 * tone], axis=1), 44_100, 16_000)
    assert found.shape == (16_000,)
    expected = 2 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(found[800:-800], expected[800:-800], atol=2e-3)


def test_the_checkpoint_says_whether_sounds_are_normalised(tiny: Make, sounds: Sounds) -> None:
    for name, normalised in (("wav2vec2", True), ("wavlm", False)):
        architecture, stimuli = tiny(name).architecture(), sounds(1.0)
        [made] = features_of(architecture)(stimuli.batch([0]))["input_values"]
        sound = stimuli.load(0).array
        expected = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7) if normalised else sound
        np.testing.assert_allclose(made, expected, atol=1e-5)
        other = replace(architecture, features={**architecture.features, "do_normalize": not normalised})
        [made] = features_of(other)(stimuli.batch([0]))["input_values"]
        assert np.abs(made - expected).max() > 0.1


@pytest.mark.parametrize(
    ("name", "stimulus", "words"),
    [
        ("wav2vec2", Stimulus("x", "audio", np.full(16_000, np.nan, np.float32), 16e3), r"'x'.*16000 of 16000"),
        ("whisper", Stimulus("x", "audio", np.zeros(16_000, np.float32)), r"'x'.*sampling rate in Hz"),
        ("hubert", Stimulus("x", "image", np.zeros((8, 8, 3), np.uint8)), r"'x'.*'image'"),
        ("wavlm", Stimulus("x", "audio", np.zeros(399, np.float32), 16e3), r"'x'.*at least 400 samples.*399"),
        ("conformer-rotary", Stimulus("x", "audio", np.zeros(800, np.float32), 48e3), r"'x'.*at least 400.*267"),
        ("spectrogram", Stimulus("x", "audio", np.zeros(399, np.float32), 16e3), r"'x'.*at least 400 samples.*399"),
        ("whisper", Stimulus("x", "audio", np.zeros((0, 2), np.float32), 16e3), r"'x'.*\(0"),
        ("whisper", Stimulus("x", "audio", np.zeros((4, 4, 4), np.float32), 16e3), r"'x'.*\(4, 4, 4\)"),
    ],
)
def test_a_sound_that_cannot_be_used_is_named(tiny: Make, name: str, stimulus: Stimulus, words: str) -> None:
    stimuli = StimulusSet("one", stimulus.modality, {"x": stimulus})
    with tiny(name).load(Variant.parse("random:0"), device="cpu") as model, pytest.raises(DataError, match=words):
        raw(model, stimuli, [model.layers[0]])


def test_the_shortest_sound_gives_one_step(tiny: Make) -> None:
    shortest = StimulusSet("one", "audio", {"x": Stimulus("x", "audio", np.ones(400, np.float32), 16e3)})
    for name in ("wav2vec2-stable", "conformer-relative"):
        with tiny(name).load(Variant.parse("random:0"), device="cpu") as model:
            assert raw(model, shortest, ["encoder.layers.2"])["encoder.layers.2"].shape == (1, 1, 16)


def test_a_variant_without_a_file_is_refused_in_one_line(tiny: Make, tmp_path: Path) -> None:
    with pytest.raises(FilesError, match=r"There are no weights at .*nowhere"):
        tiny("hubert").load(Variant.parse(f"file:{tmp_path / 'nowhere'}"), device="cpu")
    with pytest.raises(UsageError, match="is no variant"):
        Variant.parse("random:x")
