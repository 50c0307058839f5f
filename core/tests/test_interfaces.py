from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.errors import SettingsError
from isocortex.files.file_store import DataFiles
from isocortex.interfaces import ModelPlugin, check_settings

SOURCE = """
from isocortex.interfaces import MetricPlugin, ModelPlugin

class One(ModelPlugin):
    def load(self, variant, *, device):
        return {value}

class Two(One):
    pass

class Metric(MetricPlugin):
    def against(self, target, *, settings, seed, device="cpu", preparation=None):
        return {value}
"""

Load = Callable[..., Any]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Writes a package (or a single module) and loads it afresh, as another process would."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    times = iter(range(1, 100))

    def load(name: str, value: int = 1, *, package: bool = True, **files: str) -> Any:
        monkeypatch.delitem(sys.modules, name, raising=False)
        folder = tmp_path / name if package else tmp_path
        folder.mkdir(exist_ok=True)
        sources = {("__init__.py" if package else f"{name}.py"): SOURCE.format(value=value)}
        for file, text in {**sources, **files}.items():
            (folder / file).write_text(text)
            os.utime(folder / file, (next(times),) * 2)
        importlib.invalidate_caches()
        module = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return load


def card(**fields: Any) -> ModelCard:
    return ModelCard.model_validate({"id": "m", "object": "x:M", "modality": "audio", "layers": ("a",), **fields})


RANDOM = Variant.parse("random:0")


def test_the_digest_of_a_plugin_follows_its_source_card_and_variant(load: Load) -> None:
    reference = load("iso_plug").One(card()).digest(RANDOM)
    assert reference is not None
    assert load("iso_plug").One(card()).digest(RANDOM) == reference
    others = [
        load("iso_plug").One(card()).digest(Variant.parse("random:1")),
        load("iso_plug").One(card(id="n")).digest(RANDOM),
        load("iso_plug").One(card(options={"depth": 3})).digest(RANDOM),
        load("iso_plug").Two(card()).digest(RANDOM),
        load("iso_plug", value=2).One(card()).digest(RANDOM),
        load("iso_plug", **{"table.csv": "1"}).One(card()).digest(RANDOM),
        load("iso_plug", **{"table.csv": "2"}).One(card()).digest(RANDOM),
    ]
    assert len({reference, *others}) == 8
    reference = load("iso_plug").One(card()).digest(RANDOM)
    for unused in ("helper.py", "isocortex.toml", "README.md"):
        assert load("iso_plug", **{unused: "x = 1"}).One(card()).digest(RANDOM) == reference
    assert load("iso_plug").One(card(notes="typo")).digest(RANDOM) == load("iso_plug").One(card()).digest(RANDOM)


def test_the_digest_of_a_metric_follows_its_source(load: Load) -> None:
    first, again = (load("iso_metric").Metric(card()).digest() for _ in range(2))
    assert first == again
    assert load("iso_metric", value=2).Metric(card()).digest() != first


def test_a_plugin_in_a_single_module_is_not_taken_for_its_older_self(load: Load) -> None:
    first = load("iso_single", package=False).One(card()).digest(RANDOM)
    second = load("iso_single", value=2, package=False).One(card()).digest(RANDOM)
    assert first is None or first != second


def test_interfaces_cannot_be_used_half_written() -> None:
    class Half(ModelPlugin):
        pass

    with pytest.raises(TypeError, match=r"abstract method '?load"):
        Half(card())  # type: ignore[abstract]


def test_data_files_are_a_mapping(tmp_path: Path) -> None:
    files = DataFiles({"a/b.wav": tmp_path / "b.wav", "c.csv": tmp_path / "c.csv"})
    assert list(files) == ["a/b.wav", "c.csv"]
    assert len(files) == 2
    assert files["c.csv"] == tmp_path / "c.csv"
    with pytest.raises(KeyError, match="absent"):
        files["absent"]


class Settings(BaseModel, extra="forbid"):
    n_folds: int = Field(default=5, ge=2)
    alphas: tuple[float, ...] = (0.1, 1.0)


def test_settings_are_checked_and_filled_with_defaults() -> None:
    found = check_settings(Settings, {"alphas": [1, 2]}, "ridge")
    assert (found.n_folds, found.alphas) == (5, (1.0, 2.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_fold": 3}, r"ridge has no setting 'n_fold'\. Did you mean n_folds\? It has n_folds, alphas"),
        ({"colour": 3}, r"ridge has no setting 'colour'\. It has n_folds, alphas"),
        ({"n_folds": 1}, "Settings of ridge are not valid: n_folds: .*greater than or equal to 2"),
        ({"n_folds": "x", "alphas": ["y"]}, r"n_folds: .*; alphas\.0: "),
    ],
)
def test_settings_that_are_not_valid_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        check_settings(Settings, settings, "ridge")


def test_the_digest_of_a_variant_from_a_file_follows_the_file(load: Load, tmp_path: Path) -> None:
    """``file:a/best.pt`` and ``file:b/best.pt`` have one label, and retraining writes the same file again."""
    plugin = load("iso_weights").One(card())
    digests = []
    for place, content in (("a", b"one"), ("b", b"two"), ("b", b"three")):
        path = tmp_path / place / "best.pt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        digests.append(plugin.digest(Variant.parse(f"file:{path}")))
    assert len(set(digests)) == 3 or digests == [None] * 3
