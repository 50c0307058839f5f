"""Giving the tensors of a checkpoint the names of the network's own."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

State = Mapping[str, Any]

#: what training puts before every name of a network
PREFIXES = ("module.", "_orig_mod.", "model.")
#: a counter of batch normalisation that older files lack; nothing that is evaluated reads it
_COUNTER = "num_batches_tracked"


class Blueprint:
    """Builds a network, and gives a checkpoint's tensors the names of the network that was built last.

    Parameters
    ----------
    construct
        Constructs the network.
    translate
        (tensors by name, network) → tensors by the network's names, where a library has names of its own.

    Attributes
    ----------
    untrained
        Name of a module for which the checkpoint holds no weights, or none that are numbers: mostly the last, of a
        network that has learned without labels. It stays as it was built, and neither it nor what follows is a layer.
    """

    def __init__(
        self, construct: Callable[[], nn.Module], translate: Callable[[State, nn.Module], State] | None = None
    ) -> None:
        self._construct = construct
        self._translate = translate
        self._network: Callable[[], nn.Module | None] = lambda: None
        self.untrained: str | None = None

    def build(self) -> nn.Module:
        """Construct the network."""
        network = self._construct()
        self._network = weakref.ref(network)
        return network

    def rename(self, state: State) -> dict[str, Any]:
        """A checkpoint's tensors by the network's names.

        Without what training puts before every name, without heads that only training uses, with counters that
        evaluation does not use, and, where a checkpoint has no head, with the head as it was built.
        """
        network = self._network()
        assert network is not None, "build comes before rename"
        own = network.state_dict()
        found = without_prefix(state, own)
        if self._translate is not None:
            found = dict(self._translate(found, network))
        if not any(name.startswith("aux") for name in own):
            found = {name: tensor for name, tensor in found.items() if not name.startswith("aux")}
        missing = {name for name in own if name not in found}
        found.update({name: own[name] for name in missing if name.endswith(_COUNTER)})
        head = head_of(own)
        of_head = {name for name in own if _module_of(name) == head}
        if missing and of_head == {name for name in missing if not name.endswith(_COUNTER)}:
            self.untrained = head
            found.update({name: own[name] for name in of_head})
        self.untrained = next((_module_of(name) for name in own if _has_gaps(found.get(name))), self.untrained)
        return found


def _has_gaps(tensor: Any) -> bool:
    """Whether some of what should be weights is no number."""
    return tensor is not None and tensor.is_floating_point() and not tensor.is_meta and bool(tensor.isnan().any())


def _module_of(name: str) -> str:
    return name.rpartition(".")[0]


def without_prefix(state: State, own: State) -> dict[str, Any]:
    """Tensors without what stands before every name and is not in the network's names.

    Examples
    --------
    >>> without_prefix({"module.fc.weight": 1}, {"fc.weight": 0})
    {'fc.weight': 1}
    """
    found = dict(state)
    for prefix in PREFIXES:
        strange = not any(name.startswith(prefix) for name in own)
        if found and strange and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def head_of(own: State) -> str:
    """The last module that holds tensors.

    Examples
    --------
    >>> head_of({"conv.weight": 0, "fc.weight": 0, "fc.bias": 0})
    'fc'
    """
    return _module_of(list(own)[-1])
