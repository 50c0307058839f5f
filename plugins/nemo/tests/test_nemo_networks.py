"""Stand-ins of every class and encoder: built and saved by NeMo, loaded from their files, heard layer by layer.

What is expected comes from the network that NeMo built, from hooks and loops that are written out here, and from the
lengths that its strides give by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from isocortex.errors import DataError, SettingsError  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from tests.nemo_stand_ins import FOUR, STAND_INS  # noqa: E402

pytestmark = [pytest.mark.nemo, pytest.mark.xdist_group("nemo")]

#: four in the gate, the others in the long proofs
NAMES = [name if name in FOUR else pytest.param(name, marks=pytest.mark.long) for name in STAND_INS]
DURATIONS = (2.0, 1.5, 1.0)

_MEL, _HALF, _QUARTER, _EIGHTH = (200, 150, 100), (100, 75, 50), (50, 38, 25), (25, 19, 13)
#: layer → valid steps of 2, 1.5 and 1 s: floor(samples / 160), then ceil(half) for each stride of two
_ATTENTION = ("pre_encode", "encoder.layers.0", "encoder.layers.1")
_BY_FOUR, _BY_EIGHT = dict.fromkeys(_ATTENTION, _QUARTER), dict.fromkeys(_ATTENTION, _EIGHTH)


def _blocks(*valid: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    return {f"encoder.blocks.{number}": steps for number, steps in enumerate(valid)}


VALID: dict[str, dict[str, tuple[int, ...]]] = {
    "conformer-ctc": {**_BY_FOUR, "ctc_logits": _QUARTER},
    "fastconformer-ctc": {**_BY_EIGHT, "ctc_logits": _EIGHTH},
    "squeezeformer-ctc": {
        **_BY_FOUR, "encoder.layers.1": _EIGHTH, "encoder.layers.2": _EIGHTH, "encoder.layers.3": _QUARTER,
        "ctc_logits": _QUARTER,
    },
    "citrinet": {**_blocks(_MEL, _HALF, _HALF, _QUARTER, _EIGHTH, _EIGHTH), "ctc_logits": _EIGHTH},
    "jasper": {**_blocks(*[_HALF] * 5), "ctc_logits": _HALF},
    "quartznet": {**_blocks(*[_HALF] * 4), "ctc_logits": _HALF},
    "contextnet": _blocks(_MEL, _HALF, _HALF, _QUARTER),
    "conformer-transducer": _BY_FOUR,
    "self-supervised": _BY_FOUR,
    # a causal stride pads by one more step at the front
    "streaming": dict.fromkeys(_ATTENTION, (26, 20, 14)),
    **dict.fromkeys(("fastconformer-transducer", "parakeet-tdt", "hybrid", "tdt-ctc", "canary"), _BY_EIGHT),
}  # fmt: skip


def heard(model: Any, stimuli: Any, layers: Sequence[str] = ()) -> dict[str, Any]:
    """Layer → what it gave for all stimuli in one batch, with lengths and axes."""
    found = {}

    def emit(layer: str, output: Any) -> None:
        found[layer] = (output.array.clone(), tuple(output.axes), list(output.lengths or ()))

    model.run(stimuli.batch(range(len(stimuli))), layers or model.layers, emit)
    return found


def modules_of(network: Any, layer: str) -> Any:
    """The module that a layer is, found by NeMo's own names."""
    if layer == "ctc_logits":
        return network.ctc_decoder if hasattr(network, "ctc_decoder") else network.decoder
    names = {"pre_encode": "encoder.pre_encode"}
    return network.get_submodule(names.get(layer, layer.replace("encoder.blocks", "encoder.encoder")))


