"""Names, tensors and lengths of layers, on modules that give what NeMo's give; NeMo is not needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from isocortex.errors import LayerError, SettingsError  # noqa: E402
from isocortex_nemo.layers import Layers, ValidSteps  # noqa: E402
from isocortex_nemo.network import batching_of, make_ready  # noqa: E402


class Gives(nn.Module):
    """A module that gives what it is told to."""

    def __init__(self, output: Any, **facts: Any) -> None:
        super().__init__()
        self.output = output
        for name, value in facts.items():
            setattr(self, name, value)

    def forward(self) -> Any:
        return self.output


class JasperBlock(Gives):
    """Called as NeMo's is, by which it is known."""


class MaskedConv1d(Gives):
    """Called as NeMo's is, by which it is known."""


def network(**parts: Any) -> nn.Module:
    model = nn.Module()
    model.preprocessor = parts.pop("preprocessor", Gives((torch.zeros(2, 4, 9), torch.tensor([8, 6]))))
    model.encoder = parts.pop("encoder", Gives((torch.zeros(2, 4, 5), torch.tensor([4, 3]))))
    for name, part in parts.items():
        setattr(model.encoder, name, part)
    return model


@pytest.mark.parametrize(
    ("kind", "module", "layer"),
    [
        ("EncDecCTCModelBPE", "preprocessor", "preprocessor"),
        ("EncDecCTCModelBPE", "preprocessor.featurizer", None),
        ("EncDecCTCModelBPE", "encoder", "encoder"),
        ("EncDecCTCModelBPE", "encoder.pre_encode", "pre_encode"),
        ("EncDecCTCModelBPE", "encoder.pre_encode.conv.0", None),
        ("EncDecCTCModelBPE", "encoder.layers.17", "encoder.layers.17"),
        ("EncDecCTCModelBPE", "encoder.layers.17.self_attn", "encoder.layers.17.self_attn"),
        ("EncDecCTCModelBPE", "encoder.layers.17.self_attn.linear_q", None),
        ("EncDecCTCModelBPE", "encoder.layers.17.dropout", None),
        ("EncDecCTCModelBPE", "encoder.encoder.3", "encoder.blocks.3"),
        ("EncDecCTCModelBPE", "encoder.encoder.3.mconv.1", "encoder.blocks.3.mconv.1"),
        ("EncDecCTCModelBPE", "encoder.encoder.3.res.0", None),
        ("EncDecCTCModelBPE", "encoder.time_reduce_layer", "encoder.time_reduce"),
        ("EncDecCTCModelBPE", "decoder", "ctc_logits"),
        ("EncDecRNNTBPEModel", "decoder", None),
        ("EncDecHybridRNNTCTCBPEModel", "ctc_decoder", "ctc_logits"),
        ("EncDecHybridRNNTCTCBPEModel", "joint.joint_net", "joint_logits"),
        ("EncDecMultiTaskModel", "transf_decoder._decoder.layers.2", "decoder.layers.2"),
        ("EncDecMultiTaskModel", "transf_encoder.layers.2", "transf_encoder.layers.2"),
        ("EncDecFrameClassificationModel", "decoder", "class_logits"),
    ],
)
def test_names_are_the_same_for_every_class(kind: str, module: str, layer: str | None) -> None:
    assert Layers(kind, is_convolutional=False).name(module) == layer


def test_default_layers_follow_the_class_and_the_encoder() -> None:
    assert Layers("EncDecCTCModel", is_convolutional=True).default == ["encoder.blocks.*", "ctc_logits"]
    for kind in ("EncDecRNNTBPEModel", "EncDecHybridRNNTCTCBPEModel", "EncDecMultiTaskModel"):
        assert Layers(kind, is_convolutional=False).default == ["pre_encode", "encoder.layers.*"]


