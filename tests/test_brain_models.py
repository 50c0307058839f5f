"""A brain as a model: who predicts whom, against scikit-learn and numpy, and what would be a leak."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression

import isocortex
from isocortex.data import Dataset, Stimulus, StimulusSet, make_responses
from isocortex.errors import DataError
from isocortex.loading.brain_features import features_of, features_of_dissimilarity, refuse_copies
from isocortex.results import Result
from tests.command_line import run_in_process

N_STIMULI = 40
PEOPLE = ("A", "B", "C")
#: neuroids of the participants, interleaved
SUBJECT = np.array(["A", "B", "A", "C", "A", "B", "C", "A", "B", "C", "C", "B", "A"])
REGION = np.array(["V4", "IT"] * 6 + ["IT"])


def stimuli(seed: int = 0, n: int = N_STIMULI) -> StimulusSet:
    stream = np.random.default_rng(seed)
    pictures = stream.integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    return StimulusSet("pictures", "image", {f"s{i:02d}": Stimulus(f"s{i:02d}", "image", one) for i, one in enumerate(pictures)})  # noqa: E501  # fmt: skip


def people(share: float = 1.0, seed: int = 1, subject=SUBJECT, name: str = "made", shown: StimulusSet | None = None) -> Dataset:  # noqa: E501  # fmt: skip
    """Two repetitions of responses to three latent features that all participants have, as far as ``share`` says."""
    stream = np.random.default_rng(seed)
    shown = shown or stimuli()
    common = stream.standard_normal((len(shown), 3)) @ stream.standard_normal((3, len(subject)))
    values = share * common + stream.standard_normal((2, len(shown), len(subject)))
    ids = [f"n{place}" for place in range(len(subject))]
    about = {"neuroid_id": ids, "subject": subject, "region": REGION[: len(subject)]}
    return Dataset(name, shown, responses=make_responses(values, shown.ids, neuroid=about))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def scored(model: str, data: Dataset, metric: str = "ridge", **own) -> Result:
    (result,) = isocortex.score(model, data, metric=metric, out="results", quiet=True, **own)
    return result


def means(data: Dataset) -> np.ndarray:
    assert data.responses is not None
    shown = data.responses["stimulus_id"].values
    return np.stack([data.responses.values[shown == name].mean(axis=0) for name in data.stimuli.ids])


def test_each_participant_is_predicted_by_the_others_as_scikit_learn_does(folders: Path) -> None:
    data = people()
    result = scored("brain:own:made", data, settings={"alpha": 0.0})
    assert result.summary is not None
    assert (result.summary.n_subjects, result.summary.n_neuroids) == (3, len(SUBJECT))
    scores, values = isocortex.scores(result), means(data)
    place = {name: number for number, name in enumerate(data.stimuli.ids)}
    found = np.zeros((scores.sizes["split"], len(SUBJECT)))
    for split in range(scores.sizes["split"]):
        named = scores["test_stimulus_id"].values[split]
        test = np.array([place[name] for name in named if name])
        train = np.setdiff1d(np.arange(N_STIMULI), test)
        for name in PEOPLE:
            own, others = name == SUBJECT, name != SUBJECT
            fit = LinearRegression().fit(values[np.ix_(train, others)], values[np.ix_(train, own)])
            predicted = fit.predict(values[np.ix_(test, others)])
            found[split, own] = [np.corrcoef(*pair)[0, 1] for pair in zip(predicted.T, values[np.ix_(test, own)].T, strict=True)]  # noqa: E501  # fmt: skip
    ours = scores["readout"]
    names = [f"n{number}" for number in range(len(SUBJECT))]
    order = [list(ours["neuroid_id"].values).index(name) for name in names]
    assert np.abs(ours.values[:, order] - found).max() < 2e-5, "features are single precision"
    expected = np.mean([np.median(found.mean(axis=0)[name == SUBJECT]) for name in PEOPLE])
    assert result.summary.value == pytest.approx(expected, abs=2e-5)
    for region in ("V4", "IT"):
        inside = [np.median(found.mean(axis=0)[(name == SUBJECT) & (region == REGION)]) for name in PEOPLE]
        assert result.regions[region].value == pytest.approx(np.mean(inside), abs=2e-5)
        of_people = scores["participant_value"].sel(participant_row=region).values
        assert of_people == pytest.approx(np.array(inside), abs=2e-5)
    assert any("3 participants of 'made' are predicted from the responses of 2 others of 'made', never" in text for text in result.warnings)  # noqa: E501  # fmt: skip


def test_geometry_compares_each_participant_with_the_others_together(folders: Path) -> None:
    data = people()
    values = means(data)
    upper = np.triu_indices(N_STIMULI, 1)

    def rho(sources: np.ndarray, target: str) -> float:
        first, second = ((1 - np.corrcoef(values[:, kept]))[upper] for kept in (sources, target == SUBJECT))
        return float(spearmanr(first, second).statistic)

    others = scored("brain:own:made", data, "rsa").summary
    assert others is not None
    assert others.value == pytest.approx(np.mean([rho(name != SUBJECT, name) for name in PEOPLE]), abs=1e-6)
    assert others.resampled == "stimuli × participants"
    assert others.interval_low < others.value < others.interval_high
    one = scored("brain:own:made@participant:B", data, "rsa").summary
    assert one is not None
    assert one.value == pytest.approx(np.mean([rho(SUBJECT == "B", name) for name in "AC"]), abs=1e-6)
    assert one.n_subjects == 2


def test_one_region_of_the_others_predicts(folders: Path) -> None:
    data = people()
    config = isocortex.RunConfig(layers=("V4",), out=Path("results"))
    (result,) = isocortex.score("brain:own:made", data, metric="rsa", config=config, quiet=True)
    values, upper = means(data), np.triu_indices(N_STIMULI, 1)
    expected = [
        spearmanr(*((1 - np.corrcoef(values[:, kept]))[upper] for kept in ((name != SUBJECT) & (REGION == "V4"), name == SUBJECT))).statistic  # noqa: E501
        for name in PEOPLE
    ]  # fmt: skip
    assert result.summary is not None
    assert (result.summary.best_layer, result.summary.value) == ("V4", pytest.approx(np.mean(expected), abs=1e-6))
    several = isocortex.RunConfig(layers=("V4", "IT"), out=Path("results"))
    (nested,) = isocortex.score("brain:own:made", data, metric="ridge", config=several, quiet=True)
    assert nested.summary is not None
    assert nested.summary.layer_rule == "nested by region"
    assert nested.summary.stage is None, "regions have no depth"
    (refused,) = isocortex.score("brain:own:made", data, metric="rsa", config=several, quiet=True)
    assert refused.failure is not None
    assert "pick one layer with --layers" in refused.failure.message


def test_people_who_share_nothing_do_not_predict_each_other(folders: Path) -> None:
    """If a participant's own responses were among the features, r would be about 1."""
    summary = scored("brain:own:made", people(share=0.0)).summary
    assert summary is not None
    assert abs(summary.value) < 0.15


