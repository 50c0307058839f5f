"""Every module that torch runs is run, as a copy; what cannot be is refused in one sentence."""

# ruff: noqa: ARG005 - functions that do not use what they are given

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import IsocortexError

torch = pytest.importorskip("torch")
prune = pytest.importorskip("torch.nn.utils.prune")
nn = torch.nn

N = 4
PIXELS = np.random.default_rng(1).integers(0, 255, (N, 4, 4, 3), dtype=np.uint8)
FED = torch.from_numpy(PIXELS.transpose(0, 3, 1, 2).astype(np.float32) / 255)
STIMULI = StimulusSet("s", "image", {f"s{n}": Stimulus(f"s{n}", "image", PIXELS[n]) for n in range(N)})


def features(module: Any, *layers: str, **more: Any) -> Any:
    """The one layer of a wrapped module on all stimuli."""
    model = isocortex.wrap(module, modality="image", layers=layers or ["1"], name="net", **more)
    [found] = isocortex.extract(model, STIMULI, quiet=True).values()
    return found


def flat(*more: Any, n_units: int = 5) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, n_units), *more)


def _with(change: Callable[[Any], Any]) -> Any:
    """Three units whose linear layer is changed, in evaluation mode after a run that settled it."""
    module = flat()
    module[1] = change(module[1]) or module[1]
    module(FED)
    return module.eval()


class Keeps(nn.Module):
    """It keeps what it gave, a lock and a generator."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.kept = nn.Linear(48, 5), {}
        self.lock, self.numbers = threading.Lock(), (number for number in range(3))

    def forward(self, images: Any) -> Any:
        given = self.first(images.flatten(1))
        self.kept["last"] = [given]
        return given


class Settles(nn.Module):
    """It follows a gradient, with or without asking torch for one."""

    def __init__(self, asks: bool) -> None:
        super().__init__()
        self.first, self.out, self.asks = nn.Linear(48, 5), nn.Identity(), asks

    def forward(self, images: Any) -> Any:
        with torch.set_grad_enabled(self.asks or torch.is_grad_enabled()):
            state = images.flatten(1).clone().requires_grad_()
            (step,) = torch.autograd.grad((self.first(state) ** 2).sum(), state)
        return self.out(step)


class Complex(nn.Module):
    """A filter with a phase."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", torch.exp(1j * torch.arange(48.0)))
        self.out = nn.Identity()

    def forward(self, images: Any) -> Any:
        return self.out((images.flatten(1) * self.filter).sum(1).imag[:, None])


def _kept() -> Any:
    module = Keeps()
    module(FED)
    return module


def _as_it_is(graph: Any, inputs: Any) -> Any:
    """A backend that compiles nothing."""
    del inputs
    return graph.forward


def _hooked() -> Any:
    module = flat()
    module[1].register_forward_hook(lambda part, fed, given: 3 * given)
    return module


def _compiled_in_place() -> Any:
    module = flat()
    module.compile(backend=_as_it_is)
    return module


#: how a module is made, its layer, and the output of torch itself where it is not that of the whole module
RUN: dict[str, tuple[Callable[[], Any], str]] = {
    "weight_norm of old": (lambda: _with(nn.utils.weight_norm), "1"),
    "spectral_norm of old": (lambda: _with(nn.utils.spectral_norm), "1"),
    "weight_norm": (lambda: _with(nn.utils.parametrizations.weight_norm), "1"),
    "spectral_norm": (lambda: _with(nn.utils.parametrizations.spectral_norm), "1"),
    "pruned": (lambda: _with(lambda part: prune.l1_unstructured(part, "weight", 0.5)), "1"),
    "lazy, run once": (lambda: _with(lambda part: nn.LazyLinear(5)), "1"),
    "keeps features, a lock and a generator": (_kept, "first"),
    "a gradient inside": (lambda: Settles(True), "out"),
    "a gradient that it does not ask for": (lambda: Settles(False), "out"),
    "complex": (Complex, "out"),
    "a hook that changes": (_hooked, "1"),
    "DataParallel": (lambda: nn.DataParallel(flat()), "module.1"),
    "DataParallel by plain name": (lambda: nn.DataParallel(flat()), "1"),
    "compiled": (lambda: torch.compile(flat(), backend=_as_it_is), "_orig_mod.1"),
    "compiled inside": (lambda: nn.Sequential(torch.compile(flat(), backend=_as_it_is)), "0._orig_mod.1"),
    "compiled in place": (_compiled_in_place, "1"),
    "after a scripted one": (lambda: nn.Sequential(torch.jit.script(flat()), nn.Identity()), "1"),
    "double precision": (lambda: flat().double(), "1"),
    "bfloat16": (lambda: flat().bfloat16(), "1"),
}


