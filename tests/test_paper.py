"""What a paper says of results: every number of the methods section has its origin, and follows the record."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bibtexparser
import numpy as np
import pytest
import xarray as xr
import yaml

import isocortex
from isocortex.catalogue.rows import Catalogue
from isocortex.interfaces import named_object
from isocortex.results import Result, read_results
from isocortex_metrics.behaviour.readout import ReadoutSettings
from isocortex_metrics.brainscore.regression import PlsSettings
from isocortex_metrics.brainscore.splits import SEED, TRAIN_SIZE
from isocortex_metrics.encoding.ridge import RidgeSettings
from isocortex_metrics.geometry.rsa import RsaSettings
from isocortex_metrics.numerics.dual_ridge import ALPHA_GRID
from isocortex_metrics.tuckute2023.aggregation import N_ITERATIONS
from isocortex_metrics.tuckute2023.fits import ABSOLUTE_ALPHAS
from isocortex_report import bibtex, methods
from isocortex_report.paper.clauses import account_of
from tests.command_line import run_in_process
from tests.folders import image_folder
from tests.third_party.install import write_package

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
TIMES = {"once": 1.0, "twice": 2.0}
SUPERSCRIPT = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
#: fields of a record that are the origin of no number in the text
NO_ORIGIN = {"format", "provenance", "digests", "digest", "scores_sha256", "draws_sha256"}
#: percentiles of an interval; scores and their layers come one at a time
ALWAYS = {2.5, 97.5, 1.0}

#: a benchmark of behaviour for models without named outputs
BEHAVIOUR = """
[plugin]
api = 1

[[benchmark]]
id = "edges-readout"
title = "Objects in outlines, and how people err"
dataset = "Geirhos2021.edge"
metric = "error-consistency"
reduction = "spatial-mean-4"
settings = { readout = { fit = "folds", n_folds = 4 } }
reference = "doi:10.48550/arXiv.2106.07411"
"""


def numbers_of(text: str) -> set[float]:
    """Every number of a text: digits, powers of ten, shares, and words."""
    found: set[float] = set()
    for base, exponent in re.findall(r"\b(10)([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", text):
        found.add(float(base) ** int(exponent.translate(SUPERSCRIPT)))
    text = re.sub(r"\b10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", " ", text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    found |= {float(number) / 100 for number in re.findall(r"(\d+(?:\.\d+)?)%", text)}
    text = re.sub(r"\d+(?:\.\d+)?%", " ", text)
    found |= {float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.]*\d)", text)}
    words = re.findall(r"[a-z]+", text.casefold())
    return (
        found
        | {float(WORDS.index(word)) for word in words if word in WORDS}
        | {TIMES[word] for word in words if word in TIMES}
    )


def numbers_in(record: Any) -> set[float]:
    """Every number of a record: values, and what is inside texts."""
    if isinstance(record, dict):
        return set().union(*map(numbers_in, [*record, *record.values()]))
    if isinstance(record, list | tuple):
        return set().union(*map(numbers_in, record))
    if isinstance(record, bool) or record is None:
        return set()
    if isinstance(record, int | float):
        return {float(record)}
    return {float(number) for number in re.findall(r"\d+(?:\.\d+)?", str(record))}


def without_names(text: str, results: Iterable[Result]) -> str:
    """The text without names and titles, references, versions of software: what is left is said of the procedure."""
    text = text.partition("\nReferences\n")[0]
    text = re.sub(r" \[\d+(?:, \d+)*\]", "", text)
    text = re.sub(r"Software\. .*", "", text)
    for result in results:
        for kind in ("benchmark", "dataset", "stimuli", "metric", "model"):
            name = getattr(result, kind)
            card = isocortex.load_cards(kind, [name]).get(name)
            text = text.replace(card.title if card and card.title else name, "")
            text = text.replace(name, "")
        for region in result.regions:
            text = text.replace(region, "")
    return re.sub(r"r²|R²|sign\(r\)|tau-a|rho-a", "", text)


def scored(base: Path, *arguments: str, out: str = "results") -> list[Result]:
    """Score in a folder of data and cache below ``base``."""
    env = {"ISOCORTEX_DATA": str(base / "data"), "ISOCORTEX_CACHE": str(base / "cache"), "PYTHONPATH": str(base)}
    done = run_in_process(("score", *arguments, "--out", str(base / out)), base, env)
    assert done.returncode == 0, done.stderr
    return read_results(base / out)


def fetched(base: Path, benchmark: str, source: Path) -> None:
    env = {"ISOCORTEX_DATA": str(base / "data"), "ISOCORTEX_CACHE": str(base / "cache")}
    done = run_in_process(("fetch", "-b", benchmark, "--from", str(source)), base, env)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def sounds(realdata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with results of labels and noise on the six components of auditory cortex."""
    base = tmp_path_factory.mktemp("sounds")
    fetched(base, "NH2015comp.ridge", realdata / "nh2015")
    names = [text for name in ("ridge", "rsa", "tuckute2023") for text in ("-b", f"NH2015comp.{name}")]
    scored(base, "-m", "category", "-m", "noise/3@random:0..1", *names)
    return base / "results"


