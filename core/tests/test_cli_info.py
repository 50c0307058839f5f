"""``isocortex info``: all that is known of an ID, with what is here and what is not; nothing is downloaded for it."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pytest

from isocortex.cli.info import describe
from tests.folders import image_folder
from tests.lab import MANIFEST, Lab, Typed, write_lab


def lines(name: str) -> list[str]:
    """The lines of a description."""
    return describe(name).splitlines()


def test_a_model_with_its_fields_tags_and_no_weights(lab: Lab) -> None:
    assert lines("lab-net") == [
        "model lab-net  (iso-lab 0.1.0)",
        "  aliases: lab/net",
        "  licence: CC0",
        "  tags: depth=shallow",
        "  modality: image",
        "  layers: net.mean, net.pixels",
        "  variants: fixed, random",
    ]
    assert lines("iso-lab::lab-net") == lines("lab-net")
    assert lab.seen("load", "run") == []


def test_what_a_row_requires_is_shown_with_what_is_installed(lab: Lab) -> None:
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    needs = 'requires = ["numpy>=1", "nobody-wrote-this[all]>=2,<3"]'
    manifest.write_text(manifest.read_text().replace('id = "lab-net"', f'id = "lab-net"\n{needs}', 1))
    found = next(line for line in lines("lab-net") if line.startswith("  requires: "))
    assert (
        found == f"  requires: numpy>=1 ({version('numpy')} is installed), nobody-wrote-this[all]>=2,<3 (not installed)"
    )


def test_a_model_whose_weights_are_not_here_or_are(lab: Lab, own_folders: Path) -> None:
    assert lines("lab-weighty")[-2:] == [
        "  weights of pretrained: not here; 'isocortex fetch -m lab-weighty' brings them, or says how to get them",
        "    The weights of lab-weighty are not here.",
    ]
    (own_folders / "data").mkdir()
    (own_folders / "data" / "lab-weighty.bin").write_bytes(bytes(2_000_000))
    assert lines("lab-weighty")[-1] == f"  weights of pretrained: 1 file, 2.0 MB, verified in {own_folders / 'data'}"


def test_a_model_that_does_not_load_still_has_a_card(lab: Lab) -> None:
    assert lines("fault-absent")[0] == "model fault-absent  (iso-lab 0.1.0)"
    assert lines("fault-absent")[-1].startswith("  weights of fixed: whether they are here is not known: ")


def test_a_model_whose_package_does_not_import_still_has_a_card(lab: Lab) -> None:
    code = lab.site / "iso_lab" / "__init__.py"
    code.write_text(code.read_text() + "\n    def broken(:\n")
    assert "cannot be loaded: importing iso_lab failed" in lines("lab-net")[-1]


def test_a_weights_look_up_that_exits_is_a_line(lab: Lab) -> None:
    code = lab.site / "iso_lab" / "__init__.py"
    code.write_text(code.read_text().replace('SEEN.append(("fetch"', "sys.exit('no licence'); SEEN.append((\"fetch\""))
    assert lines("lab-weighty")[-1] == "  weights of pretrained: whether they are here is not known: no licence"


def test_a_metric_a_data_set_and_stimuli(lab: Lab) -> None:
    assert lines("lab-fit")[:2] == ["metric lab-fit  (iso-lab 0.1.0)", "  accepts: responses"]
    assert lines("Lab")[:2] == ["dataset Lab  (iso-lab 0.1.0)", "  reference: Nobody, 2001"]
    assert "  stimuli: lab-images" in lines("Lab")
    assert lines("lab-sounds") == ["stimuli lab-sounds  (iso-lab 0.1.0)", "  modality: audio"]
    (files,) = (line for line in lines("LabAway") if "file" in line and "not here" in line)
    assert files.endswith("1 not here; isocortex fetch brings them")


def test_a_benchmark_with_published_scores_and_its_ceiling(lab: Lab) -> None:
    found = lines("lab.fit")
    assert found[0] == "benchmark lab.fit  (iso-lab 0.1.0)"
    assert "  published scores: 1, shown with --published" in found
    found = describe("lab.fit", published=True).splitlines()
    assert found[-6:] == [
        "  published scores:",
        "    model  value",
        "    lab-net  0.71",
        "  40 stimuli of 40",
        "  ceiling of r by made up",
        "    0.9000",
    ]
    assert "  settings: shift=1" in lines("lab.again")
    assert "  baselines: lab-second, lab-net@random:3" in lines("lab.added")


@pytest.mark.parametrize(
    ("ceiling", "expected"),
    [
        ("None", ["  ceiling: none"]),
        ("Ceiling('band', 'r', lower=0.25, upper=0.5)", ["  ceiling of r by band", "    lower 0.2500, upper 0.5000"]),
        (
            "Ceiling('halves', 'r', xr.DataArray([0.1, 0.7, np.nan, 0.9], dims='neuroid'))",
            ["  ceiling of r by halves", "    median 0.7000 over 4"],
        ),
    ],
)
def test_a_ceiling_is_shown_as_it_is_known(lab: Lab, ceiling: str, expected: list[str]) -> None:
    code = lab.site / "iso_lab" / "__init__.py"
    code.write_text(code.read_text().replace('Ceiling("made up", "r", 0.9)', ceiling))
    assert lines("lab.fit")[-len(expected) :] == expected


def test_a_benchmark_whose_data_are_not_here(lab: Lab) -> None:
    assert lines("fault.away")[-1] == (
        "  ceilings are not known before the data are here; 'isocortex fetch -b fault.away' brings them"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fault.torn", "ZeroDivisionError: the tape is torn"),
        ("fault.against", "ZeroDivisionError: the brain is torn"),
    ],
)
def test_a_benchmark_whose_plugins_fail_still_has_a_card(lab: Lab, name: str, reason: str) -> None:
    assert lines(name)[0] == f"benchmark {name}  (iso-lab 0.1.0)"
    assert lines(name)[-1] == f"  ceilings are not known: {reason}"


def test_a_benchmark_takes_the_parts_of_its_own_package(lab: Lab) -> None:
    write_lab(lab.site, "iso-twin", MANIFEST.replace("iso_lab:", "iso_twin:"))
    for package in ("iso-lab", "iso-twin"):
        found = lines(f"{package}::lab.fit")
        assert found[0] == f"benchmark lab.fit  ({package} 0.1.0)"
        assert found[-2:] == ["  ceiling of r by made up", "    0.9000"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lab-nett", "Nothing installed is called 'lab-nett'. Did you mean lab-net"),
        ("no such thing at all", "'isocortex list' shows all."),
        ("iso-lab::lab-nothing", "Nothing installed is called"),
    ],
)
def test_an_unknown_id_names_the_closest(lab: Lab, typed: Typed, name: str, words: str) -> None:
    done = typed("info", name)
    assert (done.code, done.out) == (2, "")
    assert words in done.err
    assert "Traceback" not in done.err


def test_an_id_of_two_packages_asks_which(lab: Lab, typed: Typed) -> None:
    write_lab(lab.site, "iso-twin", MANIFEST.replace("iso_lab:", "iso_twin:"))
    done = typed("info", "lab-net")
    assert done.code == 2
    assert "iso-lab::lab-net or iso-twin::lab-net" in done.err


def test_a_row_that_is_not_valid_is_one_message(lab: Lab, typed: Typed) -> None:
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    manifest.write_text(manifest.read_text().replace('id = "lab-ear"', 'id = "lab-ear"\nvolume = 3'))
    done = typed("info", "lab-ear")
    assert done.code == 1
    assert "volume" in done.err
    assert "Traceback" not in done.err


def test_a_folder_as_a_data_set_and_as_a_benchmark(lab: Lab, typed: Typed) -> None:
    image_folder(Path("mine"), n_images=6)
    done = typed("info", "folder:mine:lab-fit")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "benchmark mine.lab-fit  (folder)"
    assert done.out.splitlines()[-2:] == ["  ceiling of r by made up", "    0.9000"]
    done = typed("info", "folder:mine")
    assert done.out.splitlines()[0] == "dataset mine  (folder)"
    done = typed("info", "folder:nowhere")
    assert (done.code, done.out) == (2, "")
    assert "nowhere" in done.err


def test_a_package_with_what_it_brings(lab: Lab, typed: Typed) -> None:
    found = typed("info", "iso-lab").out.splitlines()
    assert found[0] == "package iso-lab 0.1.0"
    (models,) = [line for line in found if " models: " in line]
    n_models, _, names = models.strip().partition(" models: ")
    listed = [
        row["id"] for row in json.loads(typed("list", "models", "--where", "package=iso-lab", "--json").out)["models"]
    ]
    assert int(n_models) == len(listed)
    assert names.startswith(", ".join(listed[:12]))
    assert lab.seen("load", "run") == []
    assert "Did you mean iso-lab" in typed("info", "iso-labb").err


def test_a_package_of_which_a_row_cannot_be_read_says_so(lab: Lab) -> None:
    manifest = lab.site / "iso_lab" / "isocortex.toml"
    manifest.write_text(manifest.read_text() + "\n[[model]]\nobject = 'nameless'\n")
    assert lines("iso-lab")[0] == "package iso-lab 0.1.0"
    assert any(line.startswith("  cannot be read: ") for line in lines("iso-lab"))


def test_a_folder_of_results_says_what_is_there(lab: Lab, typed: Typed) -> None:
    lab.score(["lab-net", "fault-run"], "lab.fit")
    for name in ("results", "folder:results"):
        found = typed("info", name).out.splitlines()
        assert found[:4] == [
            "results results",
            "  2 cells: 1 scored, 1 failed",
            "  1 benchmarks: lab.fit",
            "  2 models: fault-run, lab-net",
        ]
        assert found[-1] == "  shown by 'isocortex show results'"
    Path("empty").mkdir()
    assert typed("info", "empty").code == 2
