"""Real sounds and a real brain: a network that NVIDIA trained, every stand-in scored, and what a notebook stored."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_nh2015")
pytest.importorskip("isocortex_metrics")

from scipy.signal import resample_poly  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402

from isocortex.data.stimuli import Stimulus, StimulusSet  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from isocortex.loading.by_name import load_card, load_model, load_stimuli  # noqa: E402
from tests.nemo_stand_ins import STAND_INS, pack_marblenet  # noqa: E402

pytestmark = [pytest.mark.nemo, pytest.mark.xdist_group("nemo")]

BENCHMARK = "NH2015comp.ridge"
SPEECH = ("EngSpeech", "ForSpeech")
#: mean p(speech) by category of the same arrays in another implementation, with a spectrogram of 201 frames
INDEPENDENT = {"EngSpeech": 0.694, "ForSpeech": 0.984, "Song": 0.262, "Nature": 0.025}


@pytest.fixture
def natural_sounds(realdata: Path, isocortex: Any) -> StimulusSet:
    """The 165 sounds, in the data folder of this test."""
    done = isocortex("fetch", "-b", BENCHMARK, "--from", str(realdata / "nh2015"))
    assert done.returncode == 0, done.stderr
    return load_stimuli("natsound165")


@pytest.fixture(scope="module")
def marblenet(nemo: Any, realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NVIDIA's trained frame-VAD MarbleNet as a ``.nemo`` file."""
    path = tmp_path_factory.mktemp("marblenet") / "marblenet.nemo"
    from isocortex_nemo.network import quiet

    with quiet():
        pack_marblenet(realdata / "networks" / "marblenet_vad_nemo.npz", path)
    return path


def resampled(stimuli: StimulusSet, n_more: int = 0) -> StimulusSet:
    """At 16 kHz by scipy's polyphase filter, with so many samples of silence behind."""
    sources = {}
    for stimulus in stimuli:
        mono = stimulus.array if stimulus.array.ndim == 1 else stimulus.array.mean(1)
        sound = np.concatenate([resample_poly(mono.astype(float), 160, 441), np.zeros(n_more)])
        sources[stimulus.id] = Stimulus(stimulus.id, "audio", sound.astype(np.float32), 16_000.0)
    return StimulusSet("polyphase", "audio", sources)


def speech_of(model: Any, stimuli: StimulusSet) -> np.ndarray:
    """Mean over valid frames of the probability of speech, one for each sound."""
    found: list[float] = []

    def emit(layer: str, output: Any) -> None:
        probability = torch.softmax(output.array, -1)[:, :, 1]
        found.extend(float(row[:n].mean()) for row, n in zip(probability, output.lengths, strict=True))

    for first in range(0, len(stimuli), 33):
        model.run(stimuli.batch(range(first, min(first + 33, len(stimuli)))), ["class_logits"], emit)
    return np.array(found)


def test_a_network_that_nvidia_trained_tells_speech_from_other_sounds(
    marblenet: Path, natural_sounds: StimulusSet
) -> None:
    category = natural_sounds.table["category"].to_numpy()
    is_speech = np.isin(category, SPEECH)
    assert (is_speech.sum(), (~is_speech).sum()) == (17, 148)
    with load_model(f"nemo:{marblenet}") as model:
        assert list(model.layers) == [*(f"encoder.blocks.{number}" for number in range(6)), "class_logits"]
        soxr = speech_of(model, natural_sounds)
        polyphase = speech_of(model, resampled(natural_sounds))
        # one frame more, as other versions of the preprocessor count them
        longer = speech_of(model, resampled(natural_sounds, 160))
    assert roc_auc_score(is_speech, polyphase) == pytest.approx(0.9777, abs=0.003)
    assert roc_auc_score(is_speech, soxr) == pytest.approx(0.968, abs=0.003)
    assert roc_auc_score(is_speech, longer) == pytest.approx(0.9777, abs=1e-4)
    by_category = {name: longer[category == name].mean() for name in INDEPENDENT}
    assert by_category == pytest.approx(INDEPENDENT, abs=1e-3)


def test_the_row_of_the_network_takes_the_file_and_says_its_resampler(marblenet: Path) -> None:
    name = "Frame_VAD_Multilingual_MarbleNet_v2.0"
    with load_model(f"{name}@file:{marblenet}") as model:
        assert len(model.layers) == 7
    card: Any = load_card("model", name)
    assert card.resampler == "polyphase"


