"""Where recipes are found: in packages that are installed, or in a file that is named."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import isocortex
from isocortex.errors import UsageError, shorten, suggest
from isocortex_report.reproduce.published_lists import with_tables
from isocortex_report.reproduce.recipe import Recipe, read_recipe

#: in the import package of whoever brings recipes; what lies in ``published`` is in no digest
PLACE = Path("published", "reproduce")


def recipes() -> tuple[dict[str, Recipe], list[str]]:
    """Recipes of all installed packages by ID, and what is wrong with files that are none.

    Nothing of a package is imported.
    """
    with isocortex.installed_once():
        return _all_of(_folders())


def _all_of(folders: dict[str, Path]) -> tuple[dict[str, Recipe], list[str]]:
    found: dict[str, Recipe] = {}
    faults: list[str] = []
    for package, folder in sorted(folders.items()):
        for path in sorted((folder / PLACE).glob("*.toml")):
            try:
                recipe = with_tables(read_recipe(path, package))
            except UsageError as error:
                faults.append(f"{package}: {error}")
                continue
            if recipe.id in found:
                faults.append(f"{package}: the recipe {recipe.id!r} is that of {found[recipe.id].package}; left out.")
            found.setdefault(recipe.id, recipe)
    return found, faults


def recipe_of(name: str) -> Recipe:
    """The recipe of a paper by its ID, or that in a file ``NAME.toml``.

    Raises
    ------
    UsageError
        There is none.
    """
    if name.endswith(".toml"):
        return with_tables(read_recipe(Path(name).expanduser()))
    found, faults = recipes()
    if name not in found:
        broken = f" Not readable: {shorten(faults, 3)}" if faults else ""
        raise UsageError(
            f"No installed package has a recipe {name!r}.{suggest(name, found)} There are "
            f"{shorten(found, 12) or 'none'}; a file of yours is named by its path, NAME.toml.{broken}"
        )
    return found[name]


def _folders() -> dict[str, Path]:
    """The folder of every package that is a plugin, by the name of its distribution."""
    found: dict[str, Path] = {}
    for point in entry_points(group="isocortex"):
        try:
            spec = None if "." in point.value else find_spec(point.value)
        except (ImportError, ValueError):
            continue
        if spec is not None and spec.submodule_search_locations:
            name = point.dist.name if point.dist is not None else point.value
            found[name] = Path(next(iter(spec.submodule_search_locations)))
    return found
