"""The plan is pure: it is made of manifests, and nothing is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocortex.catalogue.rows import Catalogue, Row
from isocortex.errors import AmbiguousIDError, ModalityError, SettingsError, UnknownIDError, UsageError
from isocortex.files.file_store import FileStore
from isocortex.loading.resolver import Resolver
from isocortex.run.plan import RunConfig, parse_shard, plan

MODEL = {"object": "absent_module:Absent", "layers": ["layer.*"]}


def row(kind: str, name: str, package: str = "one", /, **table: object) -> Row:
    """A row of a manifest that exists in memory only."""
    return Row(kind, name, package, "1.0", f"{package}_module", Path("/nowhere"), {"id": name, **table})


def catalogue(*more: Row) -> Catalogue:
    """Two audio models, an image model, a family, and two benchmarks."""
    rows = [
        row("model", "ear/a", modality="audio", variants=["pretrained", "random"], **MODEL),
        row("model", "ear/b", modality="audio", **MODEL),
        row("model", "eye", modality="image", **MODEL),
        row("model", "all/*", modality="any", variants=["random"], **MODEL),
        row("stimuli", "sounds", object="x:X", modality="audio"),
        row("stimuli", "images", object="x:X", modality="image"),
        row("dataset", "heard", object="x:X", stimuli="sounds"),
        row("dataset", "seen", object="x:X", stimuli="images", kind="rdm"),
        row("metric", "fit", object="x:X", accepts=["responses"]),
        row("metric", "geometry", object="x:X", accepts=["rdm"]),
        row("benchmark", "heard.fit", dataset="heard", metric="fit", reduction="time-mean"),
        row("benchmark", "seen.geometry", dataset="seen", metric="geometry"),
        *more,
    ]
    return Catalogue([], rows, [])


def planned(models: list[str], benchmarks: list[str], config: RunConfig | None = None, *more: Row):
    """The plan over the catalogue above."""
    return plan(Resolver(catalogue(*more), FileStore(offline=True)), models, benchmarks, config or RunConfig())


def names(found) -> set[str]:
    """Names of the cells of a plan."""
    return {cell.name for cell in found.cells}


def test_named_pairs_and_default_variant() -> None:
    found = planned(["ear/a", "ear/a@random:3", "all/7"], ["heard.fit"])
    assert names(found) == {"ear/a@pretrained × heard.fit", "ear/a@random:3 × heard.fit", "all/7@random:0 × heard.fit"}
    assert found.to_json()["cells"][0]["stimuli"] == "sounds"


def test_a_range_of_seeds_is_a_cell_for_each() -> None:
    found = planned(["ear/a@random:2..4", "ear/a@random:3", "all/7@random:0..0"], ["heard.fit"])
    assert [cell.variant for cell in found.cells] == ["random:2", "random:3", "random:4", "random:0"]
    one = planned(["ear/a@random:3"], ["heard.fit"]).cells[0]
    assert one in found.cells, "the range is in no ID"
    assert len(planned(["ear/*@random:0..19"], ["heard.fit"]).cells) == 20, "models without the variant are left out"


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("random:4..2", "0 seeds"),
        ("random:0..1000", "1001 seeds"),
        ("random:..3", "no range"),
        ("random:1..x", "no range"),
        ("permuted:0..1", "offers pretrained, random"),
        ("pretrained:0..1", "no variant"),
    ],
)
def test_ranges_that_are_none(variant: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        planned([f"ear/a@{variant}"], ["heard.fit"])


def test_a_cell_is_planned_once() -> None:
    assert len(planned(["ear/a", "ear/*", "ear/a"], ["heard.fit", "heard.*"]).cells) == 2


def test_mismatch_is_refused_unless_a_glob_made_it() -> None:
    with pytest.raises(ModalityError, match=r"takes image.*are audio"):
        planned(["eye"], ["heard.fit"])
    found = planned(["e*"], ["*"])
    assert names(found) == {
        "ear/a@pretrained × heard.fit",
        "ear/b@fixed × heard.fit",
        "eye@fixed × seen.geometry",
    }
    assert len(found.left_out) == 3
    with pytest.raises(UsageError, match="Nothing to score"):
        planned(["ey*"], ["heard.fit"])


def test_globs_do_not_name_families() -> None:
    with pytest.raises(UnknownIDError):
        planned(["al*"], ["heard.fit"])


def test_glob_with_a_variant_takes_the_models_that_offer_it() -> None:
    assert names(planned(["ear/*@random:1"], ["heard.fit"])) == {"ear/a@random:1 × heard.fit"}


def test_metric_that_does_not_take_the_kind() -> None:
    wrong = row("benchmark", "seen.fit", dataset="seen", metric="fit")
    with pytest.raises(UsageError, match=r"takes responses.*holds rdm"):
        planned(["eye"], ["seen.fit"], None, wrong)


def test_unknown_reduction_is_found_before_the_run() -> None:
    wrong = row("benchmark", "heard.odd", dataset="heard", metric="fit", reduction="time-mena")
    with pytest.raises(SettingsError, match="Did you mean time-mean"):
        planned(["ear/a"], ["heard.odd"], None, wrong)


def test_two_packages_with_one_id() -> None:
    twin = row("model", "ear/b", "two", modality="audio", **MODEL)
    with pytest.raises(AmbiguousIDError, match=r"one::ear/b or two::ear/b"):
        planned(["ear/b"], ["heard.fit"], None, twin)
    assert names(planned(["two::ear/b"], ["heard.fit"], None, twin)) == {"two::ear/b@fixed × heard.fit"}


def test_a_benchmark_prefers_the_parts_of_its_own_package() -> None:
    other = [
        row("dataset", "heard", "two", object="x:X", stimuli="sounds"),
        row("benchmark", "two.fit", "two", dataset="heard", metric="fit"),
    ]
    cells = planned(["ear/a"], ["two.fit", "heard.fit"], None, *other).cells
    assert {cell.benchmark: cell.dataset for cell in cells} == {"two.fit": "two::heard", "heard.fit": "one::heard"}


def test_a_suite_stands_for_its_benchmarks_and_is_told_with_its_version() -> None:
    both = row("suite", "core", version=3, benchmarks=["heard.fit", "one::seen.geometry"])
    again = row("suite", "hearing", benchmarks=["heard.*"])
    found = planned(["ear/a", "eye"], ["suite:core", "suite:hear*"], None, both, again)
    assert [(cell.name, cell.suites) for cell in found.cells] == [
        ("ear/a@pretrained × heard.fit", ("core 3", "hearing 1")),
        ("eye@fixed × seen.geometry", ("core 3",)),
    ]
    assert len(found.left_out) == 2, "pairs of another modality are left out, as those that a glob made"
    (alone,) = planned(["ear/a"], ["heard.fit"]).cells
    assert alone.id == found.cells[0].id
    assert alone.suites == ()


def test_what_a_suite_names_must_be_installed() -> None:
    broken = row("suite", "core", benchmarks=["heard.fit", "smelt.fit"])
    with pytest.raises(
        UnknownIDError, match=r"^The suite core 1: No installed package offers the benchmark 'smelt.fit'"
    ):
        planned(["ear/a"], ["suite:core"], None, broken)
    with pytest.raises(UnknownIDError, match=r"the suite 'cor'.*Did you mean core"):
        planned(["ear/a"], ["suite:cor"], None, broken)


def test_shards_are_a_partition_that_keeps_extractions_together() -> None:
    second = row("benchmark", "heard.again", dataset="heard", metric="fit", reduction="time-mean")
    models = [f"all/{number}" for number in range(20)]
    benchmarks = ["heard.fit", "heard.again"]
    whole = planned(models, benchmarks, None, second).cells
    shares = [planned(models, benchmarks, RunConfig(shard=(number, 3)), second).cells for number in (1, 2, 3)]
    assert sorted(cell.name for share in shares for cell in share) == sorted(cell.name for cell in whole)
    for share in shares:
        assert len({cell.extraction for cell in share}) * 2 == len(share)
        assert len(share) in (12, 14), "20 extractions of two cells are dealt out evenly"
    neighbours = [cell.extraction for cell in whole]
    assert all(neighbours[place] == neighbours[place + 1] for place in range(0, len(whole), 2))


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2"])
def test_shards_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="no shard"):
        parse_shard(text)
