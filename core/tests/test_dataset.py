from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, strategies as st

from isocortex.data.dataset import Dataset, averaged, make_responses, repetitions, stimulus_order
from isocortex.data.response_checks import check_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.errors import AlignmentError, DataError


def stimulus_set(names: Sequence[str], name: str = "sounds") -> StimulusSet:
    silence = np.zeros(4, dtype=np.float32)
    return StimulusSet(name, "audio", {name: Stimulus(name, "audio", silence, 8000.0) for name in names})


def presentations(rows: Sequence[tuple[str, int]], n_neuroids: int = 2) -> xr.DataArray:
    """Responses whose value tells stimulus, repetition and neuroid: 100 · letter + 10 · repetition + neuroid."""
    values = [[100.0 * ord(name[0]) + 10 * count + unit for unit in range(n_neuroids)] for name, count in rows]
    return xr.DataArray(
        np.array(values),
        dims=("presentation", "neuroid"),
        coords={
            "stimulus_id": ("presentation", [name for name, _ in rows]),
            "repetition": ("presentation", [count for _, count in rows]),
            "neuroid_id": ("neuroid", [f"n{unit}" for unit in range(n_neuroids)]),
        },
    )


def value_of(name: str, count: int = 0, unit: int = 0) -> float:
    return 100.0 * ord(name[0]) + 10 * count + unit


# --- exactly one kind -------------------------------------------------------------------------------------------------


def test_exactly_one_of_responses_rdm_and_trials() -> None:
    responses, trials = presentations([("a", 0)]), pd.DataFrame({"stimulus_id": ["a"]})
    with pytest.raises(DataError, match=r"exactly one of responses, rdm and trials; found \[\]"):
        Dataset("demo", stimulus_set("a"))
    with pytest.raises(DataError, match=r"found \['responses', 'trials'\]"):
        Dataset("demo", stimulus_set("a"), responses=responses, trials=trials)
    assert Dataset("demo", stimulus_set("a"), responses=responses).kind == "responses"
    assert Dataset("demo", stimulus_set("a"), trials=trials).kind == "trials"
    assert Dataset("demo", stimulus_set("ab"), rdm=rdm_of("ab")).kind == "rdm"


# --- responses: order -------------------------------------------------------------------------------------------------