def test_a_participant_under_another_name_is_a_leak_and_refused(folders: Path) -> None:
    data = people()
    assert data.responses is not None
    twice = data.responses.values.copy()
    twice[:, 1] = 3.0 - 2.0 * twice[:, 0]  # a neuroid of A in other units, as one of B
    copied = Dataset("made", data.stimuli, responses=data.responses.copy(data=twice))
    result = scored("brain:own:made", copied)
    assert result.failure is not None
    assert "would predict what it holds: neuroid 'n1' is the same as neuroid 'n0' of 'made'" in result.failure.message


def test_who_predicts_whom_and_who_is_not_predicted(folders: Path) -> None:
    result = scored("brain:own:made@participant:B", people())
    assert (result.model, result.variant) == ("brain:own:made", "participant:B")
    assert set(isocortex.scores(result)["subject"].values) == {"A", "C"}
    assert result.summary is not None
    assert (result.summary.n_subjects, result.summary.n_neuroids, result.summary.n_neuroids_total) == (2, 9, 13)
    assert "Not predicted, since nobody else is among the features: B." in result.warnings
    unknown = scored("brain:own:made@participant:D", people())
    assert unknown.failure is not None
    assert "no participant 'D'" in unknown.failure.message


@pytest.mark.parametrize(
    ("subject", "says"),
    [(None, "do not say whose they are"), (np.full(13, "A"), "no participant beside those that are predicted")],
)
def test_data_of_one_or_of_nobody_are_refused(folders: Path, subject, says: str) -> None:
    data = people(subject=SUBJECT if subject is None else subject)
    assert data.responses is not None
    if subject is None:
        data = Dataset("made", data.stimuli, responses=data.responses.drop_vars("subject"))
    result = scored("brain:own:made", data)
    assert result.failure is not None
    assert says in result.failure.message


def test_a_metric_of_all_together_is_refused(folders: Path) -> None:
    result = scored("brain:own:made", people(), "brainscore-rdm")
    assert result.failure is not None
    assert "gives no score of single participants" in result.failure.message


def test_a_brain_is_compared_with_models_on_the_same_draws(folders: Path) -> None:
    data = people()
    isocortex.score(["brain:own:made", "noise"], data, metric="ridge", out="results", quiet=True)
    table = isocortex.compare("results", regions="all")
    assert table["model_a"].tolist() == ["brain:own:made@fixed"]
    assert table["p"].notna().all()


