from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from isocortex import devices
from isocortex.devices import accelerators, device_of
from isocortex.errors import UsageError
from isocortex.progress import Reporter
from isocortex.run.plan import RunConfig
from isocortex.run.runner import Runner


@pytest.fixture
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with these accelerators."""
    monkeypatch.setattr(devices, "_has_driver", lambda: True)
    monkeypatch.setattr(devices, "accelerators", lambda: request.param)


@pytest.mark.parametrize(
    ("there", "expected"),
    [(("cuda", "cuda:0", "cuda:1"), "cuda"), (("cuda", "cuda:0", "mps"), "cuda"), (("mps",), "mps"), ((), "cpu")],
    indirect=["there"],
)
def test_auto_is_the_best_device_for_models_that_use_one(there: None, expected: str) -> None:
    del there
    assert device_of("auto", accelerated=True) == expected
    assert device_of("auto") == "cpu"
    assert device_of("cpu", accelerated=True) == "cpu"


@pytest.mark.parametrize("there", [("cuda", "cuda:0", "cuda:1")], indirect=True)
def test_what_is_named_is_taken_or_refused(there: None) -> None:
    del there
    for device in ("cuda", "cuda:1"):
        assert device_of(device, accelerated=True) == device_of(device) == device
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
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda _: None)
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
    if devices._has_driver():
        pytest.skip("there is a driver here")
    code = (
        "import sys; from isocortex.devices import device_of\n"
        "print(device_of('auto', accelerated=True), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cpu False\n"
