"""BibTeX of everything that results stand on: models, data, metrics, benchmarks and software."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from isocortex.results import Result
from isocortex_report.paper.bibtex_entries import as_bibtex
from isocortex_report.paper.facts import cards_of
from isocortex_report.paper.methods import methods
from isocortex_report.paper.references import References
from isocortex_report.selection import chosen_results


def bibtex(
    results: Path | str | Iterable[Result], *, benchmarks: Sequence[str] = (), models: Sequence[str] = ()
) -> str:
    """BibTeX of the references that the methods section of these results numbers, in its order.

    Then follow references that only the rows of benchmarks name. What comes without a DOI says so in its note.

    Parameters
    ----------
    results
        A results folder, or results.
    benchmarks, models
        IDs or globs of those that take part; empty: all.

    Raises
    ------
    StoreError, UsageError
        No results, or none of these names.
    """
    found, _ = chosen_results(results, benchmarks, models)
    known = [card for (kind, _), card in cards_of(found).items() if kind == "benchmark"]
    references = References(card.folder for card in known)
    entries = methods(found).entries
    keys = {entry.key for entry in entries}
    more = [entry for card in known for entry in references.of_card(card) if entry.key not in keys]
    return as_bibtex([*entries, *more])


#: as the command is called
cite = bibtex
