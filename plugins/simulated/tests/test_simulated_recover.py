"""``isocortex recover``: the numbers of a run on each brain alone, kept and found again, and what is said of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isocortex
from isocortex.data import Dataset, make_responses
from isocortex.results import findings_of
from isocortex_simulated.draws import Stream
from isocortex_simulated.identification import blocks, plan, run
from isocortex_simulated.identification.brains import Template, as_dataset
from isocortex_simulated.identification.comparing import largest_p
from isocortex_simulated.identification.contenders import Contender, contenders_of
from isocortex_simulated.identification.many_draws import Protocol, readouts
from isocortex_simulated.identification.plan import (
    DECIDING,
    Question,
    card_of,
    digest_of_question,
    protocols_of,
)
from isocortex_simulated.identification.truths import Truths, read_out_most

BENCHMARK = "simulated-auditory.ridge"
MODELS = ("noise/2", "category", "noise@random:1")
REDUCTION = "time-mean"


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Template:
    """A small recording in place of the benchmark's, whose cortex takes seconds to make."""
    monkeypatch.setenv("ISOCORTEX_DATA", str(tmp_path / "data"))
    stimuli = isocortex.load_stimuli("simulated-sounds")
    signal = Stream(0, "signal").normal(len(stimuli), 20)
    values = signal + Stream(0, "noise").normal(3, len(stimuli), 20)
    names = {"region": ["left", "right"] * 10, "subject": ["S1"] * 10 + ["S2"] * 10}
    dataset = Dataset("recorded", stimuli, responses=make_responses(values, stimuli.ids, neuroid=names))
    monkeypatch.setattr(run, "template_of", lambda _: Template.of(dataset))
    return Template.of(dataset)


def truths(template: Template, models: tuple[str, ...] = MODELS) -> Truths:
    found = contenders_of(models, template.dataset.stimuli, template.stimulus_id, REDUCTION)
    return Truths(Question(BENCHMARK), template, found)


def asked(**more: Any) -> Question:
    """Two brains of each by ridge; the open set is not asked."""
    few = {"draws": (("", 2),), "n_samples": 60, "n_references": 20}
    return Question(BENCHMARK, **{"metrics": ("ridge",), "levels": (0.75,), "open_levels": ()} | few | more)


def recovered(out: Path, question: Question, models: tuple[str, ...] = MODELS) -> run.Found:
    return run.recovered(question, models, out, lambda _: None)


# --- the oracle: a run on each simulated data set ---------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["ridge", "rsa", "cka", "procrustes", "pls"])
def test_values_and_samples_are_those_of_a_run_on_the_simulated_data_set(
    metric: str, recorded: Template, tmp_path: Path
) -> None:
    made = truths(recorded, MODELS if metric != "pls" else MODELS[:2])
    protocol = protocols_of(card_of(BENCHMARK), [metric], 1000)[metric]
    brains = [made.responses(place, 0, 0.6)[1] for place in range(len(made.contenders))]
    read = [readouts(protocol, made.template, brains)(one) for one in made.contenders]
    values_alone = readouts(protocol.without_samples(), made.template, brains)
    for one, found in zip(made.contenders, read, strict=True):
        np.testing.assert_array_equal(values_alone(one).values, found.values, "references are as what is judged")
    for number in range(len(brains)) if metric in ("ridge", "pls") else range(len(brains))[-1:]:
        results = isocortex.score(
            [one.name for one in made.contenders],
            as_dataset(made.template, brains[number]),
            metric=metric,
            reduction=REDUCTION,
            settings=protocol.settings,
            out=tmp_path / f"results{number}",
            quiet=True,
        )
        for result, found in zip(results, read, strict=True):
            assert result.summary is not None
            assert result.summary.value is not None
            assert abs(result.summary.value - found.values[number]) < 1e-9
            assert result.summary.best_layer == found.layers[number]
            samples = found.samples(number)
            if result.summary.draws is None:
                assert samples is None
            else:
                np.testing.assert_allclose(samples, result.summary.draws, atol=1e-6)  # stored in single precision


def test_p_is_that_of_isocortex_compare(recorded: Template, tmp_path: Path) -> None:
    made = truths(recorded)
    protocol = protocols_of(card_of(BENCHMARK), ["ridge"], 1000)["ridge"]
    brains = [made.responses(1, 0, 0.2)[1]]
    read = [readouts(protocol, made.template, brains)(one) for one in made.contenders]
    values = np.array([one.values[0] for one in read])
    families = [one.family for one in made.contenders]
    found = largest_p(values, lambda k: read[k].samples(0), families)
    results = isocortex.score(
        MODELS, as_dataset(made.template, brains[0]), reduction=REDUCTION, out=tmp_path, quiet=True
    )
    best = made.contenders[int(values.argmax())]
    table = isocortex.compare(results, models=[one.name for one in made.contenders], regions="all", against=best.name)
    rivals = [one.name for one in made.contenders if one.family != best.family]
    rows = table[[any(str(name).startswith(rival) for rival in rivals) for name in table["model_a"]]]
    assert len(rows) == len(rivals)
    assert found == pytest.approx(rows["p"].max()), "q of the least sure of several tests is its p"


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_seed_repeats_every_number_and_another_gives_others(tmp_path: Path) -> None:
    first, again = (recovered(tmp_path / name, asked()).answered["ridge", 0.75] for name in "ab")
    np.testing.assert_array_equal(first.values, again.values)
    other = recovered(tmp_path / "a", asked(seed=1)).answered["ridge", 0.75]
    assert np.abs(first.values - other.values).max() > 0.01


