"""Writes the tables of all models and data sets out of the manifests, or checks that they are theirs.

python docs/generate_catalogue.py            rewrite reference/models-and-data.md
python docs/generate_catalogue.py --check    exit 1 where it is out of date

Models of one family with one licence, paper and source share a line.
"""

from __future__ import annotations

import csv
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

DOCS = Path(__file__).parent
PAPERS = DOCS / "bibliography.toml"
PAGE = DOCS / "reference" / "models-and-data.md"
BLOCK = re.compile(r"(?<=<!-- table: )(?P<name>[a-z ]+)(?P<rest> -->\n).*?(?=<!-- end -->)", re.DOTALL)
HANDS, AS_THE_ROW = "a folder of yours", "as the row that it stands for"
Row = dict[str, Any]


def rows(kind: str) -> Iterator[Row]:
    """Rows of a kind with their package's defaults, its name, and the folder of the manifest."""
    for path in sorted(DOCS.parent.glob("plugins/*/src/*/isocortex.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        defaults = content.get("defaults", {}).get(kind, {})
        for row in content.get(kind, []):
            tags = {**defaults.get("tags", {}), **row.get("tags", {})}
            package = f"isocortex-{path.parents[2].name}"
            yield {**defaults, **row, "tags": tags, "folder": path.parent, "package": package}


def models(modality: str) -> str:
    """A line for each family that takes such stimuli."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows("model"):
        if row["modality"] == modality:
            family, licence = str(row["tags"].get("family", row["id"])), row.get("licence", AS_THE_ROW)
            kind = (row["package"], family, licence, source(row), row.get("reference", ""))
            groups.setdefault(kind, []).append(row)
    lines = [
        f"| {names([row['id'] for row in members])} | {licence} | {where} | {linked(paper)} | {package} |\n"
        for (package, _, licence, where, paper), members in groups.items()
    ]
    return "| models | licence | weights from | paper | package |\n|---|---|---|---|---|\n" + "".join(lines)


def data_sets() -> str:
    """A line for each data set."""
    lines = [
        f"| `{row['id']}` | {row['title']} | {row.get('licence') or 'BSD-3-Clause'} "
        f"| {data_source(row)} | `{row['stimuli']}` | {linked(row.get('reference', ''))} | {row['package']} |\n"
        for row in rows("dataset")
    ]
    head = "| data set | what it is | licence | from | stimuli | paper | package |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(lines)


def stimulus_sets() -> str:
    """A line for each set of stimuli."""
    lines = [
        f"| `{row['id']}` | {row['title']} | {row['modality']} | {row.get('licence') or 'BSD-3-Clause'} "
        f"| {data_source(row)} | {row['package']} |\n"
        for row in rows("stimuli")
    ]
    return "| stimuli | what they are | modality | licence | from | package |\n|---|---|---|---|---|---|\n" + "".join(
        lines
    )


def names(found: list[str]) -> str:
    """IDs, those that differ by what stands behind a dot put together: `resnet50` (`.imagenet1k_v2`)."""
    bases = [name for name in found if name.rpartition(".")[0] not in found]
    suffixes = {base: [name.removeprefix(base) for name in found if name.rpartition(".")[0] == base] for base in bases}
    return ", ".join(
        f"`{base}`" + (f" ({', '.join(f'`{end}`' for end in ends)})" if ends else "") for base, ends in suffixes.items()
    )


def source(row: Row) -> str:
    """Where trained weights come from."""
    weights = str(row.get("weights", ""))
    if weights.startswith("hf:"):
        return "[Hugging Face](https://huggingface.co)"
    if weights.startswith("ngc:"):
        return "[NVIDIA NGC](https://catalog.ngc.nvidia.com)"
    if weights:
        return urlsplit(weights).netloc
    trained = {"pretrained", "file"} & set(row.get("variants", ["fixed"]))
    if not trained:
        return "needs none"
    return AS_THE_ROW if "*" in row["id"] else HANDS


def data_source(row: Row) -> str:
    """Where its files come from."""
    if "files" in row:
        with (row["folder"] / row["files"]).open(encoding="utf-8", newline="") as file:
            return ", ".join(sorted({urlsplit(line["url"]).netloc for line in csv.DictReader(file) if line["url"]}))
    return "computed" if row["package"] == "isocortex-simulated" else HANDS


def linked(reference: str) -> str:
    """A reference with its papers as links, called by authors and year where the bibliography has them."""
    papers = {paper.get("identifier"): paper for paper in tomllib.loads(PAPERS.read_text(encoding="utf-8"))["paper"]}
    for identifier in re.findall(r"doi:[^\s,;]+|arXiv:[\d.]+\d|https?://[^\s,;]+", reference):
        if identifier in papers:
            reference = reference.replace(identifier, f"[{called(papers[identifier])}]({address(identifier)})")
    return reference


def address(identifier: str) -> str:
    """Where an identifier leads."""
    name, _, rest = identifier.partition(":")
    return {"doi": f"https://doi.org/{rest}", "arXiv": f"https://arxiv.org/abs/{rest}"}.get(name, identifier)


def called(paper: Row) -> str:
    """A paper as a text cites it: Kell et al. 2018.

    Examples
    --------
    >>> called({"authors": "Tan, M. & Le, Q. V.", "year": 2019})
    'Tan & Le 2019'
    """
    found = re.findall(r"(?:^|\., |& )([^\W\d_][^,&]+),", paper["authors"])
    names = found[0] if len(found) == 1 and "et al." not in paper["authors"] else " & ".join(found[:2])
    return f"{found[0] + ' et al.' if len(found) > 2 or 'et al.' in paper['authors'] else names} {paper['year']}"


TABLES: dict[str, Callable[[], str]] = {
    "models that hear": partial(models, "audio"),
    "models that see": partial(models, "image"),
    "models of anything": partial(models, "any"),
    "data sets": data_sets,
    "stimuli": stimulus_sets,
}


def main() -> int:
    """Rewrite the page, or compare it; the exit code says whether it was up to date."""
    page = PAGE.read_text(encoding="utf-8")
    current = BLOCK.sub(lambda found: f"{found['name']}{found['rest']}{TABLES[found['name']]()}", page)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(current, encoding="utf-8")
        return 0
    if current != page:
        print(f"{PAGE} is out of date. Run: python docs/generate_catalogue.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