def test_the_interval_of_a_brain_is_made_as_that_of_a_model(folders: Path) -> None:
    """Draws of participants are joined by the metric, whose interval reaches as far as Student's t."""
    summary = scored("brain:own:made", people(0.5), "rsa").summary
    assert summary is not None
    assert summary.resampled == "stimuli × participants"
    percentiles = 2 * 1.96 * summary.error
    assert summary.interval_high - summary.interval_low > 1.05 * percentiles


def test_copies_are_found_among_matrices_too() -> None:
    shown = stimuli(n=12)
    first, second = np.triu_indices(12, 1)
    stream = np.random.default_rng(2)
    rdms = stream.random((3, first.size))
    import xarray as xr

    ids = np.asarray(shown.ids, dtype=object)
    coords = {"subject": ["x", "y", "z"], "stimulus_a": ("pair", ids[first]), "stimulus_b": ("pair", ids[second])}
    data = Dataset("rdms", shown, rdm=xr.DataArray(rdms, coords, ("subject", "pair")))
    refuse_copies("a brain", data, ["x", "y"], data, ["z"])
    with pytest.raises(DataError, match="the matrix of 'x' is the same as the matrix of 'x'"):
        refuse_copies("a brain", data, ["x", "y"], data, ["x"])


def test_features_of_matrices_have_their_mean_as_dissimilarities() -> None:
    import xarray as xr

    shown = stimuli(n=12)
    stream = np.random.default_rng(3)
    first, second = np.triu_indices(12, 1)
    squares = [1 - np.corrcoef(stream.standard_normal((12, 30))) for _ in range(3)]
    ids = np.asarray(shown.ids, dtype=object)
    coords = {"subject": ["x", "y", "z"], "stimulus_a": ("pair", ids[first]), "stimulus_b": ("pair", ids[second])}
    rdm = xr.DataArray(np.stack([square[first, second] for square in squares]), coords, ("subject", "pair"))
    made = features_of(Dataset("rdms", shown, rdm=rdm), ["x", "z"])
    assert np.abs(1 - np.corrcoef(made) - (squares[0] + squares[2]) / 2).max() < 1e-12
    with pytest.raises(DataError, match="not 1 − correlation: an eigenvalue is"):
        features_of_dissimilarity(np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0], [2.0, 2.0, 0.0]]))


# --- on the command line ----------------------------------------------------------------------------------------------


def write_folder(folder: Path, data: Dataset) -> Path:
    """A data set in a folder, as a laboratory keeps it."""
    from PIL import Image

    (folder / "stimuli").mkdir(parents=True)
    for name in data.stimuli.ids:
        picture = data.stimuli.load(data.stimuli.ids.index(name)).array
        Image.fromarray(np.asarray(picture)).save(folder / "stimuli" / f"{name}.png")
    assert data.responses is not None
    data.responses.to_netcdf(folder / "responses.nc")
    (folder / "dataset.toml").write_text('id = "lab"\nmodality = "image"\n', encoding="utf-8")
    return folder


def test_a_folder_is_a_brain_on_the_command_line(folders: Path) -> None:
    write_folder(folders / "lab", people())
    environment = {"ISOCORTEX_CACHE": str(folders / "cache")}
    asked = ("score", "-b", "folder:lab:ridge", "--json")
    done = run_in_process((*asked, "-m", "brain:folder:lab", "-m", "brain:folder:lab@participant:A"), folders, environment)  # noqa: E501  # fmt: skip
    assert done.returncode == 0, done.stderr
    whole = [row for row in json.loads(done.stdout) if row["region"] is None]
    assert [(row["variant"], row["n_subjects"]) for row in whole] == [("fixed", 3), ("participant:A", 2)]
    direct = scored("brain:own:made", people()).summary
    assert direct is not None
    assert whole[0]["value"] == pytest.approx(direct.value, abs=1e-12)
    again = run_in_process((*asked, "-m", "brain:folder:lab"), folders, environment)
    assert "cached" in again.stderr
    text = run_in_process(("methods", "results"), folders, environment).stdout
    assert "The features of brain:folder:lab and brain:own:made were responses of participants, averaged over" in text
    for arguments, says in (
        (("extract", "-m", "brain:folder:lab", "--stimuli", "folder:lab"), "is a model only on a benchmark"),
        (("fetch", "-m", "brain:folder:lab"), "brings its files"),
        (("score", "-m", "noise+brain:folder:lab", "-b", "folder:lab:banded-ridge"), "cannot be part of a sum"),
        (("score", "-m", "brain:folder:lab@random:0", "-b", "folder:lab:ridge"), "lab@random:0"),
    ):
        refused = run_in_process(arguments, folders, environment)
        assert refused.returncode == 2, (arguments, refused.stdout)
        assert says in refused.stderr


