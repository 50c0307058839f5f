from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from isocortex.catalogue.cards import (
    CARDS,
    BenchmarkCard,
    CommandCard,
    DatasetCard,
    LayerRule,
    MetricCard,
    ModelCard,
    StimuliCard,
    Variant,
    read_card,
)
from isocortex.catalogue.rows import KINDS, Row
from isocortex.errors import PluginError, UsageError

MINIMAL: dict[str, dict[str, Any]] = {
    "model": {"object": "x:M", "modality": "audio", "layers": ["output"]},
    "stimuli": {"object": "x:S", "modality": "audio"},
    "dataset": {"object": "x:D", "stimuli": "sounds"},
    "metric": {"object": "x:K"},
    "benchmark": {"dataset": "d", "metric": "k"},
    "command": {"object": "x:f", "name": "draw"},
    "executor": {"object": "x:E"},
    "suite": {"benchmarks": ["d.k"]},
}


def row(of_kind: str, /, **fields: Any) -> Row:
    table = {"id": "the-id", **MINIMAL[of_kind], **fields}
    return Row(of_kind, "the-id", "iso-pack", "1.2", "iso_pack", Path("/somewhere"), table)


def test_every_kind_has_a_card() -> None:
    assert set(CARDS) == set(KINDS) == set(MINIMAL)


@pytest.mark.parametrize("kind", MINIMAL)
def test_the_least_that_a_row_needs(kind: str) -> None:
    card = read_card(row(kind))
    assert type(card) is CARDS[kind]
    assert (card.id, card.package, card.package_version) == ("the-id", "iso-pack", "1.2")
    assert (card.module, card.folder, card.family) == ("iso_pack", Path("/somewhere"), None)


def test_defaults_of_a_model_and_a_benchmark() -> None:
    model = read_card(row("model"))
    assert isinstance(model, ModelCard)
    assert (model.variants, model.sample_rate, model.options, model.tags) == (("fixed",), None, {}, {})
    benchmark = read_card(row("benchmark"))
    assert isinstance(benchmark, BenchmarkCard)
    assert benchmark.layer_rule == LayerRule(choose="nested", unit="region")
    assert (benchmark.version, benchmark.ceiling_mode, benchmark.measure) == (1, "none", None)
    dataset, metric = read_card(row("dataset")), read_card(row("metric"))
    assert isinstance(dataset, DatasetCard)
    assert dataset.kind == "responses"
    assert isinstance(metric, MetricCard)
    assert metric.accepts == ("responses",)
    assert isinstance(read_card(row("stimuli")), StimuliCard)
    assert isinstance(read_card(row("command", help="Draw")), CommandCard)


def test_the_manifest_of_the_design_is_read_whole() -> None:
    model = read_card(
        row(
            "model",
            sample_rate=16000,
            requires=["nemo_toolkit[asr]>=2.7.3,<4"],
            layers=["encoder.pre_encode", "encoder.layers.*"],
            variants=["pretrained", "random", "permuted", "file"],
            parameters=600_000_000,
            tags={"family": "parakeet"},
            weights="hf:nvidia/parakeet-ctc-0.6b",
            licence="CC-BY-4.0",
            reference="doi:10/x",
            options={"depth": 3},
        )
    )
    assert isinstance(model, ModelCard)
    assert (model.sample_rate, model.parameters, model.options) == (16000.0, 600_000_000, {"depth": 3})
    benchmark = read_card(
        row(
            "benchmark",
            version=2,
            reduction="time-mean",
            select={"region": "IT", "subject": ["M1", "M2"]},
            settings={"n_folds": 5},
            measure="r",
            ceiling_mode="r2_over_rv_rvhat",
            layer_rule={"choose": "none", "unit": "neuroid"},
            summary_by=["region"],
            published="published/x.csv",
        )
    )
    assert isinstance(benchmark, BenchmarkCard)
    assert benchmark.select == {"region": "IT", "subject": ["M1", "M2"]}
    assert benchmark.layer_rule.unit == "neuroid"
    assert benchmark.summary_by == ("region",)


INVALID = [
    ("model", {"sample_rate": 0}, "sample_rate: .*greater than 0"),
    ("model", {"sample_rate": "fast"}, "sample_rate: .*number"),
    ("model", {"layers": "output"}, "layers"),
    ("model", {"modality": None}, "modality"),
    ("model", {"variants": ["pretrained", "frozen"]}, r"variants: .*found \['frozen'\]"),
    ("model", {"variants": []}, "variants: .*found none"),
    ("model", {"sample_rte": 16000}, "sample_rte: Extra inputs are not permitted"),
    ("model", {"tags": {"depth": [3]}}, "tags.depth"),
    ("model", {"aliases": "the-other"}, "aliases"),
    ("dataset", {"kind": "spikes"}, "kind: .*'responses', 'rdm' or 'trials'"),
    ("dataset", {"stimuli": 3}, "stimuli"),
    ("metric", {"accepts": ["responses", "words"]}, "accepts.1"),
    ("benchmark", {"version": 0}, "version: .*greater than or equal to 1"),
    ("benchmark", {"ceiling_mode": "squared"}, "ceiling_mode"),
    ("benchmark", {"layer_rule": {"choose": "best"}}, "layer_rule.choose"),
    ("benchmark", {"layer_rule": {"unit": "voxel"}}, "layer_rule.unit"),
    ("benchmark", {"layer_rule": {"unitt": "model"}}, "layer_rule.unitt"),
    ("benchmark", {"select": {"region": 3}}, "select.region"),
    ("command", {"help": ["x"]}, "help"),
]


