"""What each room of core hands on."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import isocortex

CORE = Path(isocortex.__file__).parent
ROOMS = [
    CORE,
    *sorted(folder for folder in CORE.iterdir() if (folder / "__init__.py").exists()),
]
STUBS = {folder: folder / "__init__.pyi" for folder in ROOMS if (folder / "__init__.pyi").exists()}
HEAVY = {"numpy", "pydantic", "xarray", "pandas", "scipy", "sklearn", "torch", "rich", "click", "pluggy", "pooch"}
PROBE = """
import sys
from importlib import import_module
for room in sys.argv[1:]:
    import_module(room)
print(*sys.modules)
"""


def package(folder: Path) -> str:
    return ".".join(("isocortex", *folder.relative_to(CORE).parts))


#: a room that can itself be called, which test_api shows
CALLED = {"results"}


def handed_on(folder: Path) -> list[tuple[str, str]]:
    """Defining module and name of all that a face hands on, as its stub says."""
    imports = [
        node for node in ast.parse(STUBS[folder].read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)
    ]
    return [(f"{package(folder)}.{node.module}", name.asname or name.name) for node in imports for name in node.names]


def test_there_are_rooms_with_faces() -> None:
    assert {"isocortex", "isocortex.data", "isocortex.scoring", "isocortex.testing"} <= set(map(package, STUBS))


@pytest.mark.parametrize("folder", STUBS, ids=package)
def test_a_face_hands_on_what_its_stub_says(folder: Path) -> None:
    face, names = import_module(package(folder)), handed_on(folder)
    for module, name in names:
        found = getattr(face, name)
        assert found is getattr(import_module(module), name) or name in CALLED
    assert sorted(name for _, name in names) == sorted(face.__all__)


@pytest.mark.parametrize("folder", STUBS, ids=package)
def test_no_name_is_that_of_a_module_inside(folder: Path) -> None:
    """Once such a module is imported, it takes the place of what the face hands on."""
    inside = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert not inside & {name for _, name in handed_on(folder)} - CALLED


@pytest.mark.parametrize("folder", ROOMS, ids=package)
def test_a_face_imports_nothing_before_it_is_used(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, package(folder)], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert {name for name in loaded if name.partition(".")[0] == "isocortex"} == {"isocortex", package(folder)}


def test_the_room_of_results_is_there_once_isocortex_is_imported() -> None:
    code = "import isocortex, sys; assert 'isocortex.results' not in sys.modules; print(callable(isocortex.results))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
