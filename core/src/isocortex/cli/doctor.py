"""``isocortex doctor``: what is here, what of it can run, and what is wrong; what a report of a mistake should hold.

Models are imported for it, each inside a guard, and nothing is downloaded.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from isocortex.catalogue.cards import ModelCard, Variant, read_card
from isocortex.catalogue.rows import Catalogue, Row, is_pattern
from isocortex.errors import FilesError, IsocortexError
from isocortex.files.disk import cache_folder, check_writable, data_folder
from isocortex.files.file_store import FileStore
from isocortex.files.libraries import installed_version, unmet_requirements
from isocortex.loading.resolver import Resolver, make_plugin, variant_of

WIDTH = 80
#: libraries that numbers or runs depend on; shown where they are installed
LIBRARIES = (
    "numpy", "scipy", "pandas", "xarray", "netCDF4", "scikit-learn", "pydantic", "click", "filelock", "soundfile",
    "soxr", "Pillow", "torch", "torchvision", "torchaudio", "timm", "transformers", "nemo_toolkit",
)  # fmt: skip
#: less free disk than this is worth a word
LITTLE_BYTES = 1_000_000_000
READY, NO_WEIGHTS, NOT_HERE = "can run", "weights are not here", "cannot run here"

Report = dict[str, Any]


def examine(results: Path) -> Report:
    """Everything that ``doctor`` tells, as data.

    Parameters
    ----------
    results
        Where results would be written.
    """
    catalogue = Catalogue.discover()
    report: Report = {
        "isocortex": installed_version("isocortex"),
        "python": platform.python_version(),
        "interpreter": sys.executable,
        "platform": platform.platform(),
        "versions": {name: found for name in LIBRARIES if (found := installed_version(name))},
        "devices": _devices(),
        "folders": {name: _folder(path) for name, path in _places(results).items()},
        "plugins": {item.package: item.version for item in catalogue.plugins},
        "broken": [{"package": item.package, "version": item.version, "reason": item.reason}
                   for item in catalogue.broken],
        "conflicts": [f"{kind} {name} is offered by {' and '.join(row.package for row in rows)}"
                      for (kind, name), rows in catalogue.conflicts().items()],
        "requirements": list(_unmet_of_plugins(catalogue)),
        "models": {row.reference: _state_of(row, catalogue) for row in catalogue.of_kind("model")
                   if not is_pattern(row.id)},
        "faults": list(_faults(catalogue)),
    }  # fmt: skip
    report["notes"] = list(_notes(catalogue, report["faults"]))
    report["wrong"] = list(_wrong(report))
    return report


# --- what there is ----------------------------------------------------------------------------------------------------


def _devices() -> dict[str, Any]:
    from isocortex.devices import free_memory

    found: dict[str, Any] = {"cpu": {"cores": os.cpu_count(), "free_bytes": free_memory("cpu")}}
    if installed_version("torch") is None:
        return found
    try:
        import torch

        for number in range(torch.cuda.device_count()):
            name = f"cuda:{number}"
            found[name] = {"name": torch.cuda.get_device_name(number), "free_bytes": free_memory(name)}
        if torch.backends.mps.is_available():
            found["mps"] = {"free_bytes": free_memory("mps")}
    except (Exception, SystemExit) as error:  # a torch that does not load, or a driver that does not answer
        found["torch"] = {"problem": f"{type(error).__name__}: {_line(error)}"}
    return found


def _places(results: Path) -> dict[str, Path]:
    return {"data": data_folder(), "cache": cache_folder(), "results": results.absolute()}


def _folder(path: Path) -> dict[str, Any]:
    """Whether a folder is there and can be written; a folder that was not there is not left behind."""
    existed = path.exists()
    about: dict[str, Any] = {"path": str(path), "exists": existed, "problem": None}
    try:
        place = next(one for one in (path, *path.parents) if one.exists())
        about["free_bytes"] = shutil.disk_usage(place).free
        check_writable(path if existed else place)
    except (IsocortexError, OSError) as error:
        about["problem"] = _line(error)
    return about


# --- what can run -----------------------------------------------------------------------------------------------------


def _unmet_of_plugins(catalogue: Catalogue) -> Iterator[str]:
    """What the installed plugins require and is not here, or not in that version."""
    from importlib.metadata import requires

    for plugin in catalogue.plugins:
        try:
            lines = [line for line in requires(plugin.package) or () if "extra ==" not in line]
        except Exception:  # metadata that cannot be read are named elsewhere
            lines = []
        for unmet in unmet_requirements(lines):
            yield f"{plugin.package} {plugin.version} requires {unmet}"


def _faults(catalogue: Catalogue) -> Iterator[str]:
    """What is installed beside models and cannot be loaded."""
    for kind in ("dataset", "stimuli", "metric", "executor"):
        for row in catalogue.of_kind(kind):
            try:
                make_plugin(kind, read_card(row))
            except (Exception, SystemExit) as error:  # whatever a third party's module raises
                yield f"{kind} {row.reference}: {_line(error)}"


def _notes(catalogue: Catalogue, faults: list[str]) -> Iterator[str]:
    """What plugins say by their hook; hooks that cannot be loaded or fail are faults."""
    from isocortex.run.hook_caller import HookCaller

    for package, note in HookCaller(catalogue.plugins, faults.append).call("isocortex_doctor"):
        yield f"{package}: {note!s}"


def _state_of(row: Row, catalogue: Catalogue) -> dict[str, str]:
    """Whether a model can run here: its row, what it requires, its code, its weights, the memory."""
    resolver = Resolver(catalogue, FileStore(offline=True, because="'doctor' downloads nothing"))
    try:
        card = read_card(row)
        assert isinstance(card, ModelCard)
        unmet = unmet_requirements(card.requires)
        if unmet:
            return {"state": NOT_HERE, "reason": f"it requires {' and '.join(unmet)}"}
        resolver.model(row.reference)
    except (Exception, SystemExit) as error:  # whatever a third party's module raises
        return {"state": NOT_HERE, "reason": _line(error), "fault": "yes"}
    return _weights_and_memory(resolver, row.reference, card, variant_of(card, None))


def _weights_and_memory(resolver: Resolver, reference: str, card: ModelCard, variant: Variant) -> dict[str, str]:
    from isocortex.devices import free_memory
    from isocortex.run.fetch import fetch_model

    try:
        fetch_model(resolver, reference, variant)
    except FilesError as error:
        return {"state": NO_WEIGHTS, "reason": _line(error)}
    except (Exception, SystemExit) as error:
        return {
            "state": NOT_HERE,
            "reason": f"whether its weights are here is not known: {_line(error)}",
            "fault": "yes",
        }
    free, needed = free_memory("cpu"), 4 * (card.parameters or 0)
    if free is not None and needed > free:
        reason = f"its weights take {_size(needed)} of memory, and {_size(free)} are free"
        return {"state": NOT_HERE, "reason": reason}
    return {"state": READY, "reason": ""}


def _wrong(report: Report) -> Iterator[str]:
    """What should not be so, whatever somebody wants to do."""
    for item in report["broken"]:
        yield f"{item['package']} {item['version']}: {item['reason']}"
    yield from report["conflicts"]
    yield from report["requirements"]
    yield from report["faults"]
    for reference, about in report["models"].items():
        if "fault" in about:
            yield f"model {reference}: {about['reason']}"
    for name, about in report["folders"].items():
        if about["problem"]:
            yield f"{name}: {about['problem']}"
        elif about["free_bytes"] < LITTLE_BYTES:
            yield f"{name}: only {_size(about['free_bytes'])} are free in {about['path']}"
    if "torch" in report["devices"]:
        yield f"torch does not load: {report['devices']['torch']['problem']}"
    if not report["plugins"]:
        yield "no plugin is installed: pip install isocortex-metrics isocortex-baselines isocortex-simulated"


def _line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return text if isinstance(error, IsocortexError) else f"{type(error).__name__}: {text}"


def _size(n_bytes: float | None) -> str:
    return "unknown" if n_bytes is None else f"{n_bytes / 1e9:.1f} GB"


# --- as text ----------------------------------------------------------------------------------------------------------


def as_text(report: Report, width: int = WIDTH) -> str:
    """The report for a reader and for an issue: no line is wider than ``width``, but for paths that are."""
    lines = [f"isocortex {report['isocortex']}, Python {report['python']}, {report['platform']}"]
    lines += _block("libraries", [", ".join(f"{name} {found}" for name, found in report["versions"].items())], width)
    lines += _block("devices", [_device(name, about) for name, about in report["devices"].items()], width)
    lines += _block("folders", [_place(name, about) for name, about in report["folders"].items()], width)
    lines += _block("plugins", [", ".join(f"{name} {found}" for name, found in report["plugins"].items())], width)
    lines += _block("models", list(_models(report["models"])), width)
    lines += _block("notes", report["notes"], width) if report["notes"] else []
    wrong = report["wrong"]
    lines += _block(f"wrong ({len(wrong)})", wrong, width) if wrong else ["", "Nothing is wrong."]
    return "\n".join(lines)


def _block(title: str, items: Iterable[str], width: int) -> list[str]:
    lines: list[str] = []
    for item in items:
        lines += textwrap.wrap(
            item, width, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
    return ["", title, *(lines or ["  none"])]


def _device(name: str, about: dict[str, Any]) -> str:
    if "problem" in about:
        return f"{name}: {about['problem']}"
    what = f"{about['cores']} cores" if "cores" in about else about.get("name", "")
    return f"{name}: {f'{what}, ' if what else ''}{_size(about['free_bytes'])} of memory free"


def _place(name: str, about: dict[str, Any]) -> str:
    state = "cannot be written" if about["problem"] else "can be written" if about["exists"] else "not there yet"
    return f"{name}: {about['path']} ({state}, {_size(about.get('free_bytes'))} free)"


def _models(models: dict[str, dict[str, str]]) -> Iterator[str]:
    for state in (READY, NO_WEIGHTS):
        names = [reference.rpartition("::")[2] for reference, about in models.items() if about["state"] == state]
        if names:
            hint = "; 'isocortex fetch -m ID' brings them, or says how to get them" if state == NO_WEIGHTS else ""
            yield f"{state} ({len(names)}{hint}): {', '.join(names)}"
    away = {reference: about["reason"] for reference, about in models.items() if about["state"] == NOT_HERE}
    yield from (f"{NOT_HERE}: {reference}: {reason}" for reference, reason in away.items())