def expected_tensors(network: Any, stimuli: Any, layers: Sequence[str]) -> dict[str, Any]:
    """Layer → (n_clips, n_steps, n_channels), by hooks on the network that NeMo built, and one padded batch."""
    taken: dict[str, Any] = {}

    def hook(layer: str) -> Callable[..., None]:
        def take(module: Any, arguments: Any, output: Any) -> None:
            tensor = output
            if isinstance(tensor, tuple):
                tensor = tensor[0]
            if isinstance(tensor, list):  # a block: its own output is the newest
                tensor = tensor[len(tensor) - 1]
            turned = layer.startswith("encoder.blocks")
            taken[layer] = tensor.detach().clone().transpose(1, 2) if turned else tensor.detach().clone()

        return take

    arrays = [stimulus.array for stimulus in stimuli]
    padded = torch.zeros(len(arrays), max(map(len, arrays)))
    for row, array in enumerate(arrays):
        padded[row, : len(array)] = torch.from_numpy(array)
    handles = [modules_of(network, layer).register_forward_hook(hook(layer)) for layer in layers]
    with torch.no_grad():
        network(input_signal=padded, input_signal_length=torch.tensor([len(array) for array in arrays]))
    for handle in handles:
        handle.remove()
    return taken


@pytest.mark.parametrize("name", NAMES)
def test_a_network_of_a_file_gives_what_the_one_that_was_built_gives(
    load: Any, made: Any, sounds: Any, name: str
) -> None:
    stimuli = sounds(*DURATIONS)
    with load(name) as model:
        found = heard(model, stimuli)
        assert list(found) == list(VALID[name])
        assert not any(part.training for part in model.module.modules())
    expected = expected_tensors(made.built(name), stimuli, list(found))
    for layer, (array, axes, lengths) in found.items():
        by_time = array if axes == ("time", "channel") else array.transpose(1, 2)
        assert tuple(lengths) == VALID[name][layer], layer
        assert by_time.shape[1] > lengths[1], "padding is not counted"
        np.testing.assert_allclose(by_time, expected[layer], atol=1e-6, rtol=1e-6, err_msg=layer)


@pytest.mark.parametrize("name", NAMES)
def test_time_means_are_those_of_a_plain_loop_over_valid_steps(load: Any, made: Any, sounds: Any, name: str) -> None:
    stimuli = sounds(*DURATIONS)
    with load(name) as model:
        found = activations_in_memory(model, stimuli, model.layers, reduction="time-mean")
    expected = expected_tensors(made.built(name), stimuli, list(found))
    for layer, activations in found.items():
        tensor = expected[layer].double().numpy()
        for clip, n_valid in enumerate(VALID[name][layer]):
            total = np.zeros(tensor.shape[2])
            for step in range(n_valid):
                total += tensor[clip, step]
            np.testing.assert_allclose(activations.array()[clip], total / n_valid, atol=1e-6, err_msg=layer)
        # what the mask is for: the mean over all steps is another one
        unmasked = tensor[2].mean(0)
        assert np.abs(unmasked - activations.array()[2]).max() > 1e-3 * np.abs(unmasked).max(), layer


@pytest.mark.parametrize("name", NAMES)
def test_two_runs_are_equal_and_a_batch_is_its_clips_alone(load: Any, sounds: Any, name: str) -> None:
    stimuli = sounds(*DURATIONS)
    with load(name) as model:
        assert model.batching == "any"
        layers = [*model.layers, *model.find("preprocessor"), *model.find("encoder"), *model.find("encoder.*.*.*")]
        first, second = heard(model, stimuli, layers), heard(model, stimuli, layers)
        for layer in layers:
            assert torch.equal(first[layer][0], second[layer][0]), layer
        for clip in range(len(stimuli)):
            one = stimuli.batch([clip])
            alone: dict[str, Any] = {}
            model.run(one, layers, lambda layer, output, alone=alone: alone.update({layer: output}))
            for layer, output in alone.items():
                array, axes, lengths = first[layer]
                assert list(output.lengths) == [lengths[clip]], layer
                time = axes.index("time") + 1
                whole = array[clip : clip + 1].narrow(time, 0, lengths[clip])
                part = output.array.narrow(time, 0, lengths[clip])
                np.testing.assert_allclose(whole, part, atol=1e-5, rtol=1e-5, err_msg=layer)


