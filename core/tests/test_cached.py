"""Activations from the cache, or extracted into it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from isocortex.activations import Activations
from isocortex.catalogue.cards import Variant
from isocortex.errors import LayerError
from isocortex.extraction.cached import Extraction
from isocortex.progress import Reporter, Stopwatch
from tests.lab import N_STIMULI, Lab


def model(**hears: Any) -> Any:
    """A model whose card says what it hears."""
    card = SimpleNamespace(**{"sample_rate": None, "resampler": "soxr", "random": False, **hears})
    return SimpleNamespace(digest=lambda _: "model", card=card)


def test_the_key_holds_the_kind_of_device_and_what_the_model_hears() -> None:
    def key(device: str, batch_size: int | None = None, **hears: Any) -> str | None:
        stimuli, variant = SimpleNamespace(digest="stimuli"), SimpleNamespace()
        quiet = Reporter(quiet=True), Stopwatch()
        return Extraction(model(**hears), variant, stimuli, "flatten", device, *quiet, batch_size).key  # type: ignore[arg-type]

    assert key("cuda") == key("cuda:1") == key("cuda", 4)
    assert key("cpu") != key("cuda")
    heard = [{}, {"sample_rate": 8000.0}, {"sample_rate": 9000.0}, {"sample_rate": 9000.0, "resampler": "model"}]
    assert len({key("cpu", **hears) for hears in (*heard, {"random": True})}) == 5, "also where a user gave the digest"


# --- with a model -----------------------------------------------------------------------------------------------------


def extraction(lab: Lab, model: str = "lab-net", variant: str = "fixed", reduction: str = "flatten") -> Extraction:
    """A model on the images of the lab."""
    resolver = lab.resolver()
    plugin, stimuli = resolver.model(model), resolver.stimuli("lab-images")
    return Extraction(plugin, Variant.parse(variant), stimuli, reduction, "cpu", Reporter(quiet=True), Stopwatch())


def files(folder: Path) -> list[str]:
    """Names of all files below a folder, without locks and remembered digests."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in found if path.parts[0] not in ("locks", "digests"))


def values(layers: dict[str, Activations]) -> dict[str, np.ndarray]:
    """Values of each layer."""
    return {name: np.asarray(layer.array(layer.stimulus_id)) for name, layer in layers.items()}


def test_what_is_kept_equals_what_the_model_gives_over_all_chunks(lab: Lab) -> None:
    wanted = extraction(lab)
    with wanted.in_folder() as (folder, layers):
        found = values(layers)
    import iso_lab  # type: ignore[import-not-found]

    images = iso_lab.IMAGES.astype(np.float32)
    assert list(found) == ["net.mean", "net.pixels"]
    assert np.array_equal(found["net.pixels"], images.reshape(N_STIMULI, -1))
    assert np.allclose(found["net.mean"], [[image.mean(), image.std()] for image in images])
    assert layers["net.mean"].stimulus_id == wanted.stimuli.ids
    assert sorted(path.name for path in folder.rglob("*.npy")) == ["00000.npy"] * 2 + ["00001.npy"] * 2
    assert folder == wanted.folder
    assert list(wanted.watch.seconds) == ["extract"]


def test_the_model_is_not_loaded_where_all_is_stored_and_only_for_what_lacks(lab: Lab) -> None:
    with extraction(lab).in_folder(["net.mean"]):
        assert len(lab.seen("load")) == 1
    with extraction(lab).in_folder(["net.mean"]) as (folder, layers):
        assert lab.seen() == []
        assert list(layers) == ["net.mean"]
    with extraction(lab).in_folder() as (folder, layers):
        assert list(layers) == ["net.mean", "net.pixels"]
        assert len(lab.seen("load")) == 1
    chunk = folder / "net.mean" / "00001.npy"
    whole, untouched = chunk.read_bytes(), (folder / "net.mean" / "00000.npy").stat().st_mtime_ns
    chunk.write_bytes(whole[:-3])
    with extraction(lab).in_folder():
        assert chunk.read_bytes() == whole
        assert (folder / "net.mean" / "00000.npy").stat().st_mtime_ns == untouched
        assert {name for _, _, ids in lab.seen("run") for name in ids[1:]} <= {f"s{number}" for number in range(32, 40)}


def test_a_model_without_digest_leaves_nothing(lab: Lab, own_folders: Path) -> None:
    wanted = extraction(lab, "lab-unkept")
    assert (wanted.key, wanted.folder) == (None, None)
    with wanted.in_folder() as (folder, layers):
        assert folder.parent.parent == own_folders / "cache"
        assert values(layers)["net.pixels"].shape == (N_STIMULI, 18)
    assert not folder.exists()
    with pytest.raises(RuntimeError), wanted.in_folder() as (folder, _):
        raise RuntimeError("whoever uses them fails")
    assert not folder.exists()
    assert files(own_folders / "cache") == []


def test_a_model_without_digest_that_fails_leaves_nothing(lab: Lab, own_folders: Path) -> None:
    with pytest.raises(LayerError), extraction(lab, "lab-unkept").in_folder(["absent"]):
        pass
    assert files(own_folders / "cache") == []


def test_in_memory_gives_the_same_and_keeps_nothing(lab: Lab, own_folders: Path) -> None:
    with extraction(lab).in_folder(["**"]) as (_, layers):
        kept = values(layers)
    before = files(own_folders)
    found = values(extraction(lab).in_memory(["**"]))
    assert list(found) == list(kept) == ["net.mean", "net.hidden", "net.pixels"]
    assert all(np.array_equal(found[name], kept[name]) for name in kept)
    assert files(own_folders) == before


def test_variants_reductions_and_models_have_places_of_their_own(lab: Lab) -> None:
    wanted = [
        extraction(lab),
        extraction(lab, variant="random:1"),
        extraction(lab, reduction="spatial-mean"),
        extraction(lab, "lab-second"),
    ]
    assert len({one.folder for one in wanted}) == 4
    assert extraction(lab).folder == wanted[0].folder


def test_a_wrong_layer_names_the_closest_and_keeps_no_selection(lab: Lab, own_folders: Path) -> None:
    with pytest.raises(LayerError, match=r"lab-net@fixed has no layer that matches 'net.pixel'. Did you mean net.pix"):
        extraction(lab).kept_layers(["net.pixel"], own_folders / "kept")
    assert files(own_folders / "kept") == []


def test_progress_is_told_once_and_not_where_nothing_is_computed(lab: Lab, capsys) -> None:
    for expected in (2, 0):
        wanted = dataclasses.replace(extraction(lab), reporter=Reporter())
        with wanted.in_folder():
            said = capsys.readouterr().err
        assert said.count("lab-net@fixed on lab-images: extracted chunk") == expected


def test_two_extractions_that_lack_a_lock_still_end(lab: Lab, own_folders: Path) -> None:
    (own_folders / "cache").mkdir()
    (own_folders / "cache" / "locks").write_text("no folder")
    with extraction(lab).in_folder() as (_, layers):
        assert list(layers) == ["net.mean", "net.pixels"]
