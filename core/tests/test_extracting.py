from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from isocortex.errors import UsageError
from isocortex.extraction import cached as extracting
from isocortex.extraction.cached import Extraction, accelerators, device_of
from isocortex.progress import Reporter
from isocortex.results.provenance import Stopwatch
from isocortex.run.plan import RunConfig
from isocortex.run.runner import Runner

PLAIN: Any = SimpleNamespace(accelerated=False)
IN_TORCH: Any = SimpleNamespace(accelerated=True, digest=lambda _: "model")


@pytest.fixture
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with these accelerators."""
    monkeypatch.setattr(extracting, "_has_driver", lambda: True)
    monkeypatch.setattr(extracting, "accelerators", lambda: request.param)


@pytest.mark.parametrize(
    ("there", "expected"),
    [(("cuda", "cuda:0", "cuda:1"), "cuda"), (("cuda", "cuda:0", "mps"), "cuda"), (("mps",), "mps"), ((), "cpu")],
    indirect=["there"],
)
def test_auto_is_the_best_device_for_models_that_use_one(there: None, expected: str) -> None:
    del there
    assert device_of("auto", IN_TORCH) == expected
    assert device_of("auto", PLAIN) == device_of("auto") == "cpu"
    assert device_of("cpu", IN_TORCH) == "cpu"


@pytest.mark.parametrize("there", [("cuda", "cuda:0", "cuda:1")], indirect=True)
def test_what_is_named_is_taken_or_refused(there: None) -> None:
    del there
    for device in ("cuda", "cuda:1"):
        assert device_of(device, IN_TORCH) == device_of(device, PLAIN) == device_of(device) == device
    for device in ("cuda:7", "mps", "tpu", "cuda:", "CUDA", ""):
        with pytest.raises(
            UsageError, match=f"no device '{device}' here. Use --device cpu or cuda or cuda:0 or cuda:1, or"
        ):
            device_of(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps", "tpu"])
def test_a_device_that_is_not_here_is_refused_before_any_work(device: str) -> None:
    if device in accelerators():
        pytest.skip(f"{device} is here")
    with pytest.raises(UsageError, match=f"There is no device '{device}' here. Use --device cpu.*, or auto"):
        Runner(SimpleNamespace(), RunConfig(device=device), Reporter(quiet=True))  # pyright: ignore[reportArgumentType]


def test_without_torch_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracting.importlib.util, "find_spec", lambda _: None)
    accelerators.cache_clear()
    with pytest.raises(UsageError, match=r"Use --device cpu, or auto; accelerators need torch: pip install"):
        device_of("cuda")
    accelerators.cache_clear()


def test_torch_as_it_is_here() -> None:
    torch = pytest.importorskip("torch")
    accelerators.cache_clear()
    assert ("cuda" in accelerators()) == torch.cuda.is_available()
    assert ("mps" in accelerators()) == torch.backends.mps.is_available()


def test_a_machine_without_driver_does_not_import_torch() -> None:
    if extracting._has_driver():
        pytest.skip("there is a driver here")
    code = (
        "import sys; from types import SimpleNamespace as S; from isocortex.extraction.cached import device_of\n"
        "print(device_of('auto', S(accelerated=True)), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cpu False\n"


@pytest.mark.parametrize("there", [("cuda", "cuda:0", "cuda:1")], indirect=True)
def test_the_key_holds_the_kind_of_device(there: None) -> None:
    del there

    def key(device: str, batch_size: int | None = None) -> str | None:
        stimuli: Any = SimpleNamespace(digest="stimuli")
        config = RunConfig(device=device, batch_size=batch_size)
        variant: Any = None
        return Extraction(IN_TORCH, variant, stimuli, "flatten", config, Reporter(quiet=True), Stopwatch()).key

    assert key("cuda") == key("cuda:1") == key("auto") == key("cuda", 4)
    assert key("cpu") != key("cuda")