@given(st.permutations([(name, count) for name in "cab" for count in range(3)][:8]))
def test_presentations_come_in_canonical_order_with_their_values(rows: list[tuple[str, int]]) -> None:
    dataset = Dataset("demo", stimulus_set("cab"), responses=presentations(rows))
    assert dataset.responses is not None
    expected = [("c", 0), ("c", 1), ("c", 2), ("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]
    found = zip(dataset.responses.stimulus_id.values, dataset.responses.repetition.values, strict=True)
    assert [(str(name), int(count)) for name, count in found] == expected
    assert dataset.responses.values.tolist() == [[value_of(*row), value_of(*row, 1)] for row in expected]


def test_the_order_of_rows_changes_neither_digest_nor_values() -> None:
    rows = [(name, count) for name in "ab" for count in range(2)]
    there = Dataset("demo", stimulus_set("ab"), responses=presentations(rows))
    back = Dataset("demo", stimulus_set("ab"), responses=presentations(rows[::-1]))
    assert there.digest == back.digest
    other_order = Dataset("demo", stimulus_set("ba"), responses=presentations(rows))
    assert other_order.digest != there.digest, "the canonical order belongs to the data set"


def test_responses_without_repetitions_need_no_coordinate() -> None:
    responses = presentations([("b", 0), ("a", 0)]).drop_vars("repetition")
    dataset = Dataset("demo", stimulus_set("ab"), responses=responses)
    assert dataset.responses is not None
    assert dataset.responses.values[:, 0].tolist() == [value_of("a"), value_of("b")]


def test_whole_numbers_become_float64_and_float32_stays() -> None:
    counts = presentations([("a", 0), ("b", 0)]).astype(np.int16)
    dataset = Dataset("demo", stimulus_set("ab"), responses=counts)
    assert dataset.responses is not None
    assert dataset.responses.dtype == np.float64
    single = Dataset("demo", stimulus_set("ab"), responses=counts.astype(np.float32))
    assert single.responses is not None
    assert single.responses.dtype == np.float32


# --- responses: what is refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_named(value: float) -> None:
    responses = presentations([("a", 0), ("b", 0)], n_neuroids=4)
    responses[0, 2] = responses[1, 2] = responses[1, 3] = value
    with pytest.raises(DataError, match=r"has 3 values that are not finite.*in 2 of 4 neuroids: n2, n3. Remove"):
        Dataset("demo", stimulus_set("ab"), responses=responses)


def test_duplicated_presentations_are_refused() -> None:
    with pytest.raises(DataError, match=r"more than once: b \(repetition 1\)"):
        Dataset("demo", stimulus_set("ab"), responses=presentations([("a", 0), ("b", 1), ("b", 1)]))
    once = presentations([("a", 0), ("b", 0), ("b", 1)]).drop_vars("repetition")
    with pytest.raises(DataError, match="Number the repetitions, or average them first"):
        Dataset("demo", stimulus_set("ab"), responses=once)


def test_duplicated_neuroids_are_refused() -> None:
    responses = presentations([("a", 0)], 3).assign_coords(neuroid_id=("neuroid", ["x", "y", "x"]))
    with pytest.raises(DataError, match="neuroid_id must be unique in 'demo'; found more than once: x"):
        Dataset("demo", stimulus_set("a"), responses=responses)


def test_responses_for_stimuli_that_do_not_exist() -> None:
    responses = presentations([("speech1", 0), ("music", 0)])
    with pytest.raises(
        AlignmentError, match=r"responses for 1 stimuli that are not in 'sounds': music.*Did you mean musik\?"
    ):
        Dataset("demo", stimulus_set(["speech1", "musik"]), responses=responses)


def test_stimuli_without_responses() -> None:
    with pytest.raises(AlignmentError, match="2 of 3 stimuli of 'demo' have no responses: a, c"):
        Dataset("demo", stimulus_set("abc"), responses=presentations([("b", 0)]))


def test_dimensions_and_coordinates_are_checked() -> None:
    good = presentations([("a", 0), ("b", 0)])
    bad: list[tuple[xr.DataArray, str]] = [
        (good.transpose(), r"need dims \('presentation', 'neuroid'\); found \('neuroid', 'presentation'\)"),
        (good.expand_dims("time_bin", axis=2), r"go on in time \(time_bin\)"),
        (good.rename(neuroid="voxel"), "need dims"),
        (good.drop_vars("stimulus_id"), "need the coordinate 'stimulus_id' on 'presentation'"),
        (good.drop_vars("neuroid_id"), "need the coordinate 'neuroid_id' on 'neuroid'"),
        (good.drop_vars("neuroid_id").assign_coords(neuroid_id=("presentation", ["x", "y"])), "'neuroid_id' on"),
        (good[:0], r"are empty: shape \(0, 2\)"),
        (good[:, :0], r"are empty: shape \(2, 0\)"),
        (good.astype(str), "must be real numbers; found dtype <U"),
        (good.astype(complex), r"are complex \(complex128\)"),
        (good > 0, "must be real numbers; found dtype bool"),
    ]
    for responses, message in bad:
        with pytest.raises(DataError, match=message):
            check_responses("demo", responses)
    xr.testing.assert_identical(check_responses("demo", good), good)


# --- repetitions and averages -----------------------------------------------------------------------------------------


def test_make_responses_lays_out_repetitions() -> None:
    values = np.arange(24.0).reshape(3, 2, 4)
    made = make_responses(values, ["a", "b"], neuroid={"region": ["V4", "V4", "IT", "IT"]}, units="Hz")
    assert made.dims == ("presentation", "neuroid")
    assert made.attrs["units"] == "Hz"
    assert made.region.values.tolist() == ["V4", "V4", "IT", "IT"]
    assert made.neuroid_id.values.tolist() == ["neuroid0", "neuroid1", "neuroid2", "neuroid3"]
    for repetition, stimulus, unit in itertools.product(range(3), range(2), range(4)):
        there = (made.stimulus_id == "ab"[stimulus]) & (made.repetition == repetition)
        assert made.values[there.values, unit].tolist() == [values[repetition, stimulus, unit]]


def test_make_responses_takes_own_ids_of_neuroids_and_one_repetition() -> None:
    made = make_responses(np.ones((2, 3)), ["a", "b"], neuroid={"neuroid_id": ["x", "y", "z"]})
    assert made.neuroid_id.values.tolist() == ["x", "y", "z"]
    assert made.repetition.values.tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 3, 4), (1, 1, 2, 2)])
