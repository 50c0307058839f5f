"""``isocortex doctor``: what is here and what is wrong, in 80 columns or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isocortex.cli import doctor
from tests.lab import Lab, Typed, write_lab
from tests.third_party.install import write_package

MODEL = '[plugin]\napi = 1\n[[model]]\nid = "{id}"\nobject = "{object}"\nmodality = "image"\nlayers = ["a"]\n'


@pytest.fixture(autouse=True)
def enough_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own troubles are not those of the tests."""
    monkeypatch.setattr(doctor, "LITTLE_BYTES", 0)


def report(typed: Typed, code: int) -> dict:
    done = typed("doctor", "--json")
    assert done.code == code, done.out
    return json.loads(done.out)


def test_a_healthy_installation_ends_with_0_and_leaves_nothing(typed: Typed, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = typed("doctor")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("Nothing is wrong.\n")
    assert all(len(line) <= 80 for line in done.out.splitlines() if "/" not in line)
    assert list(tmp_path.iterdir()) == []
    for word in ("isocortex 0.1.0, Python 3.", "numpy ", "cpu: ", "data: ", "cache: ", "isocortex-baselines 0.1.0"):
        assert word in done.out


def test_it_tells_which_models_can_run_and_which_lack_weights(lab: Lab, typed: Typed) -> None:
    found = report(typed, 1)  # the lab holds a model whose object is absent
    models = {name.partition("::")[2]: about for name, about in found["models"].items() if name.startswith("iso-lab")}
    assert models["lab-net"]["state"] == doctor.READY
    assert models["lab-weighty"] == {
        "state": doctor.NO_WEIGHTS, "reason": "The weights of lab-weighty are not here."
    }  # fmt: skip
    assert models["fault-absent"]["state"] == doctor.NOT_HERE
    assert any("fault-absent" in line and "has no 'Absent'" in line for line in found["wrong"])


def test_what_a_model_requires_and_is_not_here_is_named_and_is_no_fault(lab: Lab, typed: Typed) -> None:
    row = MODEL.format(id="needy", object="iso_needy:Needy")
    text = row + 'requires = ["no-such-library>=3", "numpy>=99"]\n'
    write_package(lab.site, "iso-needy", {"isocortex.toml": text})
    found = report(typed, 1)
    about = found["models"]["iso-needy::needy"]
    assert about["state"] == doctor.NOT_HERE
    assert "no-such-library>=3, which is not installed" in about["reason"]
    assert "numpy>=99, but " in about["reason"]
    assert not any("needy" in line for line in found["wrong"])


def test_a_model_that_is_larger_than_the_memory_cannot_run_here(lab: Lab, typed: Typed) -> None:
    row = MODEL.format(id="vast", object="iso_lab:Model") + "parameters = 10_000_000_000_000\n"
    write_package(lab.site, "iso-vast", {"isocortex.toml": row})
    about = report(typed, 1)["models"]["iso-vast::vast"]
    assert (about["state"], "its weights take 40000.0 GB of memory" in about["reason"]) == (doctor.NOT_HERE, True)


def test_plugins_say_what_they_find_and_one_that_fails_is_wrong(lab: Lab, typed: Typed) -> None:
    head = "from isocortex.hooks import hookimpl\n@hookimpl\ndef isocortex_doctor():\n    "
    for name, body in (
        ("iso-noting", "return 'a library without its operators'"),
        ("iso-failing", "raise OSError('gone')"),
    ):
        manifest = f'[plugin]\napi = 1\nhooks = "{name.replace("-", "_")}.hooks"\n'
        write_package(lab.site, name, {"isocortex.toml": manifest, "hooks.py": head + body})
    found = report(typed, 1)
    assert "iso-noting 0.1.0: a library without its operators" in found["notes"]
    assert any("hook isocortex_doctor of iso-failing 0.1.0 failed: OSError: gone" in line for line in found["wrong"])
    assert "iso-noting 0.1.0: a library without its operators" in typed("doctor").out


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("iso-raising", "raise ZeroDivisionError('at import')", "ZeroDivisionError: at import"),
        ("iso-leaving", "import sys\nsys.exit('no licence')", "SystemExit: no licence"),
        ("iso-empty", "", "has no 'Model'"),
    ],
)
def test_a_package_that_does_not_load_is_wrong_and_the_others_are_told(
    lab: Lab, typed: Typed, name: str, code: str, words: str
) -> None:
    row = MODEL.format(id="broken", object=f"{name.replace('-', '_')}:Model")
    write_package(lab.site, name, {"isocortex.toml": row, "__init__.py": code})
    found = report(typed, 1)
    assert any(words in line and "broken" in line for line in found["wrong"])
    assert found["models"]["isocortex-baselines::pixels"]["state"] == doctor.READY


def test_broken_packages_conflicts_and_unmet_requirements_are_wrong(lab: Lab, typed: Typed) -> None:
    write_package(lab.site, "iso-broken", {"isocortex.toml": "[plugin\n"})
    write_package(lab.site, "iso-lonely", {"isocortex.toml": "[plugin]\napi = 1\n"}, requires=["no-such-library>=3"])
    write_lab(lab.site, "iso-twin")
    wrong = "\n".join(report(typed, 1)["wrong"])
    assert "iso-broken 0.1.0: isocortex.toml is not valid TOML" in wrong
    assert "iso-lonely 0.1.0 requires no-such-library>=3, which is not installed" in wrong
    assert "model lab-net is offered by iso-lab and iso-twin" in wrong


def test_a_folder_that_cannot_be_written_is_wrong(typed: Typed, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setenv("ISOCORTEX_CACHE", str(tmp_path / "file" / "cache"))
    found = report(typed, 1)
    assert any(line.startswith("cache: ") and "file" in line for line in found["wrong"])


def test_little_room_is_wrong(typed: Typed, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "LITTLE_BYTES", 1 << 62)
    assert [line.partition(":")[0] for line in report(typed, 1)["wrong"]] == ["data", "cache", "results"]