def test_a_tensor_is_taken_out_of_whatever_a_module_gives() -> None:
    layers = Layers("EncDecCTCModelBPE", is_convolutional=False)
    first, last, lengths = torch.rand(2, 4, 5), torch.rand(2, 4, 5), torch.tensor([4, 3])
    assert layers.output("encoder.blocks.1", ([first, last], lengths)) is not None
    assert torch.equal(layers.output("encoder.blocks.1", ([first, last], lengths)), last)
    assert torch.equal(layers.output("pre_encode", (first, lengths)), first)
    assert torch.equal(layers.output("encoder.layers.0", first), first)
    turned = layers.output("encoder", (first, lengths))
    assert torch.equal(turned, first.transpose(1, 2))
    assert turned.is_contiguous()
    convolutional = Layers("EncDecCTCModel", is_convolutional=True)
    assert torch.equal(convolutional.output("encoder", (first, lengths)), first)
    joint = torch.rand(2, 5, 1, 7)
    assert torch.equal(layers.output("joint_logits", joint), joint[:, :, 0])
    with pytest.raises(LayerError, match="'x' is a dict without a tensor"):
        layers.output("x", {})


def test_lengths_are_those_of_the_last_module_that_said_so() -> None:
    pre_encode = Gives((torch.zeros(2, 5, 4), torch.tensor([4, 3])))
    model = network(pre_encode=pre_encode)
    steps = ValidSteps(model)
    model.preprocessor()
    assert steps.lengths(None, "preprocessor", 9) == [8, 6]
    model.encoder.pre_encode()
    assert steps.lengths(None, "encoder.layers.0", 5) == [4, 3]
    with pytest.raises(LayerError, match=r"'encoder\.layers\.0' has 3 steps, and \[4, 3\] of its clips are valid"):
        steps.lengths(None, "encoder.layers.0", 3)


def test_steps_between_a_reduction_and_its_recovery_are_half_as_many() -> None:
    """Every second place of the mask of padding: seven valid steps of eight leave four, five leave three."""
    padding = torch.tensor([[False] * 7 + [True], [False] * 5 + [True] * 3])[:, ::2]
    reduce = Gives((torch.zeros(2, 4, 4), None, padding))
    pre_encode = Gives((torch.zeros(2, 8, 4), torch.tensor([7, 5])))
    model = network(pre_encode=pre_encode, time_reduce_layer=reduce, time_recovery_layer=Gives(torch.zeros(2, 8, 4)))
    steps = ValidSteps(model)
    model.encoder.pre_encode()
    assert steps.lengths(None, "encoder.layers.0", 8) == [7, 5]
    model.encoder.time_reduce_layer()
    assert steps.lengths(None, "encoder.layers.1", 4) == [4, 3]
    model.encoder.time_recovery_layer()
    assert steps.lengths(None, "encoder.layers.2", 8) == [7, 5]


@pytest.mark.parametrize("masks", [True, False])
def test_blocks_that_do_not_mask_run_alone_and_count_their_own_steps(masks: bool) -> None:
    convolution = nn.Conv1d(4, 4, 5, stride=2, padding=2)
    block = JasperBlock(([torch.zeros(2, 4, 5)], torch.tensor([8, 6])), conv_mask=masks, mconv=nn.ModuleList())
    block.mconv.append(convolution)
    model = network(encoder=nn.Module())
    model.encoder.encoder = nn.Sequential(block)
    assert batching_of(model) == ("any" if masks else "single")
    steps = ValidSteps(model)
    model.preprocessor()
    convolution(torch.zeros(2, 4, 9))
    block()
    # what a block that does not mask hands on is what it was given, although there are half as many steps
    assert steps.lengths(None, "encoder.blocks.0", 9) == ([8, 6] if masks else [4, 3])


def test_a_network_is_made_ready() -> None:
    model = network()
    model.preprocessor.featurizer = SimpleNamespace(dither=1e-5, pad_to=16)
    model.apply_masking = True
    make_ready(model)
    featurizer = model.preprocessor.featurizer
    assert (model.training, model.apply_masking, featurizer.dither, featurizer.pad_to) == (False, False, 0, 0)
    model.encoder.subsampling_factor = 8
    model.cfg = SimpleNamespace(preprocessor={"window_stride": 0.01})
    with pytest.raises(SettingsError, match="look_ahead_ms is 80; this network has none to choose"):
        make_ready(model, 80)


def test_local_attention_was_never_compared_and_runs_alone() -> None:
    model = network()
    assert batching_of(model) == "any"
    model.encoder.self_attention_model = "rel_pos_local_attn"
    assert batching_of(model) == "single"