def test_make_responses_checks_the_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="with 2 stimuli; found shape"):
        make_responses(np.ones(shape), ["a", "b"])


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_averages_and_repetitions_with_unequal_counts(counts: list[int], random: Any) -> None:
    """Against pandas: groups in order of appearance."""
    rows = [("abcde"[number], count) for number, n in enumerate(counts) for count in range(n)]
    random.shuffle(rows)
    responses = presentations(rows)
    frame = pd.DataFrame(responses.values, index=[name for name, _ in rows])
    groups = frame.groupby(level=0, sort=False)
    np.testing.assert_allclose(averaged(responses), groups.mean().to_numpy(), rtol=1e-13)
    assert stimulus_order(responses) == tuple(groups.mean().index)
    trials = repetitions(responses)
    assert trials.shape == (max(counts), len(counts), 2)
    for place, (_, group) in enumerate(groups):
        np.testing.assert_array_equal(trials[: len(group), place], group.to_numpy())
        assert np.isnan(trials[len(group) :, place]).all()


def test_unequal_repetitions_in_a_data_set_are_all_there() -> None:
    rows = [("b", 2), ("a", 1), ("b", 0), ("a", 0), ("b", 1)]
    dataset = Dataset("demo", stimulus_set("ab"), responses=presentations(rows, 1))
    assert dataset.responses is not None
    expected = [[value_of("a", 0), value_of("b", 0)], [value_of("a", 1), value_of("b", 1)], [np.nan, value_of("b", 2)]]
    np.testing.assert_array_equal(repetitions(dataset.responses)[:, :, 0], expected)
    assert averaged(dataset.responses).tolist() == [[value_of("a") + 5], [value_of("b") + 10]]


def test_averages_are_float64_whatever_comes_in() -> None:
    responses = presentations([("a", 0), ("a", 1)]).astype(np.float32)
    assert averaged(responses).dtype == repetitions(responses).dtype == np.float64


# --- RDMs -------------------------------------------------------------------------------------------------------------


def rdm_of(names: Sequence[str], pairs: Sequence[tuple[str, str]] | None = None, n_subjects: int = 2) -> xr.DataArray:
    """RDMs whose value tells subject and pair, the same for (a, b) and (b, a)."""
    pairs = list(itertools.combinations(names, 2)) if pairs is None else pairs
    values = [[1000.0 * who + ord(a[0]) * ord(b[0]) for a, b in pairs] for who in range(n_subjects)]
    return xr.DataArray(
        np.array(values).reshape(n_subjects, len(pairs)),
        dims=("subject", "pair"),
        coords={
            "subject": [f"S{who}" for who in range(n_subjects)],
            "stimulus_a": ("pair", [a for a, _ in pairs]),
            "stimulus_b": ("pair", [b for _, b in pairs]),
        },
    )


@given(st.permutations(list(itertools.combinations("dacb", 2))), st.lists(st.booleans(), min_size=6, max_size=6))
def test_pairs_come_in_canonical_order_however_they_were_written(
    pairs: list[tuple[str, str]], swapped: list[bool]
) -> None:
    written = [(b, a) if swap else (a, b) for (a, b), swap in zip(pairs, swapped, strict=True)]
    dataset = Dataset("demo", stimulus_set("dacb"), rdm=rdm_of("dacb", written))
    assert dataset.rdm is not None
    found = list(zip(dataset.rdm.stimulus_a.values.tolist(), dataset.rdm.stimulus_b.values.tolist(), strict=True))
    expected = list(itertools.combinations("dacb", 2))
    assert found == expected
    assert dataset.rdm.values.tolist() == [[1000.0 * who + ord(a) * ord(b) for a, b in expected] for who in range(2)]
    assert dataset.digest == Dataset("other", stimulus_set("dacb"), rdm=rdm_of("dacb")).digest