@pytest.mark.parametrize(
    ("kind", "fields", "problem"), INVALID, ids=[f"{k}-{next(iter(f))}-{n}" for n, (k, f, _) in enumerate(INVALID)]
)
def test_an_invalid_field_is_named_with_row_and_package(kind: str, fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(PluginError, match=problem) as raised:
        read_card(row(kind, **fields))
    message = str(raised.value)
    assert message.startswith(f"{kind} 'the-id' of iso-pack 1.2: the manifest row is not valid (")
    assert message.endswith("Run 'isocortex check iso-pack'.")


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, fields in MINIMAL.items() for field in fields if field != "name"]
)
def test_a_missing_field_is_named(kind: str, field: str) -> None:
    complete = row(kind)
    table = {key: value for key, value in complete.table.items() if key != field}
    with pytest.raises(PluginError, match=f"{field}: Field required"):
        read_card(Row(kind, "the-id", "iso-pack", "1.2", "iso_pack", Path(), table))


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(PluginError, match=r"sample_rate: .*, layers: .*, colour: "):
        read_card(row("model", layers="all", sample_rate=-1, colour="red"))


def test_a_member_of_a_family_has_its_own_id() -> None:
    listed = row("model")
    member = Row("model", "timm/vit", "iso-pack", "1.2", "iso_pack", Path(), {**listed.table, "id": "timm/*"}, "timm/*")
    card = read_card(member)
    assert (card.id, card.family) == ("timm/vit", "timm/*")


def test_cards_cannot_be_changed() -> None:
    card = read_card(row("metric"))
    with pytest.raises(ValueError, match="frozen"):
        card.id = "other"


# --- variants ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("pretrained", Variant(kind="pretrained"), "pretrained"),
        ("fixed", Variant(kind="fixed"), "fixed"),
        ("random", Variant(kind="random", seed=0), "random:0"),
        ("random:", Variant(kind="random", seed=0), "random:0"),
        ("random:17", Variant(kind="random", seed=17), "random:17"),
        ("trained", Variant(kind="trained", seed=0), "trained:0"),
        ("permuted:3", Variant(kind="permuted", seed=3), "permuted:3"),
        ("file:w/best.pt", Variant(kind="file", path="w/best.pt", label="best"), "file:best"),
        ("file:w/best.pt=mine", Variant(kind="file", path="w/best.pt", label="mine"), "file:mine"),
        ("file:C:/w/best.pt", Variant(kind="file", path="C:/w/best.pt", label="best"), "file:best"),
    ],
)
def test_variants_are_read_and_shown(text: str, expected: Variant, shown: str) -> None:
    assert Variant.parse(text) == expected
    assert str(Variant.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "trained:x", "trained-here", "Random", "random:x", "random:-1", "random:1.5", "random:1:2", "pretrained:1",
     "fixed:0", "file", "file:", "file:=label", ":3", "random:²"],
)  # fmt: skip
def test_what_is_no_variant_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no variant. Expected pretrained, fixed, random:SEED"):
        Variant.parse(text)


@given(st.sampled_from(["random", "permuted", "trained"]), st.integers(0, 2**40))
def test_seeds_come_back(kind: str, seed: int) -> None:
    variant = Variant.parse(f"{kind}:{seed}")
    assert variant.seed == seed
    assert Variant.parse(str(variant)) == variant


@given(st.text(max_size=12))
def test_any_text_is_a_variant_or_a_usage_error(text: str) -> None:
    try:
        variant = Variant.parse(text)
    except UsageError:
        return
    assert text.partition(":")[0] == variant.kind


def test_variants_can_be_keys() -> None:
    assert len({Variant.parse("random:1"), Variant.parse("random:1"), Variant.parse("random:2")}) == 2


def test_tags_are_words_and_numbers_as_they_were_written() -> None:
    tags = {"family": "parakeet", "depth": 24, "top1": 0.7613, "streaming": True}
    found = read_card(row("model", tags=tags)).tags
    assert found == tags
    assert [type(value) for value in found.values()] == [str, int, float, bool]


def test_a_model_may_leave_its_layers_to_what_is_loaded() -> None:
    card = read_card(row("model", layers=[]))
    assert isinstance(card, ModelCard)
    assert card.layers == ()