def origins(results: Iterable[Result], folder: Path, *known: object) -> set[float]:
    """Numbers that a text about results may hold, found without the code that writes it."""
    results = list(results)
    found = set(ALWAYS) | {float(len({result.model for result in results}))}
    for result in results:
        made = json.loads(result.model_dump_json(exclude=NO_ORIGIN))
        found |= numbers_in(made) | {float(len(result.regions)), float(len({one.model for one in results}))}
    for path in folder.rglob("scores.nc"):
        scores = xr.load_dataset(path)
        if "draws" in scores:
            found.add(float(scores.sizes["draw"]))
        if "test_stimulus" in scores and "split" in scores["test_stimulus"].dims:
            n_test = set((scores["test_stimulus"].values >= 0).sum(axis=1).tolist())
            n_stimuli = {result.summary.n_stimuli for result in results if result.summary}
            found |= {float(n) for n in n_test} | {float(n - m) for n in n_stimuli for m in n_test}
    for item in known:
        found |= numbers_in(item)
    return found


def alphas(grid: np.ndarray) -> list[float]:
    return [len(grid), float(min(grid)), float(max(grid))]


def check_origins(results: list[Result], folder: Path, *known: object) -> str:
    """The text, of which no number is without origin."""
    text = str(methods(results, folder=folder))
    said = numbers_of(without_names(text, results))
    allowed = origins(results, folder, *known)
    nowhere = {number for number in said if not any(np.isclose(number, one, rtol=1e-9, atol=0) for one in allowed)}
    assert not nowhere, text
    assert len(said) > 5, text
    return text


def entries_of(text: str) -> list[dict[str, str]]:
    """Fields of BibTeX entries as bibtexparser reads them, without a block that it does not understand."""
    library = bibtexparser.parse_string(text)
    assert not library.failed_blocks
    return [{"ID": one.key, **{field.key: field.value for field in one.fields}} for one in library.entries]


def of(results: list[Result], metric: str) -> list[Result]:
    return [result for result in results if result.metric == metric]


def test_every_number_about_ridge_on_sounds_has_its_origin(sounds: Path) -> None:
    results = of(read_results(sounds), "ridge")
    settings = RidgeSettings().model_dump()
    text = check_origins(results, sounds, settings, alphas(ALPHA_GRID))
    assert f"divided into {WORDS[settings['n_folds']]} folds, twice (seed 0), which gave ten splits" in text
    assert settings["n_repeats"] == 2
    assert results[0].summary.n_splits == 10
    assert f"among {len(ALPHA_GRID)} multiples of the mean eigenvalue" in text
    assert "from 10⁻⁵ to 10⁵" in text
    assert np.allclose((ALPHA_GRID[0], ALPHA_GRID[-1]), (1e-5, 1e5))
    assert "chosen, separately for each region, and read out on the test stimuli" in text
    assert "(among 3 layers; models of one layer need no choice)" in text
    assert "Each split had 132 training and 33 test stimuli." in text
    assert "165 stimuli and all six neuroids" in text
    assert "six parts of it: lowfreq, highfreq, envsounds, pitch, speech and music" in text
    assert "noise/3 was drawn at random (seeds 0 and 1)" in text
    assert "1,000 bootstrap draws of stimuli, each of which tests and trains in a draw" in text


