"""What is known of cells, which of them a benchmark keeps, and how many those are, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from isocortex.errors import shorten
from isocortex.typing import Array

#: reliability from which a cell is kept, as published
CUT: Final = 0.75
#: coordinate → reliability from which it says "kept"
CUTS: Final = {"cut_50": 0.50, "cut_75": CUT, "cut_90": 0.90}
#: sizes of the subsets of kept cells, one inside the other
SUBSETS: Final = (250, 500, 6000)
KEPT: Final = "kept"
LEFT_OUT: Final = "left out"
#: with fewer cells a row of a table rests on few
FEW: Final = 20


@dataclass(frozen=True)
class CellTable:
    """What is known of cells, all in one order.

    Attributes
    ----------
    cell_id
        (n_cells,).
    area
        VISp, VISl, …
    depth
        Of the recording, a layer or a range in µm; "" where it is not known.
    reliability
        On the trials on which cells are selected; NaN where it is not known.
    running
        "yes": running changes its responses; "no"; "" where that is not known.
    also
        Further coordinates, by name.
    """

    cell_id: tuple[str, ...]
    area: tuple[str, ...]
    depth: tuple[str, ...]
    reliability: Array
    running: tuple[str, ...]
    also: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])

    def kept(self, cut: float = CUT) -> Array:
        """Cells whose reliability reaches a cut and that running does not change: (n_cells,) bool.

        Examples
        --------
        >>> table = CellTable(("1", "2", "3"), ("VISp",) * 3, ("",) * 3, np.array([0.75, 0.9, np.nan]), ("no",) * 3)
        >>> table.kept().tolist()
        [True, True, False]
        """
        return (np.nan_to_num(self.reliability, nan=-np.inf) >= cut) & (np.array(self.running) == "no")

    def among(self, chosen: Array) -> CellTable:
        """The chosen cells, (n_cells,) bool, in the same order."""

        def taken(values: Sequence[Any]) -> list[Any]:
            return [value for value, keep in zip(values, chosen, strict=True) if keep]

        return CellTable(
            tuple(taken(self.cell_id)),
            tuple(taken(self.area)),
            tuple(taken(self.depth)),
            self.reliability[chosen],
            tuple(taken(self.running)),
            {name: taken(values) for name, values in self.also.items()},
        )

    @classmethod
    def together(cls, tables: Sequence[CellTable]) -> CellTable:
        """The cells of several tables, one after the other; all have the same further coordinates."""
        return cls(
            tuple(name for table in tables for name in table.cell_id),
            tuple(name for table in tables for name in table.area),
            tuple(name for table in tables for name in table.depth),
            np.concatenate([table.reliability for table in tables]),
            tuple(name for table in tables for name in table.running),
            {name: [value for table in tables for value in table.also[name]] for name in tables[0].also},
        )

    @property
    def area_depth(self) -> tuple[str, ...]:
        """Area and depth of each cell, "" where its depth is not known."""
        return tuple(f"{area} {depth}" if depth else "" for area, depth in zip(self.area, self.depth, strict=True))


def seeded_subset(cell_id: Sequence[str], n_cells: int, seed: int = 0) -> tuple[str, ...]:
    """Draw some cells; the draw depends on nothing but their IDs and the seed, and a smaller one is part of it.

    Returns
    -------
    At most ``n_cells`` IDs, in the order of the draw.

    Examples
    --------
    >>> few, many = (seeded_subset(["3", "1", "2", "4"], n_cells, seed=1) for n_cells in (2, 3))
    >>> many[:2] == few, few == seeded_subset(["4", "3", "2", "1"], 2, seed=1)
    (True, True)
    """
    ordered = sorted(cell_id)
    return tuple(ordered[place] for place in np.random.default_rng(seed).permutation(len(ordered))[:n_cells])


def coordinates_of(table: CellTable, subset_seed: int = 0) -> dict[str, list[Any]]:
    """Coordinates of the neuroids; what a benchmark may ``select`` says "kept" or "left out".

    Parameters
    ----------
    table
        The cells.
    subset_seed
        Draws the subsets of the cells that reach the published cut.

    Examples
    --------
    >>> table = CellTable(("1", "2"), ("VISp", "VISl"), ("L4", ""), np.array([0.8, 0.6]), ("no", "no"))
    >>> found = coordinates_of(table)
    >>> found["cut_75"], found["cut_50"], found["subset_250"], found["area_depth"]
    (['kept', 'left out'], ['kept', 'kept'], ['kept', 'left out'], ['VISp L4', ''])
    """
    reliable = [name for name, kept in zip(table.cell_id, table.kept(), strict=True) if kept]
    found: dict[str, list[Any]] = {
        "neuroid_id": list(table.cell_id),
        "region": list(table.area),
        "depth": list(table.depth),
        "area_depth": list(table.area_depth),
        "reliability": table.reliability.tolist(),
        "running": list(table.running),
        **{name: [KEPT if kept else LEFT_OUT for kept in table.kept(cut)] for name, cut in CUTS.items()},
        **table.also,
    }
    for size in SUBSETS:
        drawn = set(seeded_subset(reliable, size, subset_seed))
        found[f"subset_{size}"] = [KEPT if name in drawn else LEFT_OUT for name in table.cell_id]
    return found


def warnings_of(table: CellTable, selected_on: str) -> list[str]:
    """What a reader of a result has to know of the cells: how many are kept of how many, where, and where few are.

    Parameters
    ----------
    table
        The cells.
    selected_on
        The trials on which reliability and running were found.
    """
    kept = table.kept()
    n_reliable = int((np.nan_to_num(table.reliability, nan=-np.inf) >= CUT).sum())
    said = [
        f"{kept.sum():,} of {len(kept):,} cells have a split-half reliability of at least {CUT} on {selected_on} and "
        f"are not changed by running ({n_reliable - kept.sum():,} reliable ones are or may be): cut_75 = '{KEPT}'. "
        f"By area: {_kept_of(table.area, kept)}. By area and depth: {_kept_of(table.area_depth, kept) or 'none'}."
        f"{_by_animal(table, kept)}"
    ]
    per_area = {area: int(kept[np.array(table.area) == area].sum()) for area in sorted(set(table.area))}
    few = [f"{area} ({count})" for area, count in per_area.items() if count < FEW]
    if few:
        said.append(f"Fewer than {FEW} cells are kept in {shorten(few, 9)}: what is said of these areas rests on few.")
    short = [f"subset_{size}" for size in SUBSETS[:-1] if kept.sum() < size]
    if short:
        said.append(f"Fewer cells are kept than {' and '.join(short)} would hold: they hold all of them.")
    for what, missing in (
        ("depth: they are in no row of an area and depth", [not depth for depth in table.depth]),
        ("reliability: they are left out", np.isnan(table.reliability).tolist()),
        ("test of running: they are left out", [not running for running in table.running]),
    ):
        if any(missing):
            said.append(f"{sum(missing):,} of {len(missing):,} cells have no {what}.")
    return said


def _kept_of(groups: Sequence[str], kept: Array) -> str:
    names = np.array(groups)
    counts = [f"{name} {kept[names == name].sum():,} of {(names == name).sum():,}" for name in sorted({*groups} - {""})]
    return ", ".join(counts)


def _by_animal(table: CellTable, kept: Array) -> str:
    if "animal" not in table.also:
        return " The files do not say which animal a cell is of."
    animals = np.array(table.also["animal"])
    counts = sorted(int(kept[animals == name].sum()) for name in set(table.also["animal"]))
    return (
        f" By animal: {len(counts)} animals, {counts[0]} to {counts[-1]} cells each, {counts[len(counts) // 2]} in the "
        f"middle, {counts.count(0)} without any."
    )