def test_the_output_of_an_encoder_is_its_last_layer_byte_by_byte(load: Any, sounds: Any) -> None:
    with load("conformer-ctc") as model:
        found = heard(model, sounds(*DURATIONS), ["encoder.layers.1", "encoder"])
    assert torch.equal(found["encoder"][0], found["encoder.layers.1"][0])
    assert found["encoder"][0].stride() == found["encoder.layers.1"][0].stride()


def test_a_jasper_block_is_its_newest_output(load: Any, sounds: Any) -> None:
    """Dense residuals: a block hands all outputs before it on, the first of which never change."""
    with load("jasper") as model:
        found = heard(model, sounds(1.0))
        block = model.module.encoder.encoder[2]
        given: list[Any] = []
        handle = block.register_forward_hook(lambda *heard: given.append(heard[2][0]))
        heard(model, sounds(1.0))
        handle.remove()
    assert len(given[0]) > 1
    assert torch.equal(found["encoder.blocks.2"][0], given[0][-1])
    assert found["encoder.blocks.2"][0].shape != given[0][0].shape


# --- what NeMo leaves to chance


def test_a_network_comes_ready_to_listen(load: Any, made: Any, nemo: Any) -> None:
    with load("hybrid") as model:
        assert not any(part.training for part in model.module.modules())
        assert (model.module.preprocessor.featurizer.dither, model.module.preprocessor.featurizer.pad_to) == (0, 0)
    plain = nemo.ASRModel.restore_from(str(made.file("hybrid")), map_location="cpu")
    assert plain.training, "what NeMo gives is in training mode, or this test proves nothing"


@pytest.mark.long
def test_the_self_supervised_network_does_not_mask(load: Any, sounds: Any) -> None:
    stimuli = sounds(*DURATIONS)
    with load("self-supervised") as model:
        first, second = heard(model, stimuli), heard(model, stimuli)
        assert all(torch.equal(first[layer][0], second[layer][0]) for layer in first)
        model.module.apply_masking = True
        masked, again = heard(model, stimuli), heard(model, stimuli)
    assert any(not torch.equal(masked[layer][0], again[layer][0]) for layer in first), "NeMo masks in evaluation mode"


def test_transcribing_never_touches_a_network_that_listens(load: Any, made: Any, sounds: Any, nemo: Any) -> None:
    from isocortex.catalogue.cards import Variant
    from isocortex.loading.resolver import resolver
    from isocortex_nemo.transcription import transcribe

    stimuli = sounds(*DURATIONS)
    plugin: Any = resolver().model(f"nemo:{made.file('conformer-ctc')}")
    with load("conformer-ctc") as model:
        before = heard(model, stimuli)
        transcribe(plugin, Variant.parse("pretrained"), stimuli.load(0).array)
        after = heard(model, stimuli)
        assert all(torch.equal(before[layer][0], after[layer][0]) for layer in before)
        # NeMo's own way leaves the encoder in training mode
        from isocortex_nemo.network import quiet

        with quiet():
            model.module.transcribe([stimuli.load(0).array], batch_size=1, num_workers=0, verbose=False)
        assert any(part.training for part in model.module.modules())
        spoilt = heard(model, stimuli)
    assert not torch.equal(before["encoder.layers.1"][0], spoilt["encoder.layers.1"][0])


