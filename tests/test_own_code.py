"""A user's own function, folder and activations, without packaging; the README's code is run as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.folders import image_folder, sound_folder

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def own_function(word: str = "def loudness") -> str:
    """The README's block that scores a function, or another one with that word in it."""
    return next(block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if word in block)


def test_readme_function_on_a_folder_of_sounds(tmp_path, monkeypatch, capsys) -> None:
    sound_folder(tmp_path / "mine", n_sounds=40)
    monkeypatch.chdir(tmp_path)
    code = own_function()
    assert code.count('"NH2015comp.ridge"') == 1
    exec(code.replace("NH2015comp.ridge", "folder:mine:ridge"), {})
    value, low, high = map(float, capsys.readouterr().out.split()[-3:])
    assert low < value < high
    assert value > 0.8, "responses follow the level, which is what the function gives"


def test_readme_module_on_a_folder_of_sounds(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("torch").manual_seed(0)
    sound_folder(tmp_path / "mine", n_sounds=40)
    monkeypatch.chdir(tmp_path)
    code = own_function("torch.nn")
    lines = code.replace(', "NH2015comp.ridge")', ', "folder:mine:ridge")')
    assert "folder:mine" in lines
    (tmp_path / "mine" / "dataset.toml").write_text('[benchmark]\nreduction = "time-mean"\n')
    exec(lines, {})
    layer, value = capsys.readouterr().out.split()
    assert layer in ("1", "2")
    assert float(value) > 0.8, "each filter's output grows with the level of the tone"


def test_readme_function_on_real_sounds(realdata, tmp_path, monkeypatch, capsys) -> None:
    from isocortex.run.fetch import fetch_all

    fetch_all([], ["NH2015comp.ridge"], realdata / "nh2015", verify_only=False)
    monkeypatch.chdir(tmp_path)
    exec(own_function(), {})
    value, low, high = map(float, capsys.readouterr().out.split()[-3:])
    assert 0 < low < value < high < 1


def test_a_folder_of_20_sounds_and_a_csv(isocortex, tmp_path) -> None:
    sound_folder(tmp_path / "mine")
    done = isocortex("score", "-m", "cochleagram-cochcnn9", "-b", "folder:mine:ridge", "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)
    assert (row["benchmark"], row["target"]) == ("mine.ridge", "pooled")
    assert (row["n_stimuli"], row["n_neuroids"]) == (20, 4)
    assert row["value"] > 0.5
    shown = json.loads(isocortex("show", "--json").stdout)
    assert shown == [row]
    assert set(row) >= {
        "model", "variant", "benchmark", "region", "status", "layers", "digest", "statistic", "target", "value",
        "error", "error_kind", "resampled", "ceiling", "ceiling_estimator", "ceiled", "layer_rule", "n_layers_searched",
        "best_layer", "n_stimuli", "n_subjects", "n_neuroids", "n_neuroids_total", "n_null",
    }  # fmt: skip
    assert row["layers"][0].keys() >= {"name", "value"}
    assert "mine.ridge" in isocortex("show").stdout
    assert isocortex("show", "--csv").stdout.startswith("benchmark,region,model,variant,status")


def test_extraction_and_scoring_as_two_processes(isocortex, tmp_path) -> None:
    image_folder(tmp_path / "mine")
    direct = json.loads(isocortex("score", "-m", "gabor-pyramid", "-b", "folder:mine:ridge", "--json").stdout)
    extracted = isocortex("extract", "-m", "gabor-pyramid", "--stimuli", "mine", "--out", "activations")
    assert extracted.returncode == 0, extracted.stderr
    assert "24 × 32768" in extracted.stdout
    model = "activations:activations/gabor-pyramid@fixed"
    apart = isocortex("score", "-m", model, "-b", "folder:mine:ridge", "--json")
    assert apart.returncode == 0, apart.stderr
    [one], [two] = direct, json.loads(apart.stdout)
    same = {key: value for key, value in one.items() if key not in ("model", "digest")}
    assert same == {key: value for key, value in two.items() if key not in ("model", "digest")}


@pytest.mark.parametrize("form", ["npy", "csv"])
def test_activations_of_another_program(isocortex, tmp_path, form) -> None:
    image_folder(tmp_path / "mine")
    features = np.loadtxt(tmp_path / "mine" / "responses.csv", delimiter=",", skiprows=1, usecols=(1, 2))
    ids = [f"image{number:02d}" for number in range(24)]
    order = np.random.default_rng(0).permutation(24)
    (tmp_path / "acts").mkdir()
    if form == "npy":
        np.save(tmp_path / "acts" / "fc.npy", features[order].astype(np.float32))
        (tmp_path / "acts" / "stimulus_id.txt").write_text("\n".join(ids[place] for place in order))
    else:
        rows = [f"{ids[place]},{features[place, 0]},{features[place, 1]}" for place in order]
        (tmp_path / "acts" / "fc.csv").write_text("\n".join(["stimulus_id,a,b", *rows]))
    done = isocortex("score", "-m", "activations:acts", "-b", "folder:mine:ridge", "--json")
    assert done.returncode == 0, done.stderr
    [row] = json.loads(done.stdout)
    assert row["value"] > 0.99, "two of the neuroids themselves are the features"
    assert row["best_layer"] == "fc"


def test_activations_that_lack_a_stimulus(isocortex, tmp_path) -> None:
    image_folder(tmp_path / "mine")
    (tmp_path / "acts").mkdir()
    (tmp_path / "acts" / "fc.csv").write_text("stimulus_id,a\nimage00,1\nimage01,2\n")
    done = isocortex("score", "-m", "activations:acts", "-b", "folder:mine:ridge")
    assert done.returncode == 1
    assert "lack 22 of 24 stimuli" in done.stderr
    assert "Traceback" not in done.stderr


def test_functions_are_computed_anew_unless_they_have_a_digest(tmp_path, monkeypatch) -> None:
    import isocortex

    image_folder(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    calls: list[int] = []

    def brightness(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return images.mean(axis=(1, 2))

    once = 24 + 3  # one stimulus is tried first, then another one, and the first again
    for digest, expected in ((None, 2 * once), ("v1", once)):
        calls.clear()
        model = isocortex.wrap(brightness, modality="image", name=f"brightness-{digest}", digest=digest)
        first, second = (isocortex.score(model, "folder:mine:ridge", quiet=True) for _ in range(2))
        assert sum(calls) == expected
        assert first[0].summary.value == second[0].summary.value > 0.9
    table = isocortex.results("results")
    assert set(table["model"]) == {"brightness-None", "brightness-v1"}
    assert not list((tmp_path / "results").rglob("failures/*.json"))
