"""A package with a small conformer keeps the contract of the interface, fresh interpreters and memory included.

The published networks are too large for it here; ``isocortex check facebook/wav2vec2-base`` does the same with one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("isocortex_wav2vec2")

from isocortex.testing import checks_of
from tests.third_party.install import write_package

pytestmark = pytest.mark.xdist_group("wav2vec2")

#: those that need a package; the others are made in this process in test_wav2vec2_networks
CHECKS = ("loads", "layers", "determinism", "digest")
MANIFEST = """
[plugin]
api = 1

[[model]]
id = "tiny/conformer-rotary"
object = "isocortex_wav2vec2.models:SpeechNetwork"
modality = "audio"
sample_rate = 16000
layers = ["feature_extractor.conv_layers.*", "feature_projection", "encoder.layers.*", "encoder.layer_norm"]
variants = ["pretrained", "random", "permuted", "file"]
options = { architecture = "conformer-rotary" }
"""


@pytest.mark.parametrize("names", [CHECKS, pytest.param(("memory",), marks=pytest.mark.long)], ids=["runs", "memory"])
def test_conformance(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    architectures = (tiny_folder / "architectures.toml").read_text(encoding="utf-8")
    site = tmp_path / "site"
    write_package(site, "isocortex-tiny", {"isocortex.toml": MANIFEST, "architectures.toml": architectures})
    monkeypatch.syspath_prepend(str(site))
    chosen = [check for check in checks_of("tiny/conformer-rotary") if check.id.rpartition(":")[2] in names]
    found = {check.id.rpartition(":")[2]: check.outcome() for check in chosen}
    assert {name: (item.status, item.message) for name, item in found.items() if item.status != "passed"} == {}
    assert set(found) == set(names)
