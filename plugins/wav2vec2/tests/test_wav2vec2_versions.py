"""The other major version of transformers: the same names of layers and the same values for the same weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("isocortex_wav2vec2")

from isocortex.catalogue.cards import Variant
from isocortex.data.stimuli import StimulusSet
from isocortex.extraction.extractor import activations_in_memory

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("wav2vec2")]

TOLERANCE = 5e-6
WAVEFORMS = ("wav2vec2", "wav2vec2-stable", "conformer-relative", "conformer-rotary", "hubert", "wavlm")
NAMES = (*WAVEFORMS, "whisper", "spectrogram")
#: installed anew, whatever is here already
OWN = ("transformers", "huggingface-hub", "tokenizers")

SCRIPT = '''
"""Run saved networks, and write what their layers give for sounds together and alone."""
import json, sys
from importlib.metadata import version
from pathlib import Path
import numpy as np
import torch
from isocortex.extraction.extractor import activations_in_memory
from isocortex.catalogue.cards import ModelCard, Variant
from isocortex.data.stimuli import Stimulus, StimulusSet
from isocortex_wav2vec2.models import SpeechNetwork

torch.set_num_threads(1)
task = json.loads(Path(sys.argv[1]).read_text())
waves = np.load(task["sounds"])
sounds = {name: Stimulus(name, "audio", waves[name], 16000.0) for name in waves.files}
together = StimulusSet("together", "audio", sounds)
sets = {"together": together, **{one: StimulusSet(one, "audio", {one: sounds[one]}) for one in sounds}}
found, layers = {}, {}
for name, fields in task["cards"].items():
    plugin = SpeechNetwork(ModelCard.model_validate(fields))
    digest = plugin.digest(Variant.parse("random:0"))
    with plugin.load(Variant.parse("random:0"), device="cpu") as model:
        untrained = activations_in_memory(model, together, model.layers[-1:], reduction="time-mean")
        assert all(np.isfinite(values.array()).all() for values in untrained.values())
    with plugin.load(Variant.parse(f"file:{task['folders'][name]}"), device="cpu") as model:
        layers[name] = [list(model.layers), model.find("**"), digest]
        for key, stimuli in sets.items():
            for layer, values in activations_in_memory(model, stimuli, model.layers, reduction="time-mean").items():
                found[f"{name} {key} {layer}"] = values.array()
np.savez(task["answer"], **found)
print(json.dumps({"version": version("transformers"), "layers": layers}))
'''


@pytest.fixture(scope="module")
def other_major(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the other major version of transformers and what it needs beyond this environment."""
    wanted = "4.57.6" if version("transformers").startswith("5.") else "5.23.0"
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv is None:
        pytest.skip("uv is not here to install the other major version of transformers")
    folder = tmp_path_factory.mktemp("other")
    here = sorted({str(found.metadata["Name"]).lower().replace("_", "-") for found in distributions()} - set(OWN))
    (folder / "excludes.txt").write_text("\n".join(here))
    command = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", str(folder / "site")]
    command += ["--excludes", str(folder / "excludes.txt"), f"transformers=={wanted}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip(f"transformers {wanted} was not to be had from the package registry within 120 s")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1].strip()
        pytest.skip(f"transformers {wanted} is not to be had from the package registry ({reason})")
    return folder / "site"


def test_both_major_versions_agree_and_lengths_do_not_matter_in_either(
    tiny: Callable[[str], Any], sounds: Callable[..., StimulusSet], other_major: Path, tmp_path: Path
) -> None:
    stimuli = sounds(1.0, 1.5, 2.0)
    np.savez(tmp_path / "sounds.npz", **{stimulus.id: stimulus.array for stimulus in stimuli})  # type: ignore[arg-type]
    task: dict[str, Any] = {"sounds": f"{tmp_path}/sounds.npz", "answer": f"{tmp_path}/answer.npz"}
    task["cards"] = {name: tiny(name).card.model_dump(mode="json") for name in NAMES}
    task["folders"] = {name: str(saved(tiny(name), tmp_path / name)) for name in NAMES}
    (tmp_path / "task.json").write_text(json.dumps(task))
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "task.json")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(other_major), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "transformers must say nothing"
    said = json.loads(done.stdout)
    assert said["version"].partition(".")[0] != version("transformers").partition(".")[0]
    other = np.load(tmp_path / "answer.npz")
    gaps: dict[str, float] = {}
    for name in NAMES:
        plugin = tiny(name)
        with plugin.load(Variant.parse(f"file:{task['folders'][name]}"), device="cpu") as model:
            layers, parts, digest = said["layers"][name]
            assert layers == list(model.layers)
            assert sorted(parts) == sorted(model.find("**"))
            assert digest != plugin.digest(Variant.parse("random:0")), "activations of one version are not the other's"
            found = activations_in_memory(model, stimuli, model.layers, reduction="time-mean")
        for layer, activations in found.items():
            theirs = other[f"{name} together {layer}"]
            gaps[f"{name} {layer} between versions"] = float(np.abs(activations.array() - theirs).max())
            alone = np.concatenate([other[f"{name} {one} {layer}"] for one in stimuli.ids])
            gaps[f"{name} {layer} together and alone"] = float(np.abs(alone - theirs).max())
            assert np.abs(theirs).max() > 1e-3, (name, layer)
    assert {what: gap for what, gap in gaps.items() if gap > TOLERANCE} == {}
    print(f"largest difference {max(gaps.values()):.2g}")


def saved(plugin: Any, folder: Path) -> Path:
    """A checkpoint of a small network as this version of transformers writes it, with weights away from zero."""
    import torch

    from isocortex_wav2vec2.families import quiet

    with plugin.load(Variant.parse("random:2"), device="cpu") as model, quiet():
        torch.manual_seed(0)
        for parameter in model.module.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
        model.module.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(dict(plugin.architecture().features)))
    return folder