def test_a_run_that_was_interrupted_goes_on_and_damaged_brains_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MOST_BRAINS", 3)  # a block for each number of draw
    whole = recovered(tmp_path / "whole", asked(draws=(("", 3),))).answered["ridge", 0.75]
    computed: list[int] = []

    def counted(*arguments: Any) -> Callable[[Contender], Any]:
        computed.append(len(arguments[2]))
        if len(computed) == 2:
            raise KeyboardInterrupt
        return readouts(*arguments)

    monkeypatch.setattr(blocks, "readouts", counted)
    with pytest.raises(KeyboardInterrupt):
        recovered(tmp_path / "cut", asked(draws=(("", 3),)))
    kept = sorted((tmp_path / "cut").rglob("*.json"))
    assert len(kept) == 1
    kept[0].write_bytes(kept[0].read_bytes().replace(b'"number": 0', b'"number": 9'))
    found = recovered(tmp_path / "cut", asked(draws=(("", 3),))).answered["ridge", 0.75]
    assert computed == [3, 3, 3, 3, 3], "one, the interrupted one, and all three: what was changed is not believed"
    np.testing.assert_array_equal(found.values, whole.values)
    recovered(tmp_path / "cut", asked(draws=(("", 3),)))
    assert len(computed) == 5, "nothing is left to do"


def test_parts_of_a_run_compute_the_same_bytes_and_leave_nothing_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MOST_BRAINS", 12)  # four draws of each candidate are a block
    question = asked(draws=(("", 4),), open_levels=None)
    whole = recovered(tmp_path / "whole", question)
    for part in ((0, 2), (1, 2)):
        run.compute_part(question, MODELS, tmp_path / "parts", lambda _: None, part)
    first, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.json")} for name in ("whole", "parts")
    )
    assert first == other
    assert len(first) == 6, "one block that is judged, five of references"
    monkeypatch.setattr(blocks, "readouts", None)
    found = recovered(tmp_path / "parts", question)
    np.testing.assert_array_equal(found.answered["ridge", 0.75].values, whole.answered["ridge", 0.75].values)


def test_references_are_other_brains_than_those_that_are_judged(tmp_path: Path) -> None:
    found = recovered(tmp_path, asked(open_levels=None)).answered["ridge", 0.75]
    assert found.references is not None
    assert found.references.values.shape == (60, 3)
    assert np.abs(found.references.values[:, None] - found.values).max(axis=2).min() > 1e-3


def test_brains_of_noise_are_named_after_nobody(tmp_path: Path) -> None:
    found = recovered(tmp_path, asked(levels=(0.001,), draws=(("", 20),), open_levels=None)).answered["ridge", 0.001]
    named = found.named()
    assert named is not None
    assert (named >= 0).mean() <= 0.05


def test_a_truth_of_few_dimensions_is_found_and_none_is_named_without_it(tmp_path: Path) -> None:
    """Noise features fill all dimensions, so that nobody could learn a readout of them from 38 stimuli."""
    found = recovered(tmp_path, asked(draws=(("", 20),), open_levels=None)).answered["ridge", 0.75]
    of_labels = found.truth == MODELS.index("category")
    assert (found.closed[of_labels] == MODELS.index("category")).mean() >= 0.95
    named, left_out = found.named(), found.named(left_out=True)
    assert named is not None
    assert left_out is not None
    assert (named[of_labels] == MODELS.index("category")).mean() >= 0.7
    assert (left_out >= 0).mean() <= 0.05


