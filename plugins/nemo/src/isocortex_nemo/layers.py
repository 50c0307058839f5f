"""Names, axes and valid steps of the layers of a network of NeMo.

Names are the same for every class: ``preprocessor`` (the spectrogram), ``pre_encode``, ``encoder.layers.N`` of the
networks with attention, ``encoder.blocks.N`` of the convolutional ones, ``encoder`` (what the decoder is given), and
the heads. Valid steps are counted by the modules themselves, which hand their lengths on; a layer that gives a bare
tensor has those of the last module before it that said so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from isocortex.errors import LayerError

_TIME_FIRST, _CHANNEL_FIRST = ("time", "channel"), ("channel", "time")
_PARTS = r"norm_feed_forward[12]|feed_forward[12]|norm_self_att|self_attn|norm_conv|conv|norm_out"
#: name of a module → name of its layer; whatever is not here is no layer
_NAMES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"preprocessor", r"preprocessor"),
        (r"encoder\.pre_encode", r"pre_encode"),
        (rf"encoder\.layers\.(\d+)((?:\.(?:{_PARTS}))?)", r"encoder.layers.\1\2"),
        (r"encoder\.time_reduce_layer", r"encoder.time_reduce"),
        (r"encoder\.encoder\.(\d+)((?:\.mconv\.\d+)?)", r"encoder.blocks.\1\2"),
        (r"encoder", r"encoder"),
        (r"transf_encoder\.layers\.(\d+)", r"transf_encoder.layers.\1"),
        (r"transf_decoder\._decoder\.layers\.(\d+)", r"decoder.layers.\1"),
        (r"joint\.joint_net", r"joint_logits"),
    )
)
#: module of the head that every step of the encoder goes through → name of its layer, by class
_HEADS: Mapping[str, tuple[str, str]] = {
    "EncDecCTCModel": ("decoder", "ctc_logits"),
    "EncDecCTCModelBPE": ("decoder", "ctc_logits"),
    "EncDecHybridRNNTCTCModel": ("ctc_decoder", "ctc_logits"),
    "EncDecHybridRNNTCTCBPEModel": ("ctc_decoder", "ctc_logits"),
    "EncDecFrameClassificationModel": ("decoder", "class_logits"),
}


def is_one_of(module: Any, *names: str) -> bool:
    """Whether a module is of a class, or of one under it, with one of these names; NeMo is not imported to ask."""
    return any(kind.__name__ in names for kind in type(module).__mro__)


class Layers:
    """The layers of a class of networks: names, axes, and what is taken of what a module gives.

    Parameters
    ----------
    kind
        NeMo's name of the class.
    is_convolutional
        The encoder is a row of blocks (Jasper, QuartzNet, Citrinet, ContextNet, MarbleNet).
    """

    def __init__(self, kind: str, *, is_convolutional: bool) -> None:
        self.head, self.is_convolutional = _HEADS.get(kind), is_convolutional

    def name(self, module: str) -> str | None:
        """The layer of a module; None where it is none."""
        if self.head is not None and module == self.head[0]:
            return self.head[1]
        for pattern, name in _NAMES:
            if (match := pattern.fullmatch(module)) is not None:
                return match.expand(name)
        return None

    @property
    def default(self) -> list[str]:
        """Patterns of the layers that are taken where nobody asks for others, in processing order."""
        encoder = ["encoder.blocks.*"] if self.is_convolutional else ["pre_encode", "encoder.layers.*"]
        runs_by_itself = self.head is not None and self.head[0] == "decoder"
        return [*encoder, self.head[1]] if self.head is not None and runs_by_itself else encoder

    def output(self, layer: str, given: Any) -> Any:
        """The tensor of a layer out of what its module gave.

        A block of a convolutional network gives a list with the outputs of all before it, where residuals are dense:
        its own is the last. The encoder's own output is turned so that it equals its last layer, byte by byte.

        Raises
        ------
        LayerError
            There is no tensor in it.
        """
        tensor = given[0] if isinstance(given, tuple) else given
        if isinstance(tensor, list):
            tensor = tensor[-1]
        if not hasattr(tensor, "detach"):
            raise LayerError(f"The output of {layer!r} is a {type(given).__name__} without a tensor.")
        if layer == "encoder" and not self.is_convolutional:
            tensor = tensor.transpose(1, 2).contiguous()
        if layer == "joint_logits":
            tensor = tensor[:, :, 0]
        return tensor.detach()

    @property
    def axes(self) -> dict[str, tuple[str, ...]]:
        """Patterns of layers → names of their axes behind the first."""
        return {
            "preprocessor": _CHANNEL_FIRST,
            "encoder": _CHANNEL_FIRST if self.is_convolutional else _TIME_FIRST,
            "encoder.blocks.**": _CHANNEL_FIRST,
            "decoder.layers.*": ("token", "channel"),
            "**": _TIME_FIRST,
        }


class ValidSteps:
    """How many steps of each clip are valid where the running batch has come to.

    Parameters
    ----------
    model
        The network; its modules are watched from now on.
    """

    def __init__(self, model: Any) -> None:
        self._valid: Any = None
        self._before_reduction: Any = None
        self._watch(model)

    def lengths(self, fed: Any, layer: str, n_steps: int) -> Sequence[int]:
        """Valid steps of each clip at the layer that has just run.

        Raises
        ------
        LayerError
            They do not fit its number of steps.
        """
        del fed
        found = [int(value) for value in self._valid]
        if max(found) > n_steps or min(found) < 1:
            raise LayerError(
                f"The layer {layer!r} has {n_steps} steps, and {found} of its clips are valid: a clip is too short for "
                "this network, or the layer has another time axis than what runs before it."
            )
        return found

    def _watch(self, model: Any) -> None:
        """Have every module that hands lengths on say so."""
        encoder = model.encoder
        blocks = [part for part in encoder.modules() if is_one_of(part, "JasperBlock")]
        handing_on = [model.preprocessor, getattr(model, "crop_or_pad", None)]
        handing_on += [getattr(encoder, name, None) for name in ("pre_encode", "reduction_subsampling")]
        if all(block.conv_mask for block in blocks):
            handing_on += [*(part for part in encoder.modules() if is_one_of(part, "MaskedConv1d")), *blocks, encoder]
        else:  # blocks that do not mask hand on the lengths that they were given, whatever their strides
            for part in (part for block in blocks for part in block.mconv if is_one_of(part, "Conv1d")):
                part.register_forward_hook(self._note_stride)
        for part in handing_on:
            if part is not None:
                part.register_forward_hook(self._note_lengths)
        if getattr(encoder, "time_reduce_layer", None) is not None:
            encoder.time_reduce_layer.register_forward_hook(self._note_reduction)
            encoder.time_recovery_layer.register_forward_hook(self._note_recovery)

    def _note_lengths(self, module: Any, arguments: Any, output: Any) -> None:
        del module, arguments
        if isinstance(output, tuple) and len(output) >= 2 and hasattr(output[1], "detach"):  # pyright: ignore[reportUnknownArgumentType]
            self._valid = output[1]

    def _note_stride(self, module: Any, arguments: Any, output: Any) -> None:
        del arguments, output
        reach = module.dilation[0] * (module.kernel_size[0] - 1) + 1
        self._valid = (self._valid + 2 * module.padding[0] - reach) // module.stride[0] + 1

    def _note_reduction(self, module: Any, arguments: Any, output: Any) -> None:
        del module, arguments
        self._before_reduction = self._valid
        self._valid = (~output[2]).sum(-1)

    def _note_recovery(self, module: Any, arguments: Any, output: Any) -> None:
        del module, arguments, output
        self._valid = self._before_reduction


class Heads:
    """Heads that the network's own ``forward`` does not run: they run behind the encoder where they are asked for.

    Parameters
    ----------
    model
        The network; its encoder is watched from now on.
    """

    def __init__(self, model: Any) -> None:
        #: layers of the running batch
        self.wanted: frozenset[str] = frozenset()

        def run(module: Any, arguments: Any, output: Any) -> None:
            del module, arguments
            if "ctc_logits" in self.wanted and hasattr(model, "ctc_decoder"):
                model.ctc_decoder(encoder_output=output[0])
            if "joint_logits" in self.wanted:
                _run_joint(model, output[0])

        model.encoder.register_forward_hook(run)


def _run_joint(model: Any, encoded: Any) -> None:
    """The joint network over every step of the encoder and the start state of the prediction network.

    That state knows nothing of the sound: it is the same for every clip.
    """
    start, _ = model.decoder.predict(None, state=None, add_sos=False, batch_size=len(encoded))
    model.joint.joint(encoded.transpose(1, 2), start)


#: what a Canary is asked to do
PROMPT: Mapping[str, str] = {"source_lang": "en", "target_lang": "en", "task": "transcribe", "pnc": "yes"}


def prompt_of(model: Any) -> list[int]:
    """Token IDs of the fixed prompt of a Canary: transcribe English, with punctuation."""
    known = set(model.prompt.get_slots("user"))
    defaults = {
        name: value
        for turn in model.prompt.get_default_dialog_slots()
        if turn["role"] == "user"
        for name, value in turn["slots"].items()
    }
    chosen = {**defaults, **{name: value for name, value in PROMPT.items() if name in known}}
    found = model.prompt.encode_dialog([{"role": "user", "slots": chosen}])
    return [int(token) for token in found["context_ids"]]
