"""Which modules of core a plugin imports: its faces, and nothing behind them, found without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import isocortex

#: what a plugin may import beside ``isocortex`` itself; everything else may move without a word
FACES = (
    *("activations", "data", "devices", "errors", "files", "hooks", "interfaces", "models", "results", "scoring"),
    *("testing", "training", "typing"),
)
_CORE = Path(isocortex.__file__).parent


def imports_behind_faces(folder: Path) -> list[str]:
    """Imports of core below a package's folder that go past a face, as "file:line imports module".

    Imports under ``if TYPE_CHECKING:`` do not count: they never run.

    Parameters
    ----------
    folder
        Of the package; every ``.py`` file below it is read as text.
    """
    found: list[str] = []
    for path in sorted(folder.rglob("*.py")):
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            continue  # said where it is imported
        where = path.relative_to(folder.parent).as_posix()
        found += [f"{where}:{line} imports {module}" for line, module in _imported(tree) if not is_face(module)]
    return found


def is_face(module: str) -> bool:
    """Whether a module, or what is taken from one, is open to plugins; what is not of core is.

    Examples
    --------
    >>> [is_face(name) for name in ("numpy", "isocortex", "isocortex.data", "isocortex.data.stimuli", "isocortex.run")]
    [True, True, True, False, False]
    """
    top, _, inside = module.partition(".")
    return top != "isocortex" or inside in ("", *FACES)


def _imported(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every module that is imported below a node; ``from a import b`` names a.b where it is one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and child.level == 0:
            yield from ((child.lineno, _module_of(child.module, alias.name)) for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.orelse:
                yield from _imported(ast.Module([statement], []))
        else:
            yield from _imported(child)


def _module_of(module: str, name: str) -> str:
    inside = _CORE.joinpath(*module.split(".")[1:], name)
    is_module = module.split(".")[0] == "isocortex" and (inside.with_suffix(".py").is_file() or inside.is_dir())
    return f"{module}.{name}" if is_module else module
