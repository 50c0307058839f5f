"""The paragraph on comparisons of models: the family of tests as ``isocortex compare`` makes it over these results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from isocortex.results import Result
from isocortex_report.paper.citations import Citations
from isocortex_report.paper.quantities import between, counted

_FALSE_DISCOVERY = "doi:10.1111/j.2517-6161.1995.tb02031.x"


def comparisons_paragraph(results: Sequence[Result], folder: Path | None, citations: Citations) -> str:
    """How every pair of models within a benchmark and region was tested, and how large the family is.

    Raises
    ------
    UsageError
        Nothing can be compared.
    """
    import isocortex

    table = isocortex.compare(results, out=folder or "results")
    tested = table[table["p"].notna()]
    if tested.empty:
        return "No two models could be compared."
    draws = [int(n) for n in tested["n_draws"]]
    n_left = len(table) - len(tested)
    left = f" {counted(n_left, 'pair')} could not be compared." if n_left else ""
    return (
        f"Models were compared within a benchmark and region over the same bootstrap draws ({between(draws)} of them): "
        f"{counted(len(tested), 'comparison')}, each with a two-sided p that cannot fall below "
        f"{2 / (min(draws) + 1):.2g}, and the false discovery rate controlled over all of them"
        f"{citations.named(_FALSE_DISCOVERY)}.{left}"
    )