@pytest.mark.parametrize("name", NAMES)
def test_the_command_prints_what_nemo_writes(
    made: Any, nemo: Any, isocortex: Any, sounds: Any, tmp_path: Any, name: str
) -> None:
    import soundfile

    from isocortex_nemo.network import quiet

    sound = sounds(1.5).load(0).array
    soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype="FLOAT")
    if name == "self-supervised":
        done = isocortex("nemo", "transcribe", f"nemo:{made.file(name)}", str(tmp_path / "a.wav"))
        assert done.returncode == 2
        assert "is a SpeechEncDecSelfSupervisedModel, which writes nothing" in done.stderr
        return
    with quiet():
        plain = nemo.ASRModel.restore_from(str(made.file(name)), map_location="cpu").eval()
        prompt = {"source_lang": "en", "target_lang": "en", "task": "asr", "pnc": "yes"} if name == "canary" else {}
        found = plain.transcribe([sound], batch_size=1, num_workers=0, verbose=False, **prompt)
    expected = found[0][0] if isinstance(found, tuple) else found[0]
    done = isocortex("nemo", "transcribe", f"nemo:{made.file(name)}", str(tmp_path / "a.wav"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{getattr(expected, 'text', expected)}\n"
    assert done.stderr == ""


def test_what_cannot_write_says_so(made: Any, isocortex: Any, sounds: Any, tmp_path: Any) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", sounds(0.5).load(0).array, 16_000)
    done = isocortex("nemo", "transcribe", "noise", str(tmp_path / "a.wav"))
    assert done.returncode == 2
    assert "noise is no network of NeMo" in done.stderr
    done = isocortex("nemo", "transcribe", f"nemo:{made.file('jasper')}@random:0", str(tmp_path / "a.wav"))
    assert done.returncode == 2
    assert "has no trained weights; what it would write says nothing" in done.stderr


def test_convolutions_that_do_not_mask_run_one_by_one(made: Any, sounds: Any, tmp_path: Any, nemo: Any) -> None:
    from omegaconf import OmegaConf

    from isocortex.loading.by_name import load_model
    from tests.nemo_stand_ins import config_of

    config = config_of("quartznet", made.tokenizer)
    config["encoder"]["conv_mask"] = False
    plain = nemo.EncDecCTCModel(cfg=OmegaConf.create(config)).eval()
    plain.save_to(str(tmp_path / "unmasked.nemo"))
    stimuli = sounds(*DURATIONS)
    with load_model(f"nemo:{tmp_path / 'unmasked.nemo'}") as model:
        assert model.batching == "single"
        last = model.layers[-2]
        whole = heard(model, stimuli, [last])[last]
        alone = heard(model, sounds(2.0, 1.5, 1.0), [last])[last]
        assert torch.equal(whole[0], alone[0])
        one: dict[str, Any] = {}
        model.run(stimuli.batch([2]), [last], lambda layer, output: one.update({layer: output.array}))
        assert whole[2] == [100, 75, 50]
        n_valid = whole[2][2]
        leaked = (whole[0][2, :, :n_valid] - one[last][0, :, :n_valid]).abs().max()
        assert leaked > 1e-3, "padding leaks into such a network, or the guard is for nothing"
        means = activations_in_memory(model, stimuli, [last], reduction="time-mean")[last].array()
    np.testing.assert_allclose(means[2], one[last][0, :, :n_valid].mean(-1), atol=1e-6)


# --- heads, decoders, look-ahead


def test_both_heads_of_a_hybrid_are_there_on_request(load: Any, made: Any, sounds: Any) -> None:
    stimuli, network = sounds(1.0), made.built("hybrid")
    signal, length = torch.from_numpy(stimuli.load(0).array)[None], torch.tensor([16000])
    with torch.no_grad():
        encoded, _ = network(input_signal=signal, input_signal_length=length)
        ctc = network.ctc_decoder(encoder_output=encoded)
        start, _ = network.decoder.predict(None, state=None, add_sos=False, batch_size=1)
        joint = network.joint.joint(encoded.transpose(1, 2), start)[:, :, 0]
    with load("hybrid") as model:
        assert not {"ctc_logits", "joint_logits"} & set(model.layers)
        found = heard(model, stimuli, ["ctc_logits", "joint_logits"])
    np.testing.assert_allclose(found["ctc_logits"][0], ctc, atol=1e-6)
    np.testing.assert_allclose(found["joint_logits"][0].log_softmax(-1), joint, atol=1e-6)


def test_the_decoder_of_a_canary_hears_through_its_prompt(load: Any, made: Any, sounds: Any) -> None:
    stimuli, network = sounds(2.0, 1.5), made.built("canary")
    special = network.tokenizer.special_tokens
    prompt = [special[token] for token in ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|en|>", "<|pnc|>")]
    states: list[Any] = []
    layer = network.transf_decoder._decoder.layers[1]
    handle = layer.register_forward_hook(lambda *heard: states.append(heard[2]))
    padded = torch.zeros(2, 32000)
    for row, stimulus in enumerate(stimuli):
        padded[row, : len(stimulus.array)] = torch.from_numpy(stimulus.array)
    with torch.no_grad():
        network(
            input_signal=padded, input_signal_length=torch.tensor([32000, 24000]),
            transcript=torch.tensor([prompt, prompt]), transcript_length=torch.tensor([5, 5]),
        )  # fmt: skip
    handle.remove()
    expected = states[0][0] if isinstance(states[0], tuple) else states[0]
    with load("canary") as model:
        assert not [name for name in model.layers if name.startswith("decoder")]
        found = heard(model, stimuli, model.find("decoder.layers.*"))
    array, axes, _ = found["decoder.layers.1"]
    assert axes == ("token", "channel")
    np.testing.assert_allclose(array, expected, atol=1e-6)
    assert (array[0] - array[1]).abs().max() > 1e-4, "it depends on the sound"


@pytest.mark.long
def test_the_look_ahead_is_an_option_and_part_of_the_digest(made: Any, sounds: Any) -> None:
    from isocortex.catalogue.cards import Variant
    from isocortex.loading.resolver import resolver

    stimuli, network = sounds(2.0), made.built("streaming")
    signal = torch.from_numpy(stimuli.load(0).array)[None]
    found = resolver().model(f"nemo:{made.file('streaming')}")
    kind, variant = type(found), Variant.parse("pretrained")
    digests, outputs = set(), []
    for look_ahead, context in ((None, [70, 13]), (1040, [70, 13]), (480, [70, 6]), (80, [70, 1]), (0, [70, 0])):
        options = {} if look_ahead is None else {"look_ahead_ms": look_ahead}
        plugin = kind(found.card.model_copy(update={"options": options}))
        digests.add(plugin.digest(variant))
        network.encoder.set_default_att_context_size(context)
        with torch.no_grad():
            expected, _ = network(input_signal=signal, input_signal_length=torch.tensor([32000]))
        with plugin.load(variant, device="cpu") as model:
            outputs.append(heard(model, stimuli, ["encoder"])["encoder"][0])
        np.testing.assert_allclose(outputs[-1].transpose(1, 2), expected, atol=1e-6)
    network.encoder.set_default_att_context_size([70, 13])
    assert len(digests) == 5
    assert torch.equal(outputs[0], outputs[1])
    assert len({array.numpy().tobytes() for array in outputs}) == 4
    wrong = kind(found.card.model_copy(update={"options": {"look_ahead_ms": 100}}))
    with pytest.raises(SettingsError, match="look_ahead_ms is 100; this network has 1040, 480, 80, 0"):
        wrong.load(variant, device="cpu")


def test_parts_of_layers_are_found_by_pattern(load: Any, sounds: Any) -> None:
    with load("conformer-ctc") as model:
        assert model.find("encoder.layers.*.self_attn") == ["encoder.layers.0.self_attn", "encoder.layers.1.self_attn"]
        parts = model.find("encoder.layers.0.*")
        assert {name.rpartition(".")[2] for name in parts} == {
            "norm_feed_forward1", "feed_forward1", "norm_self_att", "self_attn", "norm_conv", "conv",
            "norm_feed_forward2", "feed_forward2", "norm_out",
        }  # fmt: skip
        found = heard(model, sounds(*DURATIONS), parts)
    assert {tuple(lengths) for _, _, lengths in found.values()} == {_QUARTER}
    assert {array.shape for array, _, _ in found.values()} == {(3, 51, 16)}


# --- sounds


@pytest.mark.parametrize("name", ["conformer-ctc", "jasper"])
def test_sounds_of_any_length_rate_and_channels_give_finite_values(load: Any, sounds: Any, name: str) -> None:
    with load(name) as model:
        for stimuli in (sounds(0.01), sounds(0.1), sounds(1.0, rate=44_100.0), sounds(1.0, n_channels=2)):
            found = activations_in_memory(model, stimuli, model.layers, reduction="time-mean")
            assert all(np.isfinite(values.array()).all() for values in found.values())
        silence = sounds(0.5)
        silence.load(0).array[:] = 0.0
        found = activations_in_memory(model, silence, model.layers, reduction="time-mean")
        assert all(np.isfinite(values.array()).all() for values in found.values())
        with pytest.raises(DataError, match="has 80 samples at 16 kHz; expected at least 160"):
            activations_in_memory(model, sounds(0.005), model.layers, reduction="time-mean")


def test_stereo_is_the_mean_of_its_channels(load: Any, sounds: Any) -> None:
    from isocortex.data.stimuli import Stimulus, StimulusSet

    stereo = sounds(1.0, n_channels=2)
    mono = StimulusSet("mono", "audio", {"s0": Stimulus("s0", "audio", stereo.load(0).array.mean(1), 16_000.0)})
    with load("conformer-ctc") as model:
        both = [activations_in_memory(model, stimuli, ["encoder"], reduction="time-mean") for stimuli in (stereo, mono)]
    np.testing.assert_array_equal(both[0]["encoder"].array(), both[1]["encoder"].array())


# --- variants


def test_variants_are_the_weights_that_their_names_say(load: Any, made: Any, sounds: Any) -> None:
    stimuli = sounds(1.0)

    def state(variant: str) -> dict[str, Any]:
        with load("jasper", variant) as model:
            return dict(model.module.state_dict())

    trained, shuffled = state("pretrained"), state("permuted:1")
    drawn, again, other = state("random:1"), state("random:1"), state("random:2")
    key = "encoder.encoder.1.mconv.0.conv.weight"
    assert all(torch.equal(trained[name], value) for name, value in made.built("jasper").state_dict().items())
    assert torch.equal(trained[key].flatten().sort().values, shuffled[key].flatten().sort().values)
    assert not torch.equal(trained[key], shuffled[key])
    assert torch.equal(shuffled["preprocessor.featurizer.fb"], trained["preprocessor.featurizer.fb"])
    assert all(torch.equal(drawn[name], again[name]) for name in drawn)
    assert not torch.equal(drawn[key], other[key])
    assert not torch.equal(drawn[key], trained[key])
    with load("jasper", "random:1") as model:
        heard(model, stimuli)


def test_loading_says_nothing(load: Any, sounds: Any, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("canary", "hybrid"):
        with load(name) as model:
            heard(model, sounds(1.0))
    assert capfd.readouterr() == ("", "")


def test_what_others_log_is_heard_after_nemo(nemo: Any) -> None:
    import logging

    from isocortex_nemo.network import quiet

    handler = logging.Handler()
    logging.getLogger("nemo_logger").addHandler(handler)
    try:
        with quiet():
            handler.setLevel(logging.CRITICAL)  # as NeMo does at the end of a transcription
        assert handler.level == logging.NOTSET
        assert logging.root.manager.disable == logging.NOTSET
    finally:
        logging.getLogger("nemo_logger").removeHandler(handler)
