"""How objects show themselves: few lines, whatever they are called, and nothing that a page would run."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import isocortex
from isocortex.activations.layer import Activations
from isocortex.catalogue.cards import MetricCard, ModelCard
from isocortex.data.dataset import Dataset, make_responses
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex.display import LINES, WIDTH, Shown
from isocortex.interfaces import MetricPlugin, ModelPlugin
from isocortex.results.result import Failure, Result, Results
from isocortex.scoring.summary import LayerValue, Summary
from tests.lab import Lab

HOSTILE = [
    "<script>alert(1)</script>",
    "../../x",
    "a" * 300,
    "\u202eabc",
    "one\ntwo\r\nthree",
    "<img src=x onerror=alert(1)>",
    "'\"><b>",
    "[bold]$x_1$[/bold]",
    "=1+1",
    "\x1b[2J",
]


class Tags(HTMLParser):
    """Collects what a page would take for markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.named: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.named.update(name for name, _ in attrs)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def stimuli(name: str) -> StimulusSet:
    names = [f"{name}{number}" for number in range(30)]
    table = pd.DataFrame({name: ["cat"] * 30, "other": range(30)}, index=names)
    sounds = {one: Stimulus(one, "audio", np.zeros(9, "float32"), 8000.0) for one in names}
    return StimulusSet(name, "audio", sounds, table=table, warnings=[name])


def responses(name: str) -> Dataset:
    given = stimuli(name)
    neuroid = {"region": [name] * 50, "subject": [f"{name}{number % 9}" for number in range(50)]}
    values = np.random.default_rng(0).standard_normal((30, 50))
    return Dataset(name, given, responses=make_responses(values, given.ids, neuroid=neuroid), warnings=(name,))


def matrices(name: str) -> Dataset:
    given = stimuli(name)
    first, second = np.triu_indices(30, 1)
    ids = np.asarray(given.ids, dtype=object)
    coords = {"subject": [name], "stimulus_a": ("pair", ids[first]), "stimulus_b": ("pair", ids[second])}
    return Dataset(name, given, rdm=xr.DataArray(np.ones((1, first.size)), coords, ("subject", "pair")))


def trials(name: str) -> Dataset:
    given = stimuli(name)
    return Dataset(name, given, trials=pd.DataFrame({"stimulus_id": list(given.ids), name: 1}))


def summary(name: str) -> Summary:
    return Summary(
        statistic=name, target=name, value=0.12345, interval_low=0.1, interval_high=0.2, resampled=name, ceiling=0.5,
        ceiling_estimator=name, layer_rule=name, n_layers_searched=200, best_layer=name, n_stimuli=165, n_subjects=8,
        n_neuroids=5, n_neuroids_total=9, n_splits=10, n_null=1, also={f"{name}{number}": 0.5 for number in range(50)},
        layers=[LayerValue(name=name, value=0.1)] * 200, draws=[0.1] * 1000,
    )  # fmt: skip


def result(name: str, **fields: Any) -> Result:
    known = {
        "status": "scored", "digest": "0123456789" * 6, "model": name, "variant": name, "benchmark": name,
        "benchmark_version": 1, "dataset": name, "stimuli": name, "metric": name, "warnings": [name] * 50,
        "summary": summary(name), "regions": {f"{name}{number}": summary(name) for number in range(100)},
    }  # fmt: skip
    return Result.model_validate(known | fields)


def failed(name: str) -> Result:
    return result(name, status="failed", summary=None, regions={}, failure=Failure(kind="DataError", message=name))


class Model(ModelPlugin):
    def load(self, variant: Any, *, device: str) -> Any:
        raise NotImplementedError


class Metric(MetricPlugin):
    def against(self, target: Any, **how: Any) -> Any:
        raise NotImplementedError


def model(name: str) -> ModelPlugin:
    return Model(ModelCard(id=name, object="a:B", modality=name, layers=(name,) * 90, licence=name, reference=name))


SHOWN: dict[str, Callable[[str], Any]] = {
    "Result": result,
    "failed Result": failed,
    "Results": lambda name: Results([result(name), failed(name)] * 100),
    "no Results": lambda _: Results([]),
    "Summary": summary,
    "Dataset of responses": responses,
    "Dataset of RDMs": matrices,
    "Dataset of trials": trials,
    "StimulusSet": stimuli,
    "Activations": lambda name: Activations(
        name, [name], [np.zeros((1, 500))], units=[f"{name}{n}" for n in range(500)]
    ),
    "Model": model,
    "Metric": lambda name: Metric(MetricCard(id=name, object="a:B", title=name, licence=name)),
}


@pytest.mark.parametrize("name", [*HOSTILE, "plain"], ids=range(len(HOSTILE) + 1))
@pytest.mark.parametrize("kind", list(SHOWN))
def test_whatever_a_thing_is_called_it_shows_itself_harmlessly_and_in_short(kind: str, name: str) -> None:
    thing = SHOWN[kind](name)
    text, html = repr(thing), thing._repr_html_()
    assert len(text) < 1000
    assert text.count("\n") < LINES
    assert max(map(len, text.splitlines())) <= WIDTH
    assert not set(text) & set("\x1b\r\u202e\t")
    assert str(thing) == text
    tags = Tags(html)
    assert tags.found <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "p"}
    assert tags.named <= {"style"}
    assert not tags.open
    assert "color" not in html.replace(name, ""), "it is read on light and on dark pages"
    assert not set(html) & set("\x1b\u202e")
    assert len(html) < 60_000


def test_the_users_own_code_shows_what_it_takes() -> None:
    own = isocortex.wrap(lambda sounds: sounds, modality="audio", sample_rate=16000, name="<b>mine</b>")
    assert repr(own).startswith("Model '<b>mine</b>'\n  takes: audio at 16000 Hz\n  variants: fixed\n  layers: output")
    assert "<b>" not in own._repr_html_()


def test_a_result_says_what_belongs_to_its_value() -> None:
    shown = repr(result("net", regions={"V1": summary("V1")}))
    for words in (
        "net@net × net",
        "net = 0.123",
        "0.100 … 0.200, over net",
        "0.500 (net)",
        "5 of 9 neuroids",
        "1 null",
    ):
        assert words in shown
    assert "no such tape" in repr(failed("no such tape"))


def test_results_are_a_list_that_counts_what_failed_and_makes_a_table(lab: Lab) -> None:
    found = isocortex.score(["lab-net", "fault-run"], "lab.regions", quiet=True)
    assert isinstance(found, list)
    assert repr(found).splitlines()[0] == "Results: 1 scored, 1 failed"
    assert found.frame().equals(isocortex.results(found))
    assert found[:1] == [found[0]]
    assert found.frame()["region"].tolist() == ["all", "A", "B", "all"]


def test_long_tables_say_how_much_is_not_shown() -> None:
    shown = Shown("title", {}, ("a",), [(str(number),) for number in range(100)])
    assert shown.text().splitlines()[-1] == "  … and 93 more"
    assert shown.text().splitlines()[-2] == "  6"
    assert "… and 60 more" in shown.html()
    exact = Shown("title", {}, ("a",), [(str(number),) for number in range(8)]).text()
    assert exact.splitlines()[-1] == "  7"
    facts = Shown("title", {str(number): "x" for number in range(20)}, ("a",), [("1",)]).text()
    assert facts.splitlines()[-1] == "  … and 1 more"