@pytest.mark.long
def test_the_trained_network_is_scored_on_a_brain_like_any_other(
    marblenet: Path, natural_sounds: StimulusSet, isocortex: Any
) -> None:
    done = isocortex("info", f"nemo:{marblenet}")
    assert done.returncode == 0, done.stderr
    assert f"model nemo:{marblenet}" in done.stdout
    done = isocortex("score", "-m", f"nemo:{marblenet}", "-m", f"nemo:{marblenet}@random:0", "-b", BENCHMARK, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["status"] for row in rows} == {"scored"}
    speech = {row["variant"]: row["value"] for row in rows if row["region"] == "speech"}
    assert speech["pretrained"] > speech["random:0"]


@pytest.mark.long
def test_every_stand_in_is_scored_on_a_brain_in_one_command(
    made: Any, natural_sounds: StimulusSet, isocortex: Any
) -> None:
    models = [part for name in STAND_INS for part in ("-m", f"nemo:{made.file(name)}")]
    done = isocortex("score", *models, "-b", BENCHMARK, "--json", "--out", "scored")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert {row["status"] for row in rows} == {"scored"}
    assert len({row["model"] for row in rows}) == len(STAND_INS) == 15
    n_layers = {Path(row["model"]).stem: row["n_layers_searched"] for row in rows}
    assert n_layers["jasper"] == 6
    assert n_layers["canary"] == 3


@pytest.mark.long
def test_what_a_notebook_stored_of_all_sounds_is_what_is_extracted_here(
    made: Any, natural_sounds: StimulusSet, isocortex: Any, tmp_path: Path
) -> None:
    """165 pickles of what hooks on the ten children of a Canary were given: tuples with lengths, typed tensors."""
    network, source = made.built("canary"), tmp_path / "hooks"
    source.mkdir()
    taken: dict[str, Any] = {}
    children = dict(network.named_children())
    assert len(children) == 10
    handles = [
        child.register_forward_hook(lambda *heard, name=name: taken.update({name: heard[2]}))
        for name, child in children.items()
    ]
    prompt = [network.tokenizer.special_tokens[token] for token in ("<|startoftranscript|>", "<|en|>", "<|pnc|>")]
    sounds = {stimulus.id: stimulus for stimulus in resampled(natural_sounds)}
    with torch.no_grad():
        for name, stimulus in sounds.items():
            taken.clear()
            network(
                input_signal=torch.from_numpy(stimulus.array)[None],
                input_signal_length=torch.tensor([len(stimulus.array)]),
                transcript=torch.tensor([prompt]), transcript_length=torch.tensor([len(prompt)]),
            )  # fmt: skip
            held = {child: taken.get(child) for child in children}
            (source / f"{name}.pkl").write_bytes(pickle.dumps(held))
    for handle in handles:
        handle.remove()
    done = isocortex("import", "hooks", str(source), "--out", str(tmp_path / "stored"))
    assert done.returncode == 0, done.stderr
    assert "loss was left out: it holds no tensor" in done.stderr
    with load_model(f"nemo:{made.file('canary')}") as model, load_model(f"activations:{tmp_path / 'stored'}") as stored:
        stimuli = StimulusSet("polyphase", "audio", sounds)
        ours = activations_in_memory(model, stimuli, ["preprocessor", "encoder"], reduction="time-mean")
        theirs = activations_in_memory(stored, stimuli, stored.layers)
        ran = {"preprocessor", "encoder", "encoder_decoder_proj", "transf_decoder", "log_softmax"}
        assert set(stored.layers) == ran
    for layer, name in (("preprocessor", "preprocessor"), ("encoder", "encoder"), ("encoder_decoder_proj", "encoder")):
        np.testing.assert_allclose(theirs[layer].array(stimuli.ids), ours[name].array(stimuli.ids), atol=1e-6)
    assert theirs["encoder"].array().shape == (165, 16), "lengths are no feature"
    done = isocortex("score", "-m", f"activations:{tmp_path / 'stored'}", "-b", BENCHMARK, "--json")
    assert done.returncode == 0, done.stderr