def test_rdms_with_sessions() -> None:
    rdm = xr.concat([rdm_of("abc"), rdm_of("abc") + 0.5], dim="session").transpose("subject", "session", "pair")
    dataset = Dataset("demo", stimulus_set("cab"), rdm=rdm.isel(pair=[2, 0, 1]))
    assert dataset.rdm is not None
    assert dataset.rdm.shape == (2, 2, 3)
    assert dataset.rdm.values[1, 1].tolist() == [1000.5 + ord(a) * ord(b) for a, b in ("ca", "cb", "ab")]


@pytest.mark.parametrize(
    "pairs",
    [
        [("a", "b"), ("a", "c")],
        [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b")],
        [("a", "b"), ("a", "c"), ("c", "a")],
        [("a", "b"), ("a", "c"), ("b", "b")],
        [("a", "b"), ("a", "c"), ("b", "c"), ("b", "b")],
    ],
    ids=["missing", "twice", "swapped twice", "diagonal instead", "diagonal added"],
)
def test_every_pair_must_be_there_once(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(DataError, match=rf"each pair of 3 stimuli once \(3 pairs\); found {len(pairs)}"):
        Dataset("demo", stimulus_set("abc"), rdm=rdm_of("abc", pairs))


def test_rdms_name_what_is_wrong() -> None:
    good = rdm_of("abc")
    with pytest.raises(DataError, match=r"need dims \('subject'\[, 'session'\], 'pair'\); found \('pair', 'subject'\)"):
        Dataset("demo", stimulus_set("abc"), rdm=good.transpose())
    for name in ("subject", "stimulus_a", "stimulus_b"):
        with pytest.raises(DataError, match=f"need the coordinate '{name}'"):
            Dataset("demo", stimulus_set("abc"), rdm=good.drop_vars(name))
    with pytest.raises(AlignmentError, match="stimuli that are not in 'sounds': c"):
        Dataset("demo", stimulus_set("ab"), rdm=good)
    with pytest.raises(AlignmentError, match="1 of 4 stimuli of 'demo' have no responses: d"):
        Dataset("demo", stimulus_set("abcd"), rdm=good)
    holed = good.copy()
    holed[1, 2] = np.nan
    with pytest.raises(DataError, match=r"has 1 values that are not finite.*in 1 of 2 subjects: S1"):
        Dataset("demo", stimulus_set("abc"), rdm=holed)


# --- trials -----------------------------------------------------------------------------------------------------------


def test_trials_come_in_canonical_order_and_keep_their_own() -> None:
    trials = pd.DataFrame({"stimulus_id": list("abcba"), "choice": range(5)}, index=[7, 3, 9, 1, 2])
    dataset = Dataset("demo", stimulus_set("cba"), trials=trials)
    assert dataset.trials is not None
    assert dataset.trials["stimulus_id"].tolist() == list("cbbaa")
    assert dataset.trials["choice"].tolist() == [2, 1, 3, 0, 4]
    assert dataset.trials["trial"].tolist() == [2, 1, 3, 0, 4]
    assert "trial" not in trials
    assert Dataset("demo", stimulus_set("cba"), trials=dataset.trials).trials["trial"].tolist() == [2, 1, 3, 0, 4]
    assert dataset.trials.index.tolist() == [0, 1, 2, 3, 4]
    assert trials["choice"].tolist() == [0, 1, 2, 3, 4], "the caller's table must stay as it was"


def test_trials_of_several_participants_put_together_keep_their_number() -> None:
    """``pd.concat`` leaves an index with every label several times."""
    one = pd.DataFrame({"stimulus_id": ["a", "b"], "choice": [0, 1]})
    trials = pd.concat([one, one.assign(choice=[2, 3])])
    dataset = Dataset("demo", stimulus_set("ab"), trials=trials)
    assert dataset.trials is not None
    assert dataset.trials["choice"].tolist() == [0, 2, 1, 3]


def test_trials_with_numbers_as_ids() -> None:
    dataset = Dataset(
        "demo", stimulus_set(["10", "9"]), trials=pd.DataFrame({"stimulus_id": [9, 10], "choice": [1, 2]})
    )
    assert dataset.trials is not None
    assert dataset.trials["choice"].tolist() == [2, 1]


def test_trials_name_what_is_wrong() -> None:
    with pytest.raises(DataError, match=r"need rows and a column 'stimulus_id'; found \['image'\]"):
        Dataset("demo", stimulus_set("a"), trials=pd.DataFrame({"image": ["a"]}))
    with pytest.raises(DataError, match="need rows"):
        Dataset("demo", stimulus_set("a"), trials=pd.DataFrame({"stimulus_id": []}))
    with pytest.raises(AlignmentError, match="not in 'sounds': b"):
        Dataset("demo", stimulus_set("a"), trials=pd.DataFrame({"stimulus_id": ["a", "b"]}))
    with pytest.raises(AlignmentError, match="have no responses: b"):
        Dataset("demo", stimulus_set("ab"), trials=pd.DataFrame({"stimulus_id": ["a"]}))


# --- digest -----------------------------------------------------------------------------------------------------------


def test_digest_covers_stimuli_values_and_coordinates_of_neuroids() -> None:
    def digest(responses: xr.DataArray, names: str = "ab") -> str:
        return Dataset("demo", stimulus_set(names), responses=responses).digest

    good = presentations([("a", 0), ("b", 0)])
    nudged = good.copy()
    nudged[0, 0] = np.nextafter(float(good[0, 0]), 1)
    louder = StimulusSet(
        "sounds",
        "audio",
        {name: Stimulus(name, "audio", np.ones(4, dtype=np.float32), 8000.0) for name in "ab"},
    )
    digests = [
        digest(good),
        digest(nudged),
        digest(good.astype(np.float32)),
        digest(good.assign_coords(region=("neuroid", ["V4", "IT"]))),
        digest(good.assign_coords(region=("neuroid", ["IT", "V4"]))),
        digest(good.assign_coords(neuroid_id=("neuroid", ["n1", "n0"]))),
        Dataset("demo", louder, responses=good).digest,
    ]
    assert len(set(digests)) == len(digests)
    assert digest(good.copy()) == digests[0]
    assert Dataset("named otherwise", stimulus_set("ab"), responses=good).digest == digests[0]


def test_digest_of_trials_covers_every_column() -> None:
    def digest(**columns: Any) -> str:
        trials = pd.DataFrame({"stimulus_id": ["a", "b"], **columns})
        return Dataset("demo", stimulus_set("ab"), trials=trials).digest

    assert digest(choice=[0, 1]) == digest(choice=[0, 1])
    assert len({digest(), digest(choice=[0, 1]), digest(choice=[1, 0]), digest(answer=[0, 1])}) == 4


def test_digest_takes_dates_among_the_coordinates() -> None:
    responses = presentations([("a", 0)]).assign_coords(
        recorded=("neuroid", np.array(["2026-01-02", "2026-01-03"], dtype="datetime64[us]"))
    )
    assert len(Dataset("demo", stimulus_set("a"), responses=responses).digest) == 64


# --- selection --------------------------------------------------------------------------------------------------------


@pytest.fixture
def recorded() -> Dataset:
    responses = presentations([("a", 0), ("b", 0)], n_neuroids=5).assign_coords(
        region=("neuroid", ["V4", "IT", "IT", "V4", "IT"]),
        subject=("neuroid", ["M1", "M1", "M2", "M2", "M2"]),
        layer_depth=("neuroid", [1.5, 2.0, 2.0, 3.0, 1.5]),
    )
    return Dataset("demo", stimulus_set("ab"), responses=responses)


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"region": "IT"}, [1, 2, 4]),
        ({"region": ["IT", "V4"]}, [0, 1, 2, 3, 4]),
        ({"region": "IT", "subject": "M2"}, [2, 4]),
        ({"region": "V4", "subject": ["M2"]}, [3]),
        ({"layer_depth": "1.5"}, [0, 4]),
        ({"neuroid_id": ["n3", "n0"]}, [0, 3]),
    ],
)
def test_selecting_neuroids(recorded: Dataset, chosen: dict[str, Any], kept: list[int]) -> None:
    selected = recorded.select(**chosen)
    assert selected.responses is not None
    assert recorded.responses is not None
    assert selected.responses.neuroid_id.values.tolist() == [f"n{unit}" for unit in kept]
    np.testing.assert_array_equal(selected.responses.values, recorded.responses.values[:, kept])
    assert (selected.digest == recorded.digest) == (len(kept) == 5)
    assert recorded.responses.shape == (2, 5)


