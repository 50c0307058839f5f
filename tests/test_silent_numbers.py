"""Numbers that would be wrong without a word: folders as people have them, scored and held against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import isocortex
from isocortex.errors import UsageError
from isocortex.results.result import Result

IDS = [f"s{number:03d}" for number in range(40)]
#: of the clean problem; the same to four digits as scikit-learn's RidgeCV on the same folds
CLEAN = 0.9662


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Features and responses that depend on them."""
    stream = np.random.default_rng(0)
    features = stream.standard_normal((40, 5))
    return features, features @ stream.standard_normal((5, 3)) + 0.5 * stream.standard_normal((40, 3))


X, Y = problem()


def dataset(folder: Path, ids: list[str] = IDS, values: np.ndarray = Y, name: str = "mine") -> Path:
    """A folder of random pictures with responses."""
    made = folder / name
    (made / "stimuli").mkdir(parents=True)
    stream = np.random.default_rng(0)
    for one in ids:
        Image.fromarray(stream.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(made / "stimuli" / f"{one}.png")
    rows = [f"{one},{','.join(f'{value:.6f}' for value in row)}" for one, row in zip(ids, values, strict=True)]
    (made / "responses.csv").write_text("\n".join(["stimulus_id,n1,n2,n3", *rows]) + "\n", encoding="utf-8")
    return made


def activations(folder: Path, values: np.ndarray = X, ids: list[str] = IDS) -> str:
    made = folder / "feat"
    made.mkdir(exist_ok=True)
    np.save(made / "layer1.npy", values)
    (made / "stimulus_id.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    return f"activations:{made}"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ISOCORTEX_DATA", str(tmp_path / "data"))
    return tmp_path


def scored(here: Path, model: str, data: Path, out: str = "results") -> Result:
    (result,) = isocortex.score(model, f"folder:{data}:ridge", out=here / out, quiet=True)
    return result


def value(result: Result) -> float:
    assert result.summary is not None, result.failure
    assert result.summary.value is not None
    return result.summary.value


def test_the_clean_value_is_that_of_scikit_learn(here: Path) -> None:
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    found: list[list[float]] = []
    for repeat in range(2):
        for train, test in KFold(5, shuffle=True, random_state=np.random.RandomState([0, repeat])).split(X):
            centred = X[train] - X[train].mean(axis=0)
            alphas = 10.0 ** np.arange(-5.0, 5.25, 0.5) * (centred**2).sum() / (len(train) - 1)
            fit = RidgeCV(alphas=alphas, alpha_per_target=True).fit(centred, Y[train] - Y[train].mean(axis=0))
            predicted = fit.predict(X[test] - X[train].mean(axis=0))
            found.append([np.corrcoef(predicted[:, k], Y[test, k])[0, 1] for k in range(3)])
    result = scored(here, activations(here), dataset(here))
    assert value(result) == pytest.approx(np.median(np.mean(found, axis=0)), abs=1e-5)
    assert value(result) == pytest.approx(CLEAN, abs=5e-5)


@pytest.mark.parametrize(
    "ids",
    [
        [f"alarm clock {number}" for number in range(40)],
        ["NA", "null", *IDS[2:]],
        ["1.0", "1", "1e5", "True", "2020-01-01", *IDS[5:]],
        [f"{number:03d}" for number in range(40)],
    ],
    ids=["spaces", "gaps", "numbers and dates", "leading zeros"],
)
def test_names_of_stimuli_change_nothing(here: Path, ids: list[str]) -> None:
    data = dataset(here, ids)
    (data / "stimuli.csv").write_text("stimulus_id\n" + "\n".join(ids) + "\n")
    assert value(scored(here, activations(here, X, ids), data)) == pytest.approx(CLEAN, abs=5e-5)


def test_a_name_that_a_mac_wrote_is_the_one_that_was_typed(here: Path) -> None:
    typed = [f"\u00e9{number:02d}" for number in range(40)]
    data = dataset(here, typed)
    for path in list((data / "stimuli").iterdir()):
        path.rename(path.with_name(path.name.replace("\u00e9", "e\u0301")))
    assert value(scored(here, activations(here, X, typed), data)) == pytest.approx(CLEAN, abs=5e-5)


@pytest.mark.parametrize("offset", [1e9, 1e6], ids=["billion", "million"])
def test_features_with_an_offset_keep_their_digits(here: Path, offset: float) -> None:
    assert value(scored(here, activations(here, X + offset), dataset(here))) == pytest.approx(CLEAN, abs=5e-5)


@pytest.mark.parametrize("scale", [1e160, 1e-160])
def test_responses_beyond_the_range_are_refused(here: Path, scale: float) -> None:
    data = dataset(here)
    (data / "responses.csv").unlink()
    (data / "stimuli.csv").write_text("stimulus_id\n" + "\n".join(IDS) + "\n")
    np.save(data / "responses.npy", Y * scale)
    failure = scored(here, activations(here), data).failure
    assert failure is not None
    assert failure.traceback is None
    assert "their squares leave the range of the numbers" in failure.message


def test_equal_pictures_are_grouped_and_results_say_so(here: Path) -> None:
    stream = np.random.default_rng(1)
    data = here / "copies"
    (data / "stimuli").mkdir(parents=True)
    rows = ["stimulus_id,n1,n2,n3"]
    for number in range(20):
        picture, answer = stream.integers(0, 256, (16, 16, 3), dtype=np.uint8), stream.standard_normal(3)
        for copy in range(3):
            name = f"img{number:02d}_rep{copy}"
            ending = ("png", "bmp", "tiff")[copy]
            Image.fromarray(picture).save(data / "stimuli" / f"{name}.{ending}")
            rows.append(f"{name},{','.join(f'{one:.6f}' for one in answer + 0.3 * stream.standard_normal(3))}")
    (data / "responses.csv").write_text("\n".join(rows) + "\n")
    result = scored(here, "pixels", data)
    assert value(result) == pytest.approx(-0.352, abs=5e-4), "of scikit-learn's GroupKFold by picture"
    assert any("60 stimuli hold the same" in text and "kept together" in text for text in result.warnings)
    (published,) = isocortex.score("pixels", f"folder:{data}:brainscore-ridge", out=here / "results", quiet=True)
    assert any("In 10 of 10 splits" in text for text in published.warnings)


# --- rows, and what is left out ---------------------------------------------------------------------------------------


def test_rows_by_a_coordinate_that_is_not_there_are_refused(here: Path) -> None:
    data = dataset(here)
    (data / "neuroids.csv").write_text("neuroid_id,region\nn1,A\nn2,A\nn3,B\n")
    (data / "dataset.toml").write_text('[benchmark]\nsummary_by = ["regoin"]\n')
    failure = scored(here, activations(here), data).failure
    assert failure is not None
    assert "its neuroids have neuroid_id, region. Did you mean region?" in failure.message
    (data / "dataset.toml").write_text('[benchmark]\nsummary_by = ["region"]\n')
    assert list(scored(here, activations(here), data).regions) == ["A", "B"]


def test_neuroids_without_a_value_are_counted(here: Path) -> None:
    data = dataset(here, values=np.column_stack([Y[:, :2], np.full(40, 5.0)]))
    result = scored(here, activations(here), data)
    assert result.summary is not None
    assert result.summary.n_null == 10, "every fold of the constant neuroid"
    assert any("can correlate with nothing: n3" in text for text in result.warnings)


# --- two folders of one name ------------------------------------------------------------------------------------------


def test_two_folders_of_one_name_are_refused_in_one_call_and_said_in_one_folder_of_results(here: Path) -> None:
    first, second = dataset(here / "a"), dataset(here / "b", values=Y[::-1])
    model = activations(here)
    with pytest.raises(UsageError, match=r"are both called 'mine.ridge'.*id = "):
        isocortex.score(model, [f"folder:{first}:ridge", f"folder:{second}:ridge"], out=here / "r", quiet=True)
    assert not scored(here, model, first).warnings or "other contents" not in "".join(
        scored(here, model, first).warnings
    )
    said = scored(here, model, second).warnings
    assert any("1 results of 'mine.ridge'" in text and "other contents of 'mine'" in text for text in said)
    (second / "dataset.toml").write_text('id = "hers"')
    both = isocortex.score(model, [f"folder:{first}:ridge", f"folder:{second}:ridge"], out=here / "r", quiet=True)
    assert [one.benchmark for one in both] == ["mine.ridge", "hers.ridge"]