def test_every_number_about_rsa_has_its_origin(sounds: Path) -> None:
    results = of(read_results(sounds), "rsa")
    text = check_origins(results, sounds, RsaSettings().model_dump())
    assert "in ten random halvings (seed 0; among 3 layers" in text
    assert "z-scored" in text, "the row of the benchmark asks for it"
    assert "Each split" not in text, "rsa has no training stimuli"


def test_every_number_about_tuckute2023_has_its_origin(sounds: Path) -> None:
    results = of(read_results(sounds), "tuckute2023-components")
    text = check_origins(results, sounds, alphas(ABSOLUTE_ALPHAS), N_ITERATIONS)
    assert "among 100 values from 10⁻⁵⁰ to 10⁴⁹" in text
    assert "halves ten times" in text
    assert "83 training and 82 test stimuli" in text
    assert "this choice is optimistic (among 3 layers" in text
    assert "Errors are the standard error over iterations" in text


def test_every_number_about_pls_has_its_origin(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "images", n_images=30)
    results = scored(tmp_path, "-m", "pixels", "-m", "noise/2", "-b", f"folder:{folder}:pls")
    text = check_origins(results, tmp_path, PlsSettings().model_dump(), TRAIN_SIZE, SEED, 10)
    assert "with 25 components" in text
    assert "split ten times into 90% training" in text
    assert "over three folds of each split's training stimuli" in text
    assert "27 training and 3 test stimuli" in text


def test_every_number_about_behaviour_has_its_origin(realdata: Path, tmp_path: Path) -> None:
    write_package(tmp_path, "isocortex-readouts", {"isocortex.toml": BEHAVIOUR, "__init__.py": ""})
    fetched(tmp_path, "Geirhos2021.edge.error-consistency", realdata / "geirhos2021")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        results = scored(tmp_path, "-m", "pixels", "-b", "edges-readout")
        text = check_origins(results, tmp_path, ReadoutSettings().model_dump())
    assert "(C = 0.001), each of four folds of the stimuli by a fit on the others" in text
    assert "ten participants" in text
    assert "160 stimuli" in text


def test_the_text_follows_the_record(sounds: Path) -> None:
    """Nothing is a fixed text: other counts in the record are other counts in the text."""
    results = of(read_results(sounds), "ridge")
    changed = {"n_stimuli": 147, "n_neuroids": 4, "n_neuroids_total": 9, "n_splits": 8, "resampled": "participants"}
    others = [one.model_copy(update={"summary": one.summary.model_copy(update=changed)}) for one in results]
    others = [one.model_copy(update={"settings": {**one.settings, "n_folds": 4, "n_repeats": 3}}) for one in others]
    text = str(methods(others, folder=sounds))
    assert "147 stimuli and 4 of 9 neuroids" in text
    assert "divided into four folds, three times (seed 0), which gave eight splits" in text
    assert "bootstrap draws of participants" in text
    assert "165 stimuli" not in text.replace("165 natural", "")


def test_what_a_record_does_not_hold_is_listed_and_not_said(sounds: Path, isocortex) -> None:
    """Made with another version of the metric, and without raw scores: no alpha grid, no draws, no guess."""
    results = of(read_results(sounds), "ridge")
    others = [
        one.model_copy(update={"digests": {**one.digests, "metric": "other"}, "n_draws": None}) for one in results
    ]
    found = methods(others)
    assert "multiples of the mean eigenvalue" not in str(found)
    assert "divided into five folds" in str(found), "settings are in the record in full"
    assert any("alphas.n" in line for line in found.unsaid)
    assert any("how many bootstrap draws" in line for line in found.unsaid)
    assert "bootstrap draws of stimuli" in str(found)
    done = isocortex("methods", str(sounds), "-b", "NH2015comp.ridge", "-m", "noise/3*")
    assert done.returncode == 0
    assert done.stdout.startswith("Models. One model was scored: noise/3")
    assert "Not said" not in done.stderr


