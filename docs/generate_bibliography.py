"""Writes the bibliography: every paper that a manifest names, or a page cites, or checks that it is up to date.

python docs/generate_bibliography.py            rewrite reference/bibliography.md
python docs/generate_bibliography.py --check    exit 1 where it is out of date

What a manifest or a page cites and ``bibliography.toml`` does not have is an error that names it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PAGE = DOCS / "reference" / "bibliography.md"
PAPERS = DOCS / "bibliography.toml"
#: made of the same manifests
CATALOGUE = DOCS / "reference" / "models-and-data.md"
BLOCK = re.compile(r"(?<=<!-- bibliography -->\n).*?(?=<!-- end -->)", re.DOTALL)
IDENTIFIER = re.compile(r"doi:[^\s,;)]+|arXiv:[\d.]+\d|https?://[^\s,;)]+", re.IGNORECASE)
#: a year that stands where a citation ends: "Hoerl & Kennard 1970, *Technometrics* 12", "Nili et al. 2014"
CITATION = re.compile(r"(?P<names>[A-ZÀ-Ž](?:et al\.|[^.;:|()]){1,110}?) (?P<year>(?:18|19|20)\d\d)(?=, \*|; |\))")
KINDS = {
    "model": "models",
    "stimuli": "stimuli",
    "dataset": "data sets",
    "metric": "metrics",
    "benchmark": "benchmarks",
}
#: a row names this many IDs at most, and counts the rest
SHOWN = 3


def manifests() -> Iterator[tuple[str, str, str]]:
    """(kind, ID, reference) of every row of this repository."""
    for path in sorted(ROOT.glob("plugins/*/src/*/isocortex.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        defaults = content.get("defaults", {})
        for kind in KINDS:
            for row in content.get(kind, []):
                yield kind, row["id"], row.get("reference") or defaults.get(kind, {}).get("reference", "")


def pages() -> list[Path]:
    """Pages whose citations are listed."""
    return sorted(path for path in DOCS.rglob("*.md") if path not in (PAGE, CATALOGUE))


def address(identifier: str) -> str:
    """Where an identifier leads."""
    name, _, rest = identifier.partition(":")
    return {"doi": f"https://doi.org/{rest}", "arxiv": f"https://arxiv.org/abs/{rest}"}.get(name.lower(), identifier)


def key(identifier: str) -> str:
    """One spelling for what leads to the same paper: the arXiv has DOIs, too."""
    return identifier.rstrip(".:").lower().replace("doi:10.48550/arxiv.", "arxiv:")


def surname(paper: dict[str, Any]) -> str:
    """Of the first author."""
    return str(paper["authors"]).partition(",")[0]


def rows_by_paper(papers: list[dict[str, Any]]) -> dict[int, dict[str, list[str]]]:
    """Place of a paper → kind → IDs of the rows that name it.

    Raises
    ------
    SystemExit
        A row names what ``bibliography.toml`` does not have.
    """
    places = {key(paper["identifier"]): place for place, paper in enumerate(papers) if "identifier" in paper}
    found: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for kind, name, reference in manifests():
        for identifier in IDENTIFIER.findall(reference):
            if key(identifier) not in places:
                sys.exit(f"{PAPERS.name} has no paper for {identifier}, which {kind} {name} names. Add it there.")
            found[places[key(identifier)]][kind].append(name)
    return found


def pages_by_paper(papers: list[dict[str, Any]]) -> dict[int, list[Path]]:
    """Place of a paper → pages that cite it by names and year, or by identifier.

    Raises
    ------
    SystemExit
        A page of the methods cites what ``bibliography.toml`` does not have.
    """
    found: dict[int, list[Path]] = defaultdict(list)
    for page in pages():
        text = " ".join(page.read_text(encoding="utf-8").split())
        named = {key(identifier) for identifier in IDENTIFIER.findall(text)}
        for place, paper in enumerate(papers):
            pattern = rf"\b{re.escape(surname(paper))}\b(?:et al\.|[^.;:|()]){{0,110}}? \(?{paper['year']}\b"
            cited = any(_of_these(written, paper) for written in re.findall(pattern, text))
            if cited or key(paper.get("identifier", "-")) in named:
                found[place].append(page)
        if page.parent.name == "methods":
            _refuse_unknown(page, text, papers)
    return found


def _of_these(written: str, paper: dict[str, Any]) -> bool:
    """Whether a citation in the text is of this paper, and not of another one of its first author in that year."""
    others = re.findall(r"(?:\., |& )([A-ZÀ-Ž][^,]+),", str(paper["authors"]))
    if "et al." in written or (not others and "et al." not in paper["authors"]):
        return True
    return bool(others) and others[0] in written


def _refuse_unknown(page: Path, text: str, papers: list[dict[str, Any]]) -> None:
    for citation in CITATION.finditer(text):
        known = [paper for paper in papers if str(paper["year"]) == citation["year"]]
        if not any(re.search(rf"\b{re.escape(surname(paper))}\b", citation["names"]) for paper in known):
            sys.exit(f"{PAPERS.name} has no paper for {citation.group()!r}, which {page.name} cites. Add it there.")


def entry(paper: dict[str, Any], rows: dict[str, list[str]], cited: list[Path]) -> str:
    """One line of the page."""
    title = f"{paper['authors']} ({paper['year']}). {paper['title']}. *{paper['published']}*."
    if "identifier" in paper:
        title += f" [{paper['identifier']}]({address(paper['identifier'])})"
    used = [f"{KINDS[kind]} {_few(names)}" for kind, names in rows.items()]
    used += [f"[{page.stem}]({_link(page)})" for page in cited]
    return f"- {title}" + (f"<br>For {', '.join(used)}." if used else "")


def _few(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _link(page: Path) -> str:
    return f"../{page.relative_to(DOCS).as_posix()}" if page.parent.name != PAGE.parent.name else page.name


def bibliography() -> str:
    """All papers, by first author and year."""
    papers = tomllib.loads(PAPERS.read_text(encoding="utf-8"))["paper"]
    rows, cited = rows_by_paper(papers), pages_by_paper(papers)
    unused = [paper["title"] for place, paper in enumerate(papers) if place not in rows and place not in cited]
    if unused:
        sys.exit(f"Nobody cites what {PAPERS.name} has: {'; '.join(unused)}. Take it out there.")
    order = sorted(range(len(papers)), key=lambda place: (surname(papers[place]).casefold(), papers[place]["year"]))
    return "\n".join(entry(papers[place], rows.get(place, {}), cited.get(place, [])) for place in order) + "\n"


def main() -> int:
    """Rewrite the page, or compare it; the exit code says whether it was up to date."""
    page = PAGE.read_text(encoding="utf-8")
    current = BLOCK.sub(lambda _: bibliography(), page)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(current, encoding="utf-8")
        return 0
    if current != page:
        print(f"{PAGE} is out of date. Run: python docs/generate_bibliography.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
