"""Whether what a model gives for a stimulus depends on that stimulus alone.

A stimulus is run alone, then another one, then the first again: both runs must give the same, bit for bit on a CPU, or
the model depends on chance or on what it ran before. Then two stimuli of one batch, its longest and its shortest, are
compared with what they give alone: where they differ, the model depends on its batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import PluginError, shorten
from isocortex.typing import Array

if TYPE_CHECKING:
    from pathlib import Path

    from isocortex.activations.folder import ActivationFolder

#: largest difference, in units of the largest absolute value of a layer, that sizes of batches may make by rounding:
#: 3.4e-6 was measured in single precision. Between two runs it holds on accelerators, where sums may be added up in
#: any order; on a CPU they must be equal.
TOLERANCE, HALF_TOLERANCE = 1e-4, 2e-2

_RANDOM = (
    "it depends on chance, or on what it ran before. Switch dropout off, seed its generators and keep no state; where "
    "chance is meant, say random = true in its row, or isocortex.wrap(…, random=True), and each stimulus runs under a "
    "seed of its own"
)
_STILL_RANDOM = (
    "although the generators of Python, numpy and torch were seeded before. It draws from a generator of its own, or "
    "keeps a state: let it draw from theirs, or seed its own in run"
)

#: place of a stimulus → layer → (n_units,)
Alone = Mapping[int, Mapping[str, Array]]


@dataclass
class Watch:
    """Compares what some stimuli give with what they gave alone, while it comes.

    Attributes
    ----------
    alone
        What they gave.
    exact
        Whether every bit counts.
    again
        Whether they run alone once more; else they count only in batches of several.
    half
        Whether the model runs in half precision.
    """

    alone: Alone
    exact: bool = False
    again: bool = False
    half: bool = False
    _differences: dict[str, float] = field(default_factory=dict[str, float])
    _largest: dict[str, float] = field(default_factory=dict[str, float])
    _is_half: set[str] = field(default_factory=set[str])

    def see(self, layer: str, places: Sequence[int], values: Array, dtype: object) -> None:
        """Take a layer's values, (n_stimuli, n_units), for the stimuli at these places of the set."""
        if not self.again and len(places) == 1:
            return
        for place, row in zip(places, values, strict=True):
            expected = self.alone.get(place, {}).get(layer)
            if expected is None:
                continue
            known = self._differences.get(layer, 0.0)
            self._differences[layer] = max(known, _difference(expected, row))
            largest = max(map(_largest, (expected, *values)))
            self._largest[layer] = max(self._largest.get(layer, 0.0), largest)
            if self.half or str(dtype).endswith("float16"):
                self._is_half.add(layer)

    @property
    def seen(self) -> bool:
        """Whether any of the stimuli came."""
        return bool(self._differences)

    def changed(self) -> dict[str, float]:
        """Layer → difference in units of its largest absolute value, for layers beyond the tolerance."""
        found: dict[str, float] = {}
        for layer, difference in self._differences.items():
            tolerance = 0.0 if self.exact else HALF_TOLERANCE if layer in self._is_half else TOLERANCE
            if difference > tolerance * self._largest[layer] or not np.isfinite(difference):
                found[layer] = difference / self._largest[layer] if self._largest[layer] else difference
        return found


#: units that are compared at once: a wide layer takes no copy of itself
_AT_ONCE = 1 << 16