def test_bibtex_holds_the_numbered_references_and_parses(sounds: Path) -> None:
    parsed = entries_of(bibtex(sounds))
    section = methods(sounds)
    assert [entry["ID"] for entry in parsed][: len(section.entries)] == [entry.key for entry in section.entries]
    assert len({entry["ID"] for entry in parsed}) == len(parsed)
    by_doi = {entry["doi"]: entry for entry in parsed if "doi" in entry}
    assert by_doi["10.1016/j.neuron.2015.11.035"]["author"].startswith("Norman-Haignere, Sam and")
    assert by_doi["10.1371/journal.pbio.3002366"]["year"] == "2023"
    assert all("No DOI" in entry["note"] for entry in parsed if "doi" not in entry)
    numbers = [int(number) for group in re.findall(r"\[([\d, ]+)\]", str(section)) for number in group.split(", ")]
    assert sorted(set(numbers)) == list(range(1, len(section.entries) + 1))
    assert sorted(set(numbers), key=numbers.index) == sorted(set(numbers)), "numbered in the order of the text"


HOSTILE = (
    "<script>alert(1)</script>", "../../x", "x" * 300, "\u202eelif.exe", "two\nlines", "**bold** [a](b)", "=1+1",
    "100% of $x_1^2$ & {more} \\input{secret}",
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_on_their_line(sounds: Path, name: str) -> None:
    result = of(read_results(sounds), "ridge")[0].model_copy(update={"model": name, "benchmark": name})
    found = methods([result, result.model_copy(update={"dataset": name, "stimuli": name, "metric": name})])
    text = str(found)
    assert len(text.partition("\nReferences")[0].split("\n\n")) == len(found.paragraphs)
    assert all("\n" not in paragraph and "\u202e" not in paragraph for _, paragraph in found.paragraphs)
    assert "They were compared with the data by the metric" in text
    assert any("how the metric" in line for line in found.unsaid)
    assert entries_of(bibtex([result]))


def test_a_failed_cell_is_named_and_nothing_is_said_of_it() -> None:
    names = ("benchmark", "dataset", "stimuli", "metric")
    found = methods(
        [
            Result(
                status="failed", digest="", model="m", variant="fixed", benchmark_version=1, **dict.fromkeys(names, "b")
            )
        ]
    )
    assert found.paragraphs == []
    assert found.unsaid == ["one cell without a score, of which nothing is said: m@fixed × b"]


# --- what the repository says of itself -------------------------------------------------------------------------------

ROOT = Path(__file__).parent.parent


def test_the_page_shows_what_the_command_says(sounds: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "write-the-paper.md").read_text(encoding="utf-8")
    quoted = next(line for line in page.splitlines() if line.startswith("> **NH2015comp.ridge"))
    results = of(read_results(sounds), "ridge")
    text = dict(methods(results, folder=sounds).paragraphs)["NH2015comp.ridge, version 1"]
    assert quoted.partition(".** ")[2] == text


def test_the_citation_file_is_valid_and_agrees_with_the_packages() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0"
    # required by the schema of 1.2.0, and what the schema allows of the rest
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert set(cited) <= {
        *("cff-version", "message", "title", "authors", "abstract", "type", "version", "license", "keywords"),
    }
    assert cited["type"] == "software"
    assert cited["authors"] == [{"name": "The isocortex developers"}]
    for path in (ROOT / "core" / "pyproject.toml", *(ROOT / "plugins").glob("*/pyproject.toml")):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        assert project["version"] == str(cited["version"]) == isocortex.__version__
        assert project["license"] == cited["license"]
        assert project["authors"] == cited["authors"]
        if project["name"] == cited["title"]:
            assert project["description"] == cited["abstract"].rstrip(".")
    assert cited["title"] == "isocortex"


def test_what_is_said_of_our_metrics_names_fields_that_exist() -> None:
    """Each field is a setting, a constant that is in the code, or a fact that the manifest page lists."""
    page = (ROOT / "docs" / "reference" / "manifest.md").read_text(encoding="utf-8")
    facts = set(re.findall(r"`\{?([a-z_]+)\}?`", page))
    names = [row.id for row in Catalogue.discover().of_kind("metric") if row.package == "isocortex-metrics"]
    for name, card in isocortex.load_cards("metric", names).items():
        account = account_of(card)
        assert account.said, name
        model = named_object(card, card.settings_model).model_fields if card.settings_model else {}
        for where in account.constants.values():
            named_object(card, where)
        for clause in account.said:
            for field in (*clause.when, *re.findall(r"\{([\w.]+)", clause.text)):
                root = field.partition(".")[0]
                assert root in {*model, *account.constants, "scores", "benchmark", "self"} or root in facts, (
                    name,
                    field,
                )