@pytest.mark.parametrize("kind", RUN)
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
def test_modules_run_as_torch_runs_them(kind: str) -> None:
    make, layer = RUN[kind]
    module = make()
    dtype = next((tensor.dtype for tensor in module.parameters()), torch.float32)
    right = (flat() if kind.startswith("compiled") else module)(FED.to(dtype)).detach().double()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    found = features(module, layer).array([f"s{n}" for n in range(N)])
    np.testing.assert_allclose(found, right, rtol=0, atol=2e-2 if dtype == torch.bfloat16 else 1e-5)
    after = module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the user's module stays as it is"


def test_a_module_in_double_precision_is_not_rounded() -> None:
    module = flat().double()
    with torch.no_grad():
        module[1].bias += 1e9
    np.testing.assert_allclose(features(module).array(), module(FED.double()).detach(), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_dynamic_quantisation_runs() -> None:
    module = torch.ao.quantization.quantize_dynamic(flat(), {nn.Linear})
    found = features(module)
    np.testing.assert_allclose(found.array(), torch.cat([module(image[None]) for image in FED]), rtol=0, atol=1e-6)


class NoCopy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Identity()

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("there is one of me")

    def forward(self, images: Any) -> Any:
        return self.out(images.flatten(1))


class Gives(nn.Module):
    """Whatever a function makes of the images, out of a module of its own."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.out, self.change = nn.Identity(), change

    def forward(self, images: Any) -> Any:
        return self.out(self.change(images))


def _raises() -> Any:
    module = flat()
    module[1].register_forward_hook(lambda part, fed, given: given / 0 if given is None else 1 / 0)
    return module


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "scripted": (lambda: torch.jit.script(flat()), "1", "net is a module of TorchScript.*Wrap the module that was"),
    "traced": (lambda: torch.jit.trace(flat(), FED), "1", "net is a module of TorchScript"),
    "scripted inside": (lambda: nn.Sequential(torch.jit.script(flat())), "0", "Layers 0 are of TorchScript"),
    "meta": (lambda: flat().to("meta"), "1", "weights on the meta device.*1.weight.*load_state_dict"),
    "lazy": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), "1", "lazy modules without weights.*Run it once"),
    "no copy": (NoCopy, "out", "cannot be copied.*there is one of me"),
    "a hook that raises": (_raises, "1", r"net failed in <lambda> \(test_wrapped_modules.py, line \d+\): ZeroDivision"),
    "two tensors": (lambda: Gives(lambda x: (x, x)), "out", "tuple of 2; say which item is meant, as in 'out.0.'"),
    "one number": (lambda: Gives(lambda x: x.mean()), "out", "gave one number for a batch"),
    "a text": (lambda: Gives(lambda x: "text"), "out", "is str; expected a tensor"),
    "complex": (lambda: Gives(lambda x: x.flatten(1) * 1j), "out", "complex numbers"),
    "a wrong shape": (lambda: nn.Sequential(nn.Linear(7, 2)), "0", "net failed: RuntimeError: mat1 and mat2"),
    "no such layer": (flat, "9", "no module '9'"),
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Lazy modules:UserWarning")
def test_modules_that_cannot_run_are_refused_in_one_sentence(kind: str) -> None:
    make, layer, message = REFUSED[kind]
    with pytest.raises(IsocortexError, match=message) as refused:
        features(make(), layer)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("preprocess", [lambda images: images / 0 if images is None else 1 / 0, lambda images: "text"])
def test_errors_of_a_preprocessing_are_one_sentence(preprocess: Any) -> None:
    with pytest.raises(IsocortexError, match="net failed"):
        features(flat(), preprocess=preprocess)


# --- what is said -----------------------------------------------------------------------------------------------------


class Own(nn.Module):
    """Something else in training, by its own code."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Identity()

    def forward(self, images: Any) -> Any:
        return self.out(images.flatten(1) * (100 if self.training else 1))


@pytest.mark.parametrize(
    ("make", "layer", "who"),
    [
        (lambda: flat(nn.BatchNorm1d(5)), "2", "BatchNorm1d"),
        (lambda: flat(nn.Dropout()), "2", "Dropout"),
        (Own, "out", "Own"),
    ],
)
def test_a_module_in_training_mode_runs_in_evaluation_mode_and_that_is_said(make: Any, layer: str, who: str) -> None:
    module = make()
    found = features(module, layer)
    assert found.warnings == (
        f"In training mode {who} of net would compute something else; a copy ran in evaluation mode, as after eval().",
    )
    assert module.training
    np.testing.assert_allclose(found.array(), module.eval()(FED).detach(), rtol=0, atol=1e-6)
    assert features(flat()).warnings == (), "a linear layer is the same in both"


def test_the_item_that_is_taken_of_several_is_said() -> None:
    found = features(Gives(lambda x: (x.flatten(1), "of 48 pixels")), "out")
    assert found.warnings == ("Of what layer out gives, tuple of 2, out[0] was taken; name another one so.",)
