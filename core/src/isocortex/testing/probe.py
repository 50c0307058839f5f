"""What a fresh interpreter does for a check: ``python -m isocortex.testing TASK ARGUMENTS ANSWER``.

The answer goes to a file, since plugins may print.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.testing.outcomes import described

if TYPE_CHECKING:
    from isocortex.interfaces import ModelPlugin
    from isocortex.manifest import Variant

#: packages that a plugin module may import inside functions only
HEAVY = ("torch", "nemo", "transformers")

#: the reduction of every check: it keeps one value per channel, and every activation takes part in it
REDUCTION = "time-mean+spatial-mean"

N_STIMULI = 4
#: of stimuli that are large enough for a model that keeps its inputs to be found out: 4 s of sound, 384 × 384 pixels
MEMORY_DURATIONS_S = (4.0,)
MEMORY_SIDE = 384
MEMORY_BATCH_SIZE = 2


def import_module(module: str, objects: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Import a module, list the heavy packages that came with it, and look at the objects named in it."""
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a third party's module raises at import
        return {"error": described(error)}
    heavy = [name for name in HEAVY if name in sys.modules]
    return {"heavy": heavy, "problems": [found for item in objects if (found := _problem(imported, *item))]}


def _problem(module: Any, kind: str, where: str, name: str) -> str | None:
    from isocortex.loading import INTERFACES

    target = getattr(module, name, None)
    if target is None:
        return f"{where} names {module.__name__}:{name}, but {module.__name__} has no {name!r}"
    if kind == "command":
        return None if callable(getattr(target, "main", None)) else f"{where} names {name}, which is no click command"
    interface = INTERFACES[kind]
    if isinstance(target, type) and issubclass(target, interface):
        return None
    return f"{where} names {name}, which is no subclass of isocortex.interfaces.{interface.__name__}"


def run_model(reference: str, variant: str, modality: str) -> dict[str, Any]:
    """Run a model on the stimuli of the kit; digests of the plugin and of its layers."""
    from isocortex.extraction import activations_in_memory
    from isocortex.testing.synthetic import synthetic_stimuli

    plugin, parsed = _plugin(reference, variant)
    with plugin.load(parsed, device="cpu") as model:
        found = activations_in_memory(
            model,
            synthetic_stimuli(modality, N_STIMULI),
            model.layers,
            reduction=REDUCTION,
            batch_size=N_STIMULI,
        )
    layers = {layer: activations.digest for layer, activations in found.items()}
    return {"digest": plugin.digest(parsed), "digests": layers}


def measure_model(reference: str, variant: str, modality: str, n_stimuli: int) -> dict[str, Any]:
    """Run a model on files, in chunks to disk; by how much memory grew, at the peak and with the model still open."""
    from isocortex.extraction import extract
    from isocortex.testing.processes import forget_peak, peak_bytes, resident_bytes, return_free_memory
    from isocortex.testing.synthetic import synthetic_stimuli

    plugin, parsed = _plugin(reference, variant)
    with tempfile.TemporaryDirectory(prefix="isocortex-check-") as name, plugin.load(parsed, device="cpu") as model:
        folder = Path(name) / "stimuli"
        folder.mkdir()
        stimuli = synthetic_stimuli(
            modality, n_stimuli, folder=folder, durations_s=MEMORY_DURATIONS_S, side=MEMORY_SIDE
        )
        forget_peak()
        before = resident_bytes()
        layers = extract(
            model,
            stimuli,
            model.layers,
            reduction=REDUCTION,
            folder=Path(name) / "activations",
            batch_size=MEMORY_BATCH_SIZE,
        )
        gc.collect()
        return_free_memory()
        left, peak = resident_bytes() or peak_bytes(), peak_bytes()
        n_units = sum(activations.n_units for activations in layers.values())
    return {"left_bytes": left - before, "peak_bytes": peak - before, "bytes_per_stimulus": 4 * n_units}


def _plugin(reference: str, variant: str) -> tuple[ModelPlugin, Variant]:
    from isocortex.loading import resolver
    from isocortex.manifest import Variant

    return resolver(offline=True).model(reference), Variant.parse(variant)


def digest_of_data(kind: str, reference: str) -> dict[str, Any]:
    """Load a stimulus set or a data set; its digest and the order of its stimuli."""
    from isocortex.loading import resolver

    found = resolver(offline=True)
    if kind == "stimuli":
        stimuli = found.stimuli(reference)
        return {"digest": stimuli.digest, "ids": list(stimuli.ids)}
    dataset = found.dataset(reference)
    return {"digest": dataset.digest, "ids": list(dataset.stimuli.ids)}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "import": import_module,
    "run": run_model,
    "measure": measure_model,
    "digest": digest_of_data,
}


def main(task: str, arguments: Mapping[str, Any], answer: Path) -> None:
    """Do a task and write what it found, or what was raised."""
    try:
        found = TASKS[task](**arguments)
    except Exception as error:  # whatever a third party's plugin raises
        found = {"error": described(error)}
    answer.write_text(json.dumps(found), encoding="utf-8")