def test_brains_made_another_way_or_of_other_layers_have_a_place_of_their_own(
    tmp_path: Path, recorded: Template, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, card = truths(recorded), card_of(BENCHMARK)
    protocol = protocols_of(card, ["ridge"], 60)["ridge"]
    place = digest_of_question(asked(), card, made, protocol)
    assert place == digest_of_question(asked(draws=(("", 9),)), card, truths(recorded), protocol)
    fewer = Truths(asked(), recorded, made.contenders, {one.name: list(one.layers)[:1] for one in made.contenders})
    monkeypatch.setattr(fewer, "layers_of", lambda _: ["another"])
    assert place != digest_of_question(asked(), card, fewer, protocol)
    changed = tmp_path / "truths.py"
    changed.write_text("# brains are drawn otherwise\n")
    monkeypatch.setattr(plan, "DECIDING", tuple(str(changed)[:-3] if name == "truths" else name for name in DECIDING))
    assert place != digest_of_question(asked(), card, made, protocol)


def test_the_layer_read_out_on_the_recorded_data_is_that_of_the_benchmarks_own_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_of: list[str] = []

    def noted(protocol: Protocol, *arguments: Any) -> dict[str, list[str]]:
        asked_of.append(protocol.name)
        return read_out_most(protocol, *arguments)

    monkeypatch.setattr(run, "read_out_most", noted)
    recovered(tmp_path, asked(metrics=("procrustes",), layer="chosen", draws=(("", 1),)), MODELS[:2])
    assert asked_of == ["ridge"]


def test_what_scoring_finds_odd_is_said_once_and_not_for_each_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(blocks, "MOST_PEOPLE", 2)  # a brain for each block
    recovered(tmp_path, asked(metrics=("rsa",)), ("threshold-units@random:0", "noise/2"))
    said = [record.getMessage() for record in caplog.records if "counts as null" in record.getMessage()]
    assert len(said) == 1
    logging.getLogger("isocortex").warning("afterwards")
    logging.getLogger("isocortex").warning("afterwards")
    assert [record.getMessage() for record in caplog.records][-2:] == ["afterwards"] * 2, "others are left alone"


def test_a_metric_whose_settings_no_benchmark_says_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    question = asked(metrics=("ridge", "procrustes"), draws=(("", 1),))
    found = run.recovered(question, MODELS[:2], tmp_path, said.append)
    assert len(found.said) == 1
    assert "procrustes scores with its default settings" in found.said[0]
    assert f"warning: {found.said[0]}" in said


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_says_it_in_80_columns_and_info_keeps_a_line(isocortex: Any, tmp_path: Path) -> None:
    base = (
        "recover",
        BENCHMARK,
        "--metric",
        "ridge",
        "-m",
        "noise/2,category",
        "-m",
        "noise@random:1",
        "--draws",
        "2",
        "--samples",
        "40",
        "--references",
        "20",
    )
    shown = isocortex(*base, "--reliability", "recorded,.4", "--metric", "procrustes")
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines()[:-1])) <= 80
    assert "min left" in shown.stderr
    assert "real" in shown.stdout
    (kept,) = (tmp_path / "data/findings" / BENCHMARK).glob("recovery-procrustes.json")
    assert kept.with_name("recovery-ridge.json").is_file()
    assert any(
        line.startswith("recovery by ridge at the recorded reliability: tells") for line in findings_of(BENCHMARK, 1)
    )
    record = json.loads(isocortex(*base, "--reliability", ".4", "--json").stdout)
    assert [row["c"] for row in record["curve"]] == ["0.4"]
    assert sum(map(sum, record["confusion"][0]["counts"])) == 6
    table = isocortex(*base, "--reliability", ".4", "--csv").stdout.splitlines()
    assert len(table) == 2
    assert table[0].startswith("benchmark,metric,c,n,right")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--reliability", "1.5"), "between 0 and 1"),
        (("--reliability", "much"), "or 'recorded'"),
        (("--draws", "pls"), "METRIC=N"),
        (("--draws", "0"), "at least one draw"),
        (("--draws", "2,rsa=1"), "names 'rsa', but the metrics are ridge"),
        (("--draws", "2,ridge@.3=1", "--reliability", ".4"), "the reliability 0.3, but those asked are 0.4"),
        (("--open", ".5", "--reliability", ".4,.6"), "asks at 0.5, but the reliabilities are 0.4, 0.6"),
        (("--samples", "39"), "39 cannot give a p of .05"),
        (("--reliability", "1"), "and is neither; found 1"),
        (("--spectrum", "2"), "Leave --spectrum out"),
        (("--references", "9"), "20 references or more"),
        (("-m", "noise"), "hold the same values"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_a_line(
    isocortex: Any, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = isocortex("recover", BENCHMARK, "-m", "noise@random:0,category", *arguments)
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.long
def test_two_processes_give_the_bytes_of_one(isocortex_process: Any, tmp_path: Path) -> None:
    base = ("recover", "simulated-auditory.ridge", "--metric", "ridge,pls", "-m", "noise/2,category", "-m", "log-mel")
    asked = (*base, "--draws", "6", "--references", "20", "--reliability", ".4,recorded", "--samples", "40")
    one = isocortex_process(*asked, "--out", "one")
    two = isocortex_process(*asked, "--out", "two", "--jobs", "2")
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    found = [
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.json")}
        for folder in (tmp_path / "one", tmp_path / "two")
    ]
    assert found[0] == found[1]
    assert one.stdout.rpartition("Kept in")[0] == two.stdout.rpartition("Kept in")[0]