def test_selecting_stimuli_by_a_column_of_their_table() -> None:
    table = pd.DataFrame({"variation": [0, 3, 3, 0]}, index=list("abcd"))
    silence = np.zeros(4, dtype=np.float32)
    sounds = {name: Stimulus(name, "audio", silence, 8000.0) for name in "abcd"}
    stimuli = StimulusSet("sounds", "audio", sounds, table=table)
    responses = make_responses(np.arange(24.0).reshape(2, 4, 3), list("dcba"), neuroid={"region": ["V4", "IT", "IT"]})
    dataset = Dataset("demo", stimuli, responses=responses, warnings=("odd",))
    selected = dataset.select(region="IT", variation="3")
    assert selected.responses is not None
    assert (selected.stimuli.ids, selected.warnings) == (("b", "c"), ("odd",))
    expected = {"c": [[4.0, 5.0], [16.0, 17.0]], "b": [[7.0, 8.0], [19.0, 20.0]]}
    for name, values in expected.items():
        found = selected.responses.values[selected.responses["stimulus_id"].values == name]
        np.testing.assert_array_equal(found, values)
    assert selected.stimuli.contents == stimuli.contents[1:3]
    assert selected.digest != dataset.select(region="IT").digest
    with pytest.raises(DataError, match=r"has no stimuli with variation = 6; it has 0, 3"):
        dataset.select(variation="6")
    with pytest.raises(
        DataError, match=r"coordinate 'varation'\. Did you mean variation\?.*Its stimuli have variation"
    ):
        dataset.select(varation="3")
    trials = Dataset("demo", stimuli, trials=pd.DataFrame({"stimulus_id": list("abcd"), "choice": list("wxyz")}))
    assert trials.select(variation="0").trials["choice"].tolist() == ["w", "z"]