def test_other_stimuli_of_the_same_names_are_refused(folders: Path) -> None:
    write_folder(folders / "lab", people(shown=stimuli(seed=5)))
    result = scored("brain:folder:lab", people(subject=np.array(["D", "E"] * 6 + ["D"])))
    assert result.failure is not None
    assert "have the same ID and hold something else" in result.failure.message
    write_folder(folders / "few", people(shown=stimuli(n=30)))
    fewer = scored("brain:folder:few", people(subject=np.array(["D", "E"] * 6 + ["D"])))
    assert fewer.failure is not None
    assert "knows nothing of 10 of the 40 stimuli" in fewer.failure.message


def test_a_brain_without_the_predicted_is_a_model_like_any_other(folders: Path) -> None:
    """Another laboratory's participants: one model for everybody, with the group's value and a warning."""
    theirs = people(subject=np.array(["D", "E"] * 6 + ["D"]), seed=4)
    write_folder(folders / "lab", theirs)
    result = scored("brain:folder:lab", people(), "rsa")
    assert result.summary is not None, result.failure
    upper = np.triu_indices(N_STIMULI, 1)
    mine, model = means(people()), (1 - np.corrcoef(means(theirs)))[upper]
    expected = [spearmanr(model, (1 - np.corrcoef(mine[:, name == SUBJECT]))[upper]).statistic for name in PEOPLE]
    assert result.summary.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert "group_rho" in result.summary.also
    assert any("is known by names and by equal recordings alone" in text for text in result.warnings)


# --- how well participants predict each other -------------------------------------------------------------------------


def test_ceiling_is_the_spread_over_participants_and_pairs(folders: Path) -> None:
    data = people()
    write_folder(folders / "lab", data)
    environment = {"ISOCORTEX_CACHE": str(folders / "cache"), "ISOCORTEX_DATA": str(folders / "data")}
    done = run_in_process(("ceiling", "folder:lab:rsa", "--pairs", "--json"), folders, environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    values, upper = means(data), np.triu_indices(N_STIMULI, 1)
    rdms = {name: (1 - np.corrcoef(values[:, name == SUBJECT]))[upper] for name in PEOPLE}
    others = {name: (1 - np.corrcoef(values[:, name != SUBJECT]))[upper] for name in PEOPLE}
    expected = {("the others", name): spearmanr(others[name], rdms[name]).statistic for name in PEOPLE}
    expected |= {(a, b): spearmanr(rdms[a], rdms[b]).statistic for a in PEOPLE for b in PEOPLE if a != b}
    ours = {(row["source"], row["subject"]): row["value"] for row in found["values"]}
    assert ours == {pair: pytest.approx(value, abs=2e-6) for pair, value in expected.items()}
    left_out, pairs = found["spread"]
    three = [expected["the others", name] for name in PEOPLE]
    six = [value for (source, _), value in expected.items() if source != "the others"]
    for row, numbers, n in ((left_out, three, 3), (pairs, six, 6)):
        assert (row["n"], row["n_participants"]) == (n, 3)
        assert [row[name] for name in ("quartile_low", "median", "quartile_high")] == pytest.approx(np.quantile(numbers, [0.25, 0.5, 0.75]).tolist(), abs=2e-6)  # noqa: E501  # fmt: skip
    shown = run_in_process(("info", "folder:lab:rsa"), folders, environment).stdout
    assert f"participants predicted by the others (brain:lab), rho: median {np.median(three):.3f}" in shown
    assert "6 ordered pairs of 3 participants; no ceiling, and no divisor" in shown
    table = run_in_process(("ceiling", "folder:lab:pls"), folders, environment)  # whose own value pools participants
    assert "the others" in table.stdout, table.stderr
    refused = run_in_process(("ceiling", "folder:lab:brainscore-rdm"), folders, environment)
    assert refused.returncode == 2
    assert "gives no score of single participants" in refused.stderr


def test_one_participant_alone_has_no_ceiling_over_participants() -> None:
    """A row that asks for the band over participants can be scored for each of them."""
    from isocortex.interfaces import BenchmarkCard
    from isocortex.run.brains import Asked

    card = BenchmarkCard(id="b", dataset="made", metric="ridge", ceiling="inter-subject")
    asked = Asked(isocortex.load_metric("ridge"), card, 0, "cpu", 1000, 13)
    alone, together = asked.against(people(), ["A"], ()), asked.against(people(), ["A", "B"], ())
    assert together.ceiling is not None
    assert together.ceiling.lower is not None
    assert alone.ceiling is not None
    assert alone.ceiling.lower is None
    assert alone.n_neuroids_total == 13