def _difference(expected: Array, found: Array) -> float:
    """The largest absolute difference of two rows; infinite where their shapes differ or a value is not finite."""
    if expected.shape != found.shape:
        return float("inf")
    largest = 0.0
    for start in range(0, len(expected), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        difference = np.abs(found[part].astype(np.float64) - expected[part]).max(initial=0.0)
        largest = max(largest, float(difference) if np.isfinite(difference) else float("inf"))
    return largest


def _largest(row: Array) -> float:
    """The largest absolute value of a row, (n_units,)."""
    return max(abs(float(row.min(initial=0.0))), abs(float(row.max(initial=0.0))))


@dataclass
class Steadiness:
    """What is known of a model on its way through a set of stimuli.

    Attributes
    ----------
    name
        What a person calls the model.
    kept
        Where it is remembered, so that an extraction that goes on does what it did; None: nowhere.
    repeated, compared
        Layers that gave the same twice, and the same in a batch as alone.
    one_by_one
        Whether the model depends on its batch, so that every stimulus runs alone.
    """

    name: str
    kept: ActivationFolder | None = None
    repeated: set[str] = field(default_factory=set[str])
    compared: set[str] = field(default_factory=set[str])
    one_by_one: bool = False
    warnings: list[str] = field(default_factory=list[str])

    @classmethod
    def known_in(cls, kept: ActivationFolder, name: str) -> Steadiness:
        """What is remembered in a folder of activations."""
        known = kept.record("steadiness.json")
        repeated, compared = (set(map(str, known.get(key, ()))) for key in ("repeated", "compared"))
        return cls(name, kept, repeated, compared, bool(known.get("one_by_one")))

    def remember(self) -> None:
        """Write what is known, where it changed."""
        if self.kept is None:
            return
        known = {
            "repeated": sorted(self.repeated),
            "compared": sorted(self.compared),
            "one_by_one": self.one_by_one,
        }
        if {**self.kept.record("steadiness.json"), **known} != self.kept.record("steadiness.json"):
            self.kept.note("steadiness.json", known)

    def repeats(self, watch: Watch, layers: Sequence[str], stimulus: str, *, seeded: bool) -> None:
        """Note that layers gave the same twice.

        Raises
        ------
        PluginError
            They did not.
        """
        changed = watch.changed()
        if changed:
            raise PluginError(
                f"{self.name} gives other values when it runs on {stimulus!r} again ({_described(changed)}): "
                f"{_STILL_RANDOM if seeded else _RANDOM}."
            )
        self.repeated.update(layers)

    def depends_on_batch(self, changed: Mapping[str, float]) -> None:
        """Note that the model depends on its batch: from now on stimuli run one by one, and results say so."""
        self.one_by_one = True
        self.warnings.append(
            f"{self.name} gives other values in a batch than alone ({_described(changed)}), so that it was run one "
            "stimulus at a time; look for padding, normalisation over the batch, or state, if that is not meant."
        )


def refuse_equal(name: str, watch: Watch, changed: Mapping[str, float], stimuli: Sequence[str]) -> None:
    """Refuse a model that depends on its batch, and alone gives the same for different stimuli.

    Parameters
    ----------
    stimuli
        IDs of those that ``watch`` compares, which differ.

    Raises
    ------
    PluginError
        It is such a model: run one by one, nothing of the stimuli would be left.
    """
    for layer in changed:
        first, *others = (rows[layer] for rows in watch.alone.values())
        if others and all(np.array_equal(first, other) for other in others):
            raise PluginError(
                f"{name} gives other values in a batch than alone, and alone the same for {shorten(stimuli)} "
                f"(layer {layer!r}): it keeps what it gave before, or normalises over its batch. What a stimulus "
                "gives must come of that stimulus and the model."
            )


def refuse_other_model(name: str, watch: Watch, stimulus: str, folder: Path) -> None:
    """Refuse to go on where a model does not give what it gave for a stimulus when the extraction began.

    Raises
    ------
    PluginError
        It gives something else.
    """
    changed = watch.changed()
    if changed:
        raise PluginError(
            f"{name} gives other values for {stimulus!r} than it gave when this extraction began "
            f"({_described(changed)}), although its digest is the same: its weights may be drawn anew each time that "
            f"it is loaded. Seed what load draws, and delete {folder}."
        )


def _described(changed: Mapping[str, float]) -> str:
    worst = max(changed.values())
    size = f", up to {worst:.2g} of the largest value" if np.isfinite(worst) else ""
    return f"{'layers' if len(changed) > 1 else 'layer'} {shorten(changed)}{size}"
