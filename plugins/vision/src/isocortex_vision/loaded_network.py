"""A network in memory: which layers it has, how tokens become places, and what is said of a name that is no layer's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isocortex.activations import Emit, LayerOutput, match_layers
from isocortex.errors import LayerError, shorten
from isocortex.models import TorchModel, TorchRecipe
from isocortex_vision.checkpoint_names import Blueprint
from isocortex_vision.layer_shapes import Layers, LayerShape, axes_of, find_layers, square_side
from isocortex_vision.preprocessing import Chosen

if TYPE_CHECKING:
    from torch import Tensor, nn

    from isocortex.data import StimulusBatch
    from isocortex.interfaces import Variant

#: endings of a layer of tokens: the class token alone, all tokens; without one, the tokens that have a place
CLASS, ALL = "[class]", "[all]"


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How a network sees.

    Attributes
    ----------
    chosen
        The preprocessing.
    tokens_without_place
        How many tokens of a network stand before those of places: the class token, and registers.
        None: none do.
    keyword
        Under which the network takes images; None: as its first argument.
    layers
        Default layers of a network whose row names none.
    """

    chosen: Chosen
    tokens_without_place: Callable[[nn.Module], int] | None = None
    keyword: str | None = None
    layers: Callable[[nn.Module, Layers], Sequence[str]] | None = None

    def fed(self, images: Any) -> Any:
        """What the network is called with."""
        return images if self.keyword is None else {self.keyword: images}


class LoadedNetwork(TorchModel):
    """A network in memory.

    Parameters
    ----------
    recipe, variant, device, dtype
        As for ``isocortex.models.TorchModel``; the recipe's layers are empty.
    patterns
        Default layers; empty: what ``sight`` says.
    sight
        How it sees.
    blueprint
        What the recipe builds with.
    """

    def __init__(
        self,
        recipe: TorchRecipe,
        variant: Variant,
        *,
        device: str,
        dtype: str,
        patterns: Sequence[str],
        sight: Sight,
        blueprint: Blueprint,
    ) -> None:
        super().__init__(recipe, variant, device=device, dtype=dtype)
        assert self.module is not None
        self._sight, self._n_without_place = sight, 0
        if sight.tokens_without_place is not None:
            self._n_without_place = sight.tokens_without_place(self.module)
        self._found = find_layers(self.module, self._inputs)
        self._trained, self._untrained = _before(self._found, blueprint.untrained), blueprint.untrained
        made = sight.layers(self.module, self._found) if sight.layers is not None and not patterns else patterns
        self.layers = [name for pattern in made for name in self._at_least_one(pattern)]

    def _inputs(self, n_images: int, device: str) -> Any:
        import torch

        size = (n_images, 3, self._sight.chosen.height, self._sight.chosen.width)
        generator = torch.Generator().manual_seed(0)
        images = torch.empty(size) if device == "meta" else torch.randn(size, generator=generator)
        return self._sight.fed(images.to(device=device, dtype=self.dtype))

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Layer → (…), its shape for one image, in the order in which layers are computed."""
        return {name: shape.shape for name, shape in self._trained.items()}

    def _at_least_one(self, pattern: str) -> Sequence[str]:
        found = self.find(pattern)
        if not found:
            raise LayerError(f"{self._named()} has no layer {pattern!r}; it has {shorten(self._trained)}.")
        return found

    def find(self, pattern: str) -> Sequence[str]:
        """Layers that match: ``*`` stays inside one dotted segment, ``**`` crosses segments.

        Raises
        ------
        LayerError
            A name without wildcards that is a module's, but no layer; the message says why, and what is one.
        """
        views = [f"{name}{view}" for name in self._trained if self._side_of_places(name) for view in (CLASS, ALL)]
        found = match_layers(pattern, [*self._trained, *(views if "[" in pattern else ())])
        if not found and "*" not in pattern:
            self._say_why_not(pattern)
        return found

    def _say_why_not(self, name: str) -> None:
        items = [layer for layer in self._trained if layer.startswith(f"{name}[")]
        calls = self._found.calls.get(name, 0)
        if calls > 1:
            names = shorten(f"{name}#{call}" for call in range(calls))
            raise LayerError(f"The module {name!r} runs {calls} times for one image; say which call is meant: {names}.")
        if items:
            raise LayerError(f"The module {name!r} gives several tensors; say which is meant: {shorten(items)}.")
        if name in self._found.others:
            raise LayerError(f"The module {name!r} is no layer: {self._found.others[name]}.")
        if name.partition("[")[0] in self._found.shapes and name.partition("[")[0] not in self._trained:
            raise LayerError(
                f"{name!r} is not trained: the checkpoint holds no weights for {self._untrained!r}, without which it "
                "cannot be computed. Layers before it can be used."
            )

    def _named(self) -> str:
        return type(self.module).__name__

    def _side_of_places(self, name: str) -> int | None:
        """Side of the square of tokens that have a place, where tokens without one stand before them."""
        shape, n_without = self._found.shapes[name].shape, self._n_without_place
        return square_side(shape[0] - n_without) if len(shape) == 2 and n_without and shape[0] > n_without else None

    def run(self, batch: StimulusBatch, layers: Sequence[str], emit: Emit) -> None:
        """Run a batch and hand on every layer's output as soon as it exists.

        Raises
        ------
        LayerError
            A name that is no layer's.
        """
        wanted: dict[str, list[tuple[str, str]]] = {}
        for layer in layers:
            view = next((ending for ending in (CLASS, ALL) if layer.endswith(ending)), "")
            wanted.setdefault(layer.removesuffix(view), []).append((layer, view))

        def hand_on(name: str, output: LayerOutput) -> None:
            shape = self._found.shapes[name]
            tensor = output.array.movedim(shape.image_axis, 0)
            for layer, view in wanted[name]:
                emit(layer, self._seen(name, tensor, view))

        super().run(batch, list(wanted), hand_on)

    def _seen(self, name: str, tensor: Tensor, view: str) -> LayerOutput:
        if view == CLASS:
            return LayerOutput(tensor[:, 0], ("unit",))
        side = self._side_of_places(name) or (square_side(tensor.shape[1]) if tensor.ndim == 3 else None)
        if side is not None and view != ALL:
            places = tensor[:, -side * side :]
            return LayerOutput(places.unflatten(1, (side, side)), ("height", "width", "channel"))
        return LayerOutput(tensor, axes_of(tuple(tensor.shape[1:])))


def _before(found: Layers, untrained: str | None) -> dict[str, LayerShape]:
    """The layers that are computed before a module is."""
    if untrained is None:
        return dict(found.shapes)
    names = list(found.shapes)
    end = next((place for place, name in enumerate(names) if name.partition("#")[0] == untrained), len(names))
    return {name: found.shapes[name] for name in names[:end]}