def test_selecting_subjects_of_rdms() -> None:
    dataset = Dataset("demo", stimulus_set("abc"), rdm=rdm_of("abc", n_subjects=3))
    selected = dataset.select(subject=["S2", "S0"]).rdm
    assert selected is not None
    assert selected.subject.values.tolist() == ["S0", "S2"]
    assert selected.values[1].tolist() == [2000.0 + ord(a) * ord(b) for a, b in ("ab", "ac", "bc")]


def test_selections_that_cannot_be_made(recorded: Dataset) -> None:
    with pytest.raises(DataError, match=r"no neuroid coordinate 'regoin'\. Did you mean region\? Known: "):
        recorded.select(regoin="IT")
    with pytest.raises(DataError, match="no neuroid coordinate 'stimulus_id'"):
        recorded.select(stimulus_id="a")
    with pytest.raises(DataError, match=r"has no neuroid with region = V1; it has IT, V4"):
        recorded.select(region="V1")
    with pytest.raises(DataError, match=r"has no neuroid with subject = M2; it has M1"):
        recorded.select(neuroid_id=["n0", "n1"], subject="M2")
    trials = Dataset("demo", stimulus_set("a"), trials=pd.DataFrame({"stimulus_id": ["a"]}))
    with pytest.raises(DataError, match="holds trials; select applies to columns of its stimuli"):
        trials.select(subject="S1")
    assert trials.select() is trials


def test_a_selection_of_several_names_all_that_are_absent(recorded: Dataset) -> None:
    """A benchmark that names a region that the data lack must not be scored on what is left."""
    with pytest.raises(DataError, match="V1"):
        recorded.select(region=["IT", "V1"])


def test_attributes_and_stimuli_survive_a_selection(recorded: Dataset) -> None:
    dataset = Dataset("demo", recorded.stimuli, responses=recorded.responses, attrs={"licence": "CC0"})
    selected = dataset.select(region="IT")
    assert (selected.id, selected.attrs) == ("demo", {"licence": "CC0"})
    assert selected.stimuli is recorded.stimuli
