"""The catalogue: what is listed, by either spelling, without NeMo."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from isocortex.catalogue.rows import Catalogue
from isocortex.files.libraries import public_version
from isocortex.loading.resolver import resolver

PACKAGE = "isocortex-nemo"
#: the names of the catalogue, written out once more
NAMES = [
    "canary-1b",
    "parakeet-ctc-0.6b",
    "parakeet-ctc-1.1b",
    "parakeet-rnnt-0.6b",
    "parakeet-rnnt-1.1b",
    "parakeet-tdt-1.1b",
    "parakeet-tdt_ctc-1.1b",
    "parakeet-tdt_ctc-110m",
    "stt_en_conformer_ctc_small",
    "stt_en_conformer_ctc_large",
    "stt_en_conformer_transducer_large",
    "stt_en_conformer_transducer_xlarge",
    "stt_en_fastconformer_ctc_large",
    "stt_en_fastconformer_ctc_xlarge",
    "stt_en_fastconformer_ctc_xxlarge",
    "stt_en_fastconformer_transducer_large",
    "stt_en_fastconformer_transducer_xlarge",
    "stt_en_fastconformer_transducer_xxlarge",
    "stt_en_fastconformer_hybrid_large_pc",
    "stt_en_fastconformer_hybrid_large_streaming_multi",
    "stt_en_jasper10x5dr",
    "stt_en_quartznet15x5",
    "stt_en_contextnet_256",
    "stt_en_contextnet_512",
    "stt_en_contextnet_1024",
    "stt_en_contextnet_256_mls",
    "stt_en_contextnet_512_mls",
    "stt_en_contextnet_1024_mls",
    "stt_en_citrinet_256_ls",
    "stt_en_citrinet_384_ls",
    "stt_en_citrinet_512_ls",
    "stt_en_citrinet_768_ls",
    "stt_en_citrinet_1024_ls",
    "stt_en_citrinet_1024_gamma_0_25",
    "stt_en_squeezeformer_ctc_xsmall_ls",
    "stt_en_squeezeformer_ctc_small_ls",
    "stt_en_squeezeformer_ctc_small_medium_ls",
    "stt_en_squeezeformer_ctc_medium_ls",
    "stt_en_squeezeformer_ctc_medium_large_ls",
    "stt_en_squeezeformer_ctc_large_ls",
    "ssl_en_conformer_large",
]
#: how many names each source and range of versions has
HUB, NGC, ONLY_2 = 12, 29, 6


def listed() -> dict[str, dict[str, Any]]:
    return {row.id: dict(row.table) for row in Catalogue.discover().of_kind("model") if row.package == PACKAGE}


def first_ones() -> dict[str, dict[str, Any]]:
    return {
        name: table
        for name, table in listed().items()
        if name != "nemo:*" and table["tags"].get("catalogue") != "later"
    }


def test_the_41_names_are_listed() -> None:
    assert len(NAMES) == 41
    assert set(first_ones()) == {f"nvidia/{name}" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_both_spellings_are_one_model(name: str) -> None:
    catalogue = Catalogue.discover()
    assert catalogue.find("model", name).id == catalogue.find("model", f"nvidia/{name}").id == f"nvidia/{name}"
    card = resolver(offline=True).model_card(name)
    assert card.id == f"nvidia/{name}"
    for tag in ("family", "class", "encoder", "decoder", "source", "nemo", "depth", "trained_for"):
        assert card.tags[tag], tag
    assert card.parameters
    assert card.parameters > 5e6
    assert card.reference.startswith("arXiv:")
    assert "weights: CC" in card.licence
    assert card.variants == ("pretrained", "random", "permuted", "file")


def test_sources_versions_and_classes_are_those_of_the_releases() -> None:
    rows = first_ones()
    sources = [str(table["weights"]).partition(":")[0] for table in rows.values()]
    assert (sources.count("hf"), sources.count("ngc")) == (HUB, NGC)
    old = [name for name, table in rows.items() if table["requires"] == ["nemo_toolkit[asr]>=2.7.3,<3"]]
    assert len(old) == ONLY_2
    assert all("squeezeformer" in name for name in old)
    by_class: dict[str, int] = {}
    for table in rows.values():
        by_class[table["tags"]["class"]] = by_class.get(table["tags"]["class"], 0) + 1
    assert by_class == {
        "EncDecMultiTaskModel": 1, "EncDecCTCModelBPE": 19, "EncDecRNNTBPEModel": 14, "EncDecCTCModel": 2,
        "EncDecHybridRNNTCTCBPEModel": 3, "EncDecHybridRNNTCTCModel": 1, "SpeechEncDecSelfSupervisedModel": 1,
    }  # fmt: skip
    expected = {name: table.get("options", {}).get("expects", {}) for name, table in rows.items()}
    assert expected["nvidia/canary-1b"] == {"layers": 24, "width": 1024, "mel_bands": 128, "vocabulary": 4128}
    assert expected["nvidia/parakeet-ctc-1.1b"]["layers"] == 42
    assert expected["nvidia/parakeet-tdt-1.1b"]["vocabulary"] == 1030


def test_models_are_selected_by_words_and_numbers(isocortex: Any) -> None:
    def chosen(*conditions: str) -> set[str]:
        options = [part for condition in conditions for part in ("--where", condition)]
        done = isocortex("list", "models", "--where", f"package={PACKAGE}", *options, "--json")
        return {entry["id"].removeprefix("nvidia/") for entry in json.loads(done.stdout)["models"]}

    assert chosen("family=canary", "depth=24") == {"canary-1b"}
    assert chosen("depth=42", "decoder=tdt") == {"parakeet-tdt-1.1b"}
    assert len(chosen("nemo=2.7.3")) == ONLY_2


def test_listing_imports_neither_nemo_nor_torch(isocortex_process: Any) -> None:
    code = "import sys; from isocortex.cli.commands import cli; cli.main(['list', 'models', '--json'])"
    done = isocortex_process("list", "models", "--json")
    rows = {entry["id"]: entry for entry in json.loads(done.stdout)["models"]}
    assert {f"nvidia/{name}" for name in NAMES} <= rows.keys()
    unmet = [entry["unmet"] for entry in rows.values() if entry["package"] == PACKAGE and not entry["available"]]
    here = public_version("nemo_toolkit")
    n_unmet = {None: len(listed()), "2": 0, "3": ONLY_2}[here and here[0]]
    assert len(unmet) == n_unmet
    assert all("nemo_toolkit" in line for [line] in unmet)
    import subprocess

    watch = f"import atexit, sys; atexit.register(lambda: print(sorted(sys.modules), file=sys.stderr)); {code}"
    watched = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=False)
    assert watched.returncode == 0
    imported = eval(watched.stderr.strip().splitlines()[-1])
    assert {"isocortex.cli.list", "tomllib"} <= set(imported)
    absent = {"nemo", "torch", "numpy", "yaml", "huggingface_hub", "isocortex_nemo", "pydantic"}
    assert not absent & {name.partition(".")[0] for name in imported}


def test_the_rows_cost_listing_little() -> None:
    """Processor time of reading this manifest, the best of some runs: a fifth of what listing takes in all."""
    import time
    import tomllib

    row = next(row for row in Catalogue.discover().of_kind("model") if row.package == PACKAGE)
    text = (row.folder / "isocortex.toml").read_text(encoding="utf-8")

    def cost() -> float:
        began = time.process_time()
        tomllib.loads(text)
        return time.process_time() - began

    assert min(cost() for _ in range(9)) < 0.02


def test_rows_of_other_look_aheads_are_the_same_file() -> None:
    name = "nvidia/stt_en_fastconformer_hybrid_large_streaming_multi"
    rows = listed()
    others = {key: table for key, table in rows.items() if key.startswith(f"{name}/")}
    assert sorted(table["options"]["look_ahead_ms"] for table in others.values()) == [0, 80, 480]
    assert {table["weights"] for table in others.values()} == {rows[name]["weights"]}
