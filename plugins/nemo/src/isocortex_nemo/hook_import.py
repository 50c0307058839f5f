"""Activations that forward hooks left in pickles, one file per stimulus, as a folder of activations.

A value is a tensor, or a tuple of tensors with the lengths beside them, as modules of NeMo give it. Lengths say which
steps are valid; they are never a feature.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isocortex.activations import ActivationFolder, LayerOutput, reduce_output
from isocortex.errors import DataError, UsageError, shorten
from isocortex_nemo.pickled_tensors import read_tensors

ENDINGS = (".pkl", ".pickle", ".p")
CHUNK_SIZE = 32
_TIME_FIRST, _CHANNEL_FIRST, _TOKENS = ("time", "channel"), ("channel", "time"), ("token", "channel")
#: name of a module of NeMo's networks → axes of what it gives, behind the first; the first that fits counts
KNOWN_AXES: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), axes)
    for pattern, axes in (
        (r"preprocessor|encoder|encoder\.(encoder|blocks)\.\d+(\.mconv\.\d+)?", _CHANNEL_FIRST),
        (r"(encoder\.)?pre_encode|encoder\.layers\.\d+(\.[a-z_0-9]+)?|encoder\.time_re\w+", _TIME_FIRST),
        (r"encoder_decoder_proj|transf_encoder(\..+)?|(ctc_)?decoder|ctc_logits|class_logits", _TIME_FIRST),
        (r"transf_decoder(\..+)?|log_softmax|decoder\.layers\.\d+", _TOKENS),
    )
)


@dataclass(frozen=True)
class HookImport:
    """How pickles become activations.

    Attributes
    ----------
    reduction
        As for ``isocortex extract``.
    layers
        Patterns; none: all.
    axes
        Pattern → names of axes behind the first, before ``KNOWN_AXES``.
    """

    reduction: str = "time-mean"
    layers: Sequence[str] = ()
    axes: Mapping[str, Sequence[str]] | None = None

    def run(self, source: Path, out: Path) -> list[str]:
        """Read every pickle of a folder; returns what was left out or guessed, one sentence each.

        Memory: one pickle, and the reduced layers of 32 stimuli.

        Raises
        ------
        UsageError
            There are no pickles, or a layer has no axes that are known.
        DataError
            A pickle is damaged or unsafe, or lacks a layer that the others have.
        """
        files = _pickles(source)
        kept = ActivationFolder(out, tuple(path.stem for path in files), CHUNK_SIZE)
        layers: list[str] = []
        said: dict[str, None] = {}
        for chunk in range(kept.n_chunks):
            rows: dict[str, list[Any]] = {}
            for place in kept.members(chunk):
                found = self._reduced(files[place], said)
                layers = layers or list(found)
                _refuse_others(files[place], list(found), layers)
                for layer, values in found.items():
                    rows.setdefault(layer, []).append(values)
            _write(kept, chunk, rows)
        kept.describe({"model": f"hooks:{source.name}", "stimuli": source.name, "reduction": self.reduction}, layers)
        for sentence in said:
            kept.warn(sentence)
        return list(said)

    def _reduced(self, path: Path, said: dict[str, None]) -> dict[str, Any]:
        """Layer → (1, n_units), in the order of the pickle."""
        outputs: dict[str, tuple[Any, tuple[str, ...]]] = {}
        stated: dict[str, list[int]] = {}
        for layer, value in read_tensors(path).items():
            tensor, lengths = _parts(value)
            if tensor is None:
                said[f"{layer} was left out: it holds no tensor."] = None
            elif self._is_wanted(layer):
                outputs[layer] = tensor, self._axes(layer, tensor, path)
            if tensor is not None and lengths is not None:
                stated[layer] = lengths
        if not outputs:
            raise DataError(f"{path} holds no tensor of a layer that was asked for.")
        return self._with_lengths(outputs, stated, path, said)

    def _with_lengths(
        self,
        outputs: Mapping[str, tuple[Any, tuple[str, ...]]],
        stated: Mapping[str, list[int]],
        path: Path,
        said: dict[str, None],
    ) -> dict[str, Any]:
        by_steps: dict[int, list[int]] = {}
        for layer, lengths in stated.items():
            if layer in outputs and "time" in outputs[layer][1]:
                by_steps.setdefault(_n_steps(*outputs[layer]), lengths)
        reduced: dict[str, Any] = {}
        for layer, (tensor, axes) in outputs.items():
            lengths = None
            if "time" in axes:
                n_steps = _n_steps(tensor, axes)
                lengths = stated.get(layer) or by_steps.get(n_steps)
                _refuse_lengths(lengths, n_steps, layer, path)
                if lengths is None:
                    said[f"{layer} has no lengths beside it: all of its steps count."] = None
            reduced[layer] = reduce_output(LayerOutput(tensor.float(), axes, lengths), self.reduction, layer)
        return reduced

    def _is_wanted(self, layer: str) -> bool:
        return not self.layers or any(fnmatch.fnmatchcase(layer, pattern) for pattern in self.layers)

    def _axes(self, layer: str, tensor: Any, path: Path) -> tuple[str, ...]:
        given = next(
            (tuple(axes) for pattern, axes in (self.axes or {}).items() if fnmatch.fnmatchcase(layer, pattern)), None
        )
        known = next((axes for pattern, axes in KNOWN_AXES if pattern.fullmatch(layer)), None)
        axes = given or (("unit",) if tensor.ndim == 2 else known)
        if axes is None:
            raise UsageError(
                f"{path.name}: the layer {layer!r} has the shape {tuple(tensor.shape)}, and its axes are not known. "
                f"Say them: --axes '{layer}=time,channel' (or channel,time)."
            )
        if tensor.ndim != len(axes) + 1 or len(tensor) != 1:
            raise DataError(
                f"{path}: {layer!r} has the shape {tuple(tensor.shape)}; expected (1, {', '.join(axes)}), one stimulus."
            )
        return axes


def _pickles(source: Path) -> list[Path]:
    if not source.is_dir():
        raise UsageError(f"{source} is not a folder. Expected one with a pickle for each stimulus.")
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in ENDINGS)
    if not files:
        raise UsageError(f"{source} holds no pickles. Expected <stimulus_id>.pkl for each stimulus.")
    twice = [path.stem for path in files if sum(other.stem == path.stem for other in files) > 1]
    if twice:
        raise UsageError(f"{source} has several files for a stimulus: {shorten(sorted(set(twice)))}.")
    return files


def _refuse_others(path: Path, found: list[str], layers: list[str]) -> None:
    if sorted(found) != sorted(layers):
        lacking, more = sorted(set(layers) - set(found)), sorted(set(found) - set(layers))
        raise DataError(
            f"{path} has other layers than the first pickle: it lacks {shorten(lacking) if lacking else 'none'} and "
            f"has {shorten(more) if more else 'none'} besides. Take layers that all have, with --layers."
        )


def _write(kept: ActivationFolder, chunk: int, rows: Mapping[str, Sequence[Any]]) -> None:
    import numpy as np

    for layer, values in rows.items():
        if len({value.shape for value in values}) > 1:
            raise DataError(
                f"{layer!r} has another number of units for some of the stimuli. A reduction without time, such as "
                "time-mean, gives all of them the same."
            )
        kept.write(layer, chunk, np.concatenate(values), None)


def _parts(value: Any) -> tuple[Any, list[int] | None]:
    """The tensor of a value, and the lengths that stand beside it.

    The tensor is the value itself, or the first of a tuple; of a list of tensors, as blocks with dense residuals give
    it, the last.
    """
    if not isinstance(value, list):
        return value, None
    items: list[Any] = value
    if not items:
        return None, None
    first = items[0]
    if isinstance(first, list):
        first = next((item for item in reversed(_flat(first)) if item is not None), None)
    return first, next((found for item in items[1:] if (found := _as_lengths(item)) is not None), None)


def _flat(items: Iterable[Any]) -> list[Any]:
    return [inner for item in items for inner in (_flat(item) if isinstance(item, list) else [item])]


def _as_lengths(item: Any) -> list[int] | None:
    """Whole numbers, one for each stimulus; or what a mask of padding leaves."""
    if not hasattr(item, "is_floating_point") or item.is_floating_point():
        return None
    if str(item.dtype) == "torch.bool":
        return [int(number) for number in (~item).sum(-1)] if item.ndim == 2 else None
    return [int(number) for number in item] if item.ndim == 1 else None


def _n_steps(tensor: Any, axes: Sequence[str]) -> int:
    return int(tensor.shape[1 + list(axes).index("time")])


def _refuse_lengths(lengths: list[int] | None, n_steps: int, layer: str, path: Path) -> None:
    if lengths is not None and (max(lengths) > n_steps or min(lengths) < 1):
        raise DataError(
            f"{path}: a length of {layer!r} is {lengths[0]}, and it has {n_steps} steps. Say its axes with --axes."
        )
