"""Figures that need data, kept predictions or coordinates: against numpy, scipy and enumeration."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image
from scipy.spatial.distance import pdist
from scipy.stats import rankdata

import isocortex
from isocortex.data import averaged
from isocortex.results import read_results
from isocortex_report.figures import figures_of
from isocortex_report.figures.brain import by_category
from isocortex_report.figures.predicted import once_each
from isocortex_report.figures.rdm import DRAWING as RDM, brain_rdm, rdm_frame
from isocortex_report.figures.surface import SPACES, mesh, save_gifti, surface_frame, vertex_values
from plugins.report.tests.results_for_figures import neuroid_scores, result, summary, write_with_scores

IDS = [f"s{place:02d}" for place in range(24)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of 24 pictures in four categories, and responses of nine neuroids to them."""
    folder = tmp_path_factory.mktemp("data") / "mine"
    (folder / "stimuli").mkdir(parents=True)
    stream = np.random.default_rng(0)
    kinds = [("face", "house", "tool", "plant")[place % 4] for place in range(24)]
    level = dict(zip(sorted(set(kinds)), stream.standard_normal((4, 9)), strict=True))
    values = np.stack([level[kind] for kind in kinds]) + 0.5 * stream.standard_normal((24, 9))
    for place, name in enumerate(IDS):
        Image.new("RGB", (4, 4), (10 * place, 0, 0)).save(folder / "stimuli" / f"{name}.png")
    lines = [f"{name},{kind}" for name, kind in zip(IDS, kinds, strict=True)]
    (folder / "stimuli.csv").write_text("\n".join(["stimulus_id,category", *lines, ""]))
    rows = [f"{name},{','.join(map(repr, row.tolist()))}" for name, row in zip(IDS, values, strict=True)]
    header = ",".join(["stimulus_id", *(f"n{number}" for number in range(9))])
    (folder / "responses.csv").write_text("\n".join([header, *rows, ""]))
    return f"folder:{folder}"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, data: str) -> Path:
    """Results of the label baseline on this folder, with their predictions."""
    folder = tmp_path_factory.mktemp("scored")
    config = isocortex.RunConfig(keep=("prediction",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOCORTEX_CACHE", str(tmp_path_factory.mktemp("cache")))
        done = isocortex.score("category", [f"{data}:ridge", f"{data}:rsa"], config=config, out=folder, quiet=True)
    assert [one.status for one in done] == ["scored", "scored"], [one.failure for one in done]
    return folder


# --- predictions ------------------------------------------------------------------------------------------------------


def test_predictions_meet_what_was_measured_as_in_the_score(scored: Path, data: str) -> None:
    (figure,) = figures_of(read_results(scored), scored, ["predicted"])
    figure.svg()
    assert figure.frame["panel"].unique().tolist() == ["best", "middle", "worst"]
    known = next(one for one in read_results(scored) if one.metric == "ridge")
    kept, scores = isocortex.kept(known, "prediction", scored), isocortex.scores(known, scored)
    dataset = isocortex.load_dataset(data)
    measured, names = averaged(dataset.responses), dataset.responses["neuroid_id"].values.tolist()
    for _, part in figure.frame.groupby("panel"):
        neuroid = part["neuroid_id"].iloc[0]
        column = list(kept["neuroid_id"].values).index(neuroid)
        assert part["stimulus_id"].is_unique
        assert len(part) == len(dataset.stimuli)
        tested = kept["test_stimulus"].values[0]
        tested = tested[tested >= 0]
        drawn = part.set_index("stimulus_id").loc[[dataset.stimuli.ids[n] for n in tested]]
        assert drawn["measured"].tolist() == measured[tested, names.index(neuroid)].tolist()
        r = np.corrcoef(drawn["measured"], drawn["predicted"])[0, 1]
        assert r == pytest.approx(float(scores["readout"].isel(split=0, neuroid=column)), abs=1e-4)
        assert part["score"].iloc[0] == pytest.approx(float(scores["readout"].isel(neuroid=column).mean()), abs=1e-6)


def test_the_first_split_that_tests_a_stimulus_gives_its_dot() -> None:
    kept = xr.Dataset(
        {"prediction": (("split", "test", "neuroid"), np.arange(6.0).reshape(3, 2, 1))},
        coords={"test_stimulus": (("split", "test"), [[1, 2], [2, 0], [1, -1]])},
    )
    assert once_each(kept, 4)[:, 0].tolist() == pytest.approx([3, 0, 1, np.nan], nan_ok=True)


def test_heat_maps_are_in_deviations_of_what_was_measured(scored: Path, data: str) -> None:
    (figure,) = figures_of(read_results(scored), scored, ["heatmap"])
    figure.svg()
    measured = figure.frame[figure.frame["matrix"] == "measured"].pivot_table(index="row", columns="column", values="z")
    np.testing.assert_allclose(measured.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(measured.std(axis=1, ddof=0), 1, atol=1e-9)
    dataset = isocortex.load_dataset(data)
    row = figure.frame[(figure.frame["matrix"] == "measured") & (figure.frame["row"] == 5)]
    values = averaged(dataset.responses)[
        :, list(dataset.responses["neuroid_id"].values).index(row["neuroid_id"].iloc[0])
    ]
    expected = dict(zip(dataset.stimuli.ids, (values - values.mean()) / values.std(), strict=True))
    assert dict(zip(row["stimulus_id"], row["z"], strict=True)) == pytest.approx(expected)


def test_data_that_changed_since_are_not_drawn(scored: Path, data: str) -> None:
    changed = [one.model_copy(update={"digests": one.digests | {"dataset": "other"}}) for one in read_results(scored)]
    assert not list(figures_of(changed, scored, ["predicted", "heatmap", "rdm"]))


# --- dissimilarities --------------------------------------------------------------------------------------------------


def test_matrices_are_ranked_and_ordered_by_category() -> None:
    stream = np.random.default_rng(0)
    ids, n = [f"s{number}" for number in range(7)], 7
    table = pd.DataFrame({"category": ["b", "a", "b", "c", "a", "c", "b"], "category_colour": ["#FF0000", "#00FF00", "#FF0000", "#0000FF", "#00FF00", "#0000FF", "#FF0000"]})  # noqa: E501  # fmt: skip
    square = stream.random((n, n))
    square = (square + square.T) * (1 - np.eye(n))
    frame = rdm_frame({"net": square[np.triu_indices(n, 1)], "square": square}, ids, table)
    order = [0, 2, 6, 1, 4, 3, 5]
    assert list(by_category(table).places) == order
    ranks = dict(zip(zip(*np.triu_indices(n, 1), strict=True), rankdata(square[np.triu_indices(n, 1)]), strict=True))
    for name in ("net", "square"):
        for row in frame[frame["matrix"] == name].itertuples():
            a, b = sorted((order[row.row], order[row.column]))
            assert (row.stimulus_row, row.stimulus_column) == (ids[order[row.row]], ids[order[row.column]])
            assert row.dissimilarity == square[a, b]
            assert row.percentile == pytest.approx(100 * (ranks[a, b] - 1) / 20)
    assert frame.loc[frame["category_row"] == "b", "colour_row"].unique().tolist() == ["#ff0000"]
    assert len(RDM.plot(frame, None).child_axes) == 3
    with pytest.raises(ValueError, match=r"'net' is \(6, 6\); 7 stimuli need \(7, 7\)"):
        rdm_frame({"net": square[:6, :6]}, ids, table)


def test_the_matrix_of_the_brain_is_the_mean_over_participants(scored: Path, data: str) -> None:
    dataset = isocortex.load_dataset(data)
    subjects = np.array(["a", "b", "a"] * 3)
    of_two = replace(dataset, responses=dataset.responses.assign_coords(subject=("neuroid", subjects)))
    means = averaged(dataset.responses)
    pairs = np.triu_indices(len(means), 1)
    scores = [(means - means.mean(axis=0)) / means.std(axis=0)][0]
    expected = [1 - np.corrcoef(scores[:, subjects == name])[pairs] for name in sorted(set(subjects))]
    found = brain_rdm(of_two, {"dissimilarity": "correlation", "standardise": True})
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-12)
    plain = [pdist(means[:, subjects == name]) for name in sorted(set(subjects))]
    found = brain_rdm(of_two, {"dissimilarity": "euclidean", "standardise": False})
    np.testing.assert_allclose(found, np.mean(plain, axis=0), atol=1e-12)
    (figure,) = figures_of(read_results(scored), scored, ["rdm"])
    figure.svg()
    assert figure.frame["matrix"].unique().tolist() == ["category", "brain"]


# --- confusion --------------------------------------------------------------------------------------------------------


def test_confusions_are_shares_of_the_true_label(tmp_path: Path) -> None:
    counts = np.array([[8, 2, 0], [1, 9, 0], [3, 3, 4]])
    labels = ["cat", "dog", "<script>"]
    scores = xr.Dataset(
        {"confusion": (("layer", "truth", "choice"), np.stack([counts[::-1], counts])), "chosen": ((), 1)},
        coords={"truth": labels, "choice": labels}, attrs={"measure": "accuracy"},
    )  # fmt: skip
    kept = write_with_scores(tmp_path, result("net-a", summary=summary(0.7, statistic="accuracy")), scores)
    (figure,) = figures_of([kept], tmp_path, ["confusion"])
    figure.svg()
    found = figure.frame.pivot_table(index="truth", columns="choice", values=["n", "share"])
    np.testing.assert_array_equal(found["n"].loc[labels, labels], counts)
    np.testing.assert_allclose(found["share"].loc[labels, labels], counts / 10)
    assert "30 stimuli, 10 of each label" in figure.note


# --- the cortex -------------------------------------------------------------------------------------------------------


def on_cortex(folder: Path, space: str = "fsaverage") -> tuple:
    """Neuroids of four participants near fifty vertices of the left pial surface, and one far away."""
    pytest.importorskip("nilearn")
    points, _ = mesh("pial", "left")
    stream = np.random.default_rng(7)
    vertices = np.tile(np.argsort(points[:, 0])[:50], 4)
    subjects = np.repeat(["S0", "S1", "S2", "S3"], 50)
    kept = np.r_[(subjects != "S3") | (vertices % 2 == 0), True]
    where = np.r_[points[vertices] + stream.normal(0, 0.05, (200, 3)), [[0.0, 0, 300]]][kept]
    values = np.r_[stream.normal(0.4, 0.1, 200), 9][kept].astype(np.float32)
    names = np.r_[subjects, ["S0"]][kept]
    scores = neuroid_scores(values[None], subject=names, x=where[:, 0], y=where[:, 1], z=where[:, 2], space=[space] * len(names))  # noqa: E501  # fmt: skip
    return write_with_scores(folder, result("net-a"), scores), vertices[kept[:-1]], subjects[kept[:-1]], values[:-1]


def test_vertices_hold_the_mean_over_participants(tmp_path: Path) -> None:
    kept, vertices, subjects, values = on_cortex(tmp_path)
    (figure,) = figures_of([kept], tmp_path, ["surface"])
    table = pd.DataFrame({"vertex": vertices, "subject": subjects, "value": values})
    expected = table.groupby(["vertex", "subject"])["value"].mean().groupby("vertex").agg(["mean", "size"])
    assert figure.frame["hemisphere"].unique().tolist() == ["left"]
    assert figure.frame["vertex"].tolist() == expected.index.tolist()
    np.testing.assert_allclose(figure.frame["value"], expected["mean"], atol=1e-6)
    assert figure.frame["n_subjects"].tolist() == expected["size"].tolist()
    assert "1 neuroids are farther away and left out" in figure.note
    fewer = figure.frame.assign(n_subjects=2)
    assert np.isnan(vertex_values(fewer, "left")).all(), "two participants are too few"
    import nibabel

    for path in save_gifti(figure.frame, tmp_path / "map.gii"):
        drawn = nibabel.load(path).darrays[0].data
        side = path.suffixes[-2][1:]
        np.testing.assert_allclose(drawn, vertex_values(figure.frame, side).astype(np.float32), equal_nan=True)
    assert len(figure.svg()) < 1_500_000


def test_coordinates_of_another_space_are_transformed_by_name(tmp_path: Path) -> None:
    name, matrix = SPACES["mni152"]
    assert name == "FreeSurfer's matrix from MNI152 to MNI305"
    np.testing.assert_allclose((matrix @ [10, -20, 35, 1])[:3], [9.313, -21.585, 33.834], atol=1e-3)
    x, y, z = 9.313126, -21.584943, 33.834451  # MNI305, back to MNI152 by the rows that FreeSurfer prints
    assert 0.9975 * x - 0.0073 * y + 0.0176 * z - 0.0429 == pytest.approx(10, abs=1e-4)
    assert 0.0146 * x + 1.0009 * y - 0.0024 * z + 1.5496 == pytest.approx(-20, abs=1e-4)
    assert -0.0130 * x - 0.0093 * y + 0.9971 * z + 1.1840 == pytest.approx(35, abs=1e-4)
    kept, *_ = on_cortex(tmp_path, "Talairach")
    assert not list(figures_of([kept], tmp_path, ["surface"])), "an unknown space is on no cortex"


def test_components_are_on_no_cortex_in_one_line(tmp_path: Path, isocortex) -> None:
    kept = write_with_scores(tmp_path / "results", result("net-a"), neuroid_scores(np.zeros((2, 6))))
    done = isocortex("figure", "surface", "results", "-o", "s.svg")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "components have none and are on no cortex" in done.stderr
    with pytest.raises(Exception, match="no coordinates x, y, z in a declared space"):
        surface_frame(neuroid_scores(np.zeros((2, 6))), {"region": "all", "benchmark": kept.benchmark})


def test_the_command_writes_gifti_and_csv(tmp_path: Path, isocortex) -> None:
    on_cortex(tmp_path / "results")
    done = isocortex("figure", "surface", "results", "-o", "map.gii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["map.left.gii", "map.right.gii", "map.csv"]
    assert len(list(csv.DictReader((tmp_path / "map.csv").open()))) == 50
    assert "does not end in .svg, .pdf, .png:" in isocortex("figure", "ranking", "results", "-o", "map.gii").stderr


# --- recovery ---------------------------------------------------------------------------------------------------------


def test_recovery_is_drawn_of_the_kept_record_alone(tmp_path: Path) -> None:
    from isocortex.files import write_sealed

    none = dict.fromkeys(("named_right", "left_out_named", "left_out_low", "left_out_high"))
    usual = {"metric": "ridge", "n": 240, "n_models": 12, "right": 0.5, "right_low": 0.44, "right_high": 0.56}
    family = {"family": 0.95, "family_low": 0.91, "family_high": 0.97}
    asked = {"named_right": 0.3, "left_out_named": 0.02, "left_out_low": 0.01, "left_out_high": 0.05}
    curve = [{**usual, **family, **none, "c": "0.2"}, {**usual, **family, **asked, "c": "0.75"}]
    content = {
        "benchmark": "own.ridge",
        "models": [{"name": f"m{k}", "family": f"f{k % 5}"} for k in range(12)],
        "question": {"n_samples": 200},
        "real_level": "unknown: no repetitions",
        "curve": [*curve, {**usual, **family, **none, "c": "recorded"}],
    }
    path = tmp_path / "recovery" / "own.ridge" / "recovery.json"
    path.parent.mkdir(parents=True)
    write_sealed(path, content)
    (figure,) = figures_of([], tmp_path, ["recovery"])
    figure.svg()
    found = figure.frame.set_index(["what", "c"])["share"]
    assert len(found) == 6, "the recorded level has no place on the axis, what was not asked has no mark"
    assert found["family left out, something is named", 0.75] == 0.02
    assert "12 models of 5 families" in figure.note
    path.write_bytes(path.read_bytes().replace(b"0.95", b"0.99"))
    assert not list(figures_of([], tmp_path, ["recovery"])), "what was changed is not believed"
