"""Small networks of NeMo, made once for all tests of this package; what needs NeMo is skipped where it is absent."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.data.stimuli import Stimulus, StimulusSet
from tests import nemo_stand_ins


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def nemo() -> Any:
    """NeMo's classes of recognisers; importing them takes seconds."""
    if find_spec("nemo") is None:
        pytest.skip("NeMo is not installed: pip install 'isocortex-nemo[nemo]'")
    from isocortex_nemo.network import import_nemo

    models = import_nemo()
    gc.collect()
    gc.freeze()  # six thousand modules, which each closing of a model would look through
    return models


class Made:
    """Stand-ins by name: the network as NeMo built it, and its file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokenizer = nemo_stand_ins.make_tokenizer(folder / "tokenizer")
        self._built: dict[str, Any] = {}

    def built(self, name: str) -> Any:
        """The network itself, ready to listen by NeMo's own switches."""
        if name not in self._built:
            from isocortex_nemo.network import quiet

            with quiet():
                model = nemo_stand_ins.build(name, self.tokenizer).eval()
                model.save_to(str(self.folder / f"{name}.nemo"))
            model.preprocessor.featurizer.dither = 0.0
            model.preprocessor.featurizer.pad_to = 0
            if hasattr(model, "apply_masking"):
                model.apply_masking = False
            self._built[name] = model
        return self._built[name]

    def file(self, name: str) -> Path:
        """The ``.nemo`` file that NeMo wrote."""
        self.built(name)
        return self.folder / f"{name}.nemo"


@pytest.fixture(scope="session")
def made(nemo: Any, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """All stand-ins, each made when it is asked for."""
    return Made(tmp_path_factory.mktemp("stand-ins"))


@pytest.fixture
def load(made: Made) -> Callable[..., Any]:
    """Loads a stand-in from its file, by the path that a user names."""
    from isocortex.loading.by_name import load_model

    def load_stand_in(name: str, variant: str = "") -> Any:
        return load_model(f"nemo:{made.file(name)}{variant and '@'}{variant}")

    return load_stand_in


@pytest.fixture(scope="session")
def sounds() -> Callable[..., StimulusSet]:
    """Makes sounds of given durations in s; those of one place are the same whatever the others are."""

    def make(*durations: float, rate: float = 16_000.0, n_channels: int = 1) -> StimulusSet:
        sources = {}
        for place, duration in enumerate(durations):
            shape = (round(duration * rate), n_channels)
            array = 0.1 * np.random.default_rng(place).standard_normal(shape).astype(np.float32)
            sources[f"s{place}"] = Stimulus(f"s{place}", "audio", array[:, 0] if n_channels == 1 else array, rate)
        return StimulusSet("sounds", "audio", sources)

    return make
