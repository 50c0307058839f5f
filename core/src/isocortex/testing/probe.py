"""What a fresh interpreter does for a check: ``python -m isocortex.testing TASK ARGUMENTS ANSWER``.

The answer goes to a file, since plugins may print.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.testing.outcomes import described

if TYPE_CHECKING:
    from isocortex.catalogue.cards import Variant
    from isocortex.interfaces import ModelPlugin

#: packages that a plugin module may import inside functions only
HEAVY = ("torch", "nemo", "transformers")

#: the reduction of every check: it keeps one value per channel, and every activation takes part in it
REDUCTION = "time-mean+spatial-mean"

N_STIMULI = 4
#: of stimuli that are large enough for a model that keeps its inputs to be found out: 2 s of sound, 384 × 384 pixels
MEMORY_DURATIONS_S = (2.0,)
MEMORY_SIDE = 384
MEMORY_BATCH_SIZE = 2
#: runs of the memory check, all with one loaded model
N_MEMORY_RUNS = 10


def import_modules(objects: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Any]:
    """Import each module in a copy of this interpreter, which has imported core only, and look at its objects."""
    importlib.import_module("isocortex.loading")  # once for all copies
    return {module: _in_a_copy(partial(import_module, module, named)) for module, named in objects.items()}


def _in_a_copy(task: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a task finds in a forked process, so that what it imports is not seen by the next one."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writing, "w", encoding="utf-8") as answer:
                answer.write(json.dumps(task()))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as answer:
        found = answer.read()
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    return json.loads(found) if found else {"error": f"nothing: its process ended with {ended}"}


def import_module(module: str, objects: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Import a module, list the heavy packages that came with it, and look at the objects named in it."""
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever a third party's module raises at import
        return {"error": described(error)}
    heavy = [name for name in HEAVY if name in sys.modules]
    return {"heavy": heavy, "problems": [found for item in objects if (found := _problem(imported, *item))]}


def _problem(module: Any, kind: str, where: str, name: str) -> str | None:
    from isocortex.loading.resolver import INTERFACES

    target = getattr(module, name, None)
    if target is None:
        return f"{where} names {module.__name__}:{name}, but {module.__name__} has no {name!r}"
    if kind == "command":
        return None if callable(getattr(target, "main", None)) else f"{where} names {name}, which is no click command"
    interface = INTERFACES[kind]
    if isinstance(target, type) and issubclass(target, interface):
        return None
    return f"{where} names {name}, which is no subclass of isocortex.interfaces.{interface.__name__}"


def run_model(reference: str, variant: str, modality: str, n_memory_stimuli: int) -> dict[str, Any]:
    """Run a model on the stimuli of the kit; digests of the plugin and of its layers, then its memory (0: without)."""
    from isocortex.extraction.chance import seeded
    from isocortex.extraction.extractor import activations_in_memory
    from isocortex.extraction.hearing import heard
    from isocortex.testing.synthetic import synthetic_stimuli

    plugin, parsed = _plugin(reference, variant)
    with seeded(plugin.load(parsed, device="cpu"), plugin.card, parsed) as model:
        found = activations_in_memory(
            model,
            heard(synthetic_stimuli(modality, N_STIMULI), plugin.card),
            model.layers,
            reduction=REDUCTION,
            batch_size=N_STIMULI,
        )
    layers = {layer: activations.digest for layer, activations in found.items()}
    answer: dict[str, Any] = {"digest": plugin.digest(parsed), "digests": layers}
    if n_memory_stimuli:
        try:
            in_use = _bytes_in_use(plugin, parsed, modality, n_memory_stimuli)
            answer["memory"] = {"n_stimuli": n_memory_stimuli, "bytes_in_use": in_use}
        except Exception as error:  # whatever a third party's plugin raises
            answer["memory"] = {"error": described(error)}
    return answer


def _bytes_in_use(plugin: ModelPlugin, variant: Variant, modality: str, n_stimuli: int) -> list[int]:
    """Load a model once and run it on files again and again, other ones each time; the memory in use after each run."""
    from isocortex.data.stimuli import StimulusSet
    from isocortex.extraction.chance import seeded
    from isocortex.extraction.extractor import activations_in_memory
    from isocortex.extraction.hearing import heard
    from isocortex.testing.synthetic import synthetic_stimuli

    in_use: list[int] = []
    made = seeded(plugin.load(variant, device="cpu"), plugin.card, variant)
    with tempfile.TemporaryDirectory(prefix="isocortex-check-") as name, made as model:
        stimuli = synthetic_stimuli(
            modality, N_MEMORY_RUNS * n_stimuli, folder=Path(name), durations_s=MEMORY_DURATIONS_S, side=MEMORY_SIDE
        )
        files = list(zip(stimuli.ids, stimuli.files, strict=True))
        for start in range(0, len(stimuli), n_stimuli):
            own = StimulusSet(stimuli.id, stimuli.modality, files[start : start + n_stimuli], table=stimuli.table)
            played = heard(own, plugin.card)
            activations_in_memory(model, played, model.layers, reduction=REDUCTION, batch_size=MEMORY_BATCH_SIZE)
            in_use.append(bytes_in_use())
    return in_use


def _plugin(reference: str, variant: str) -> tuple[ModelPlugin, Variant]:
    from isocortex.catalogue.cards import Variant
    from isocortex.loading.resolver import resolver

    return resolver(offline=True).model(reference), Variant.parse(variant)


def digest_of_data(kind: str, reference: str) -> dict[str, Any]:
    """Load a stimulus set or a data set; its digest and the order of its stimuli."""
    from isocortex.loading.resolver import resolver

    found = resolver(offline=True)
    if kind == "stimuli":
        stimuli = found.stimuli(reference)
        return {"digest": stimuli.digest, "ids": list(stimuli.ids)}
    dataset = found.dataset(reference)
    return {"digest": dataset.digest, "ids": list(dataset.stimuli.ids)}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "import": import_modules,
    "run": run_model,
    "digest": digest_of_data,
}


def main(task: str, arguments: Mapping[str, Any], answer: Path) -> None:
    """Do a task and write what it found, or what was raised."""
    try:
        found = TASKS[task](**arguments)
    except Exception as error:  # whatever a third party's plugin raises
        found = {"error": described(error)}
    answer.write_text(json.dumps(found), encoding="utf-8")


def bytes_in_use() -> int:
    """Memory of this process that only it has, without files and without what is free inside it, in bytes.

    The peak is no measure of what a program keeps: the C library puts large blocks now into holes, now at the end of
    what it has, and the same work peaks tens of megabytes apart. Where the system tells no more (outside Linux), it is
    the peak all the same.
    """
    _return_free_memory()
    private = [_status_bytes(field) for field in ("RssAnon", "RssShmem")]
    return sum(found or 0 for found in private) or _maximum_resident()


def _return_free_memory() -> None:
    """Give what is free inside the process back to the system, where the C library can: nobody keeps it."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _status_bytes(field: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(found[0]) * 1024 if found else None


def _maximum_resident() -> int:
    import resource

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024
