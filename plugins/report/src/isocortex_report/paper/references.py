"""Whom to cite: references that cards, software and methods name, each one entry with a stable key.

The fields of known references lie in ``references.toml`` here, and in ``published/references.toml`` of packages that
bring their own. A reference of which no fields are known is an entry of its DOI, arXiv number or address alone.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isocortex.interfaces import BenchmarkCard, DatasetCard, MetricCard, ModelCard, StimuliCard

    AnyCard = BenchmarkCard | DatasetCard | MetricCard | ModelCard | StimuliCard

_REFERENCE = re.compile(r"doi:\s*(?P<doi>10\.\S+)|arxiv:\s*(?P<arxiv>[\w.-]+(?:/\d+)?)|(?P<url>https?://\S+)", re.I)
_ARXIV_DOI = re.compile(r"10\.48550/arxiv\.(.+)", re.I)
#: what ends a sentence or a list, and no DOI and no address
_TAIL = ".,;)"
NO_DOI = "No DOI"


@dataclass(frozen=True)
class Entry:
    """A reference: its key, its kind of BibTeX entry, and its fields as they are written, unescaped."""

    key: str
    kind: str
    fields: Mapping[str, str]


def named_in(reference: str) -> list[str]:
    """References in the field of a card: ``doi:…``, ``arXiv:…`` and addresses, in their order, one spelling each.

    Examples
    --------
    >>> named_in("doi:10.1152/jn.00588.2020, released with doi:10.48550/arXiv.1905.00414")
    ['doi:10.1152/jn.00588.2020', 'arXiv:1905.00414']
    """
    found: list[str] = []
    for match in _REFERENCE.finditer(reference):
        if match["doi"]:
            doi = match["doi"].rstrip(_TAIL)
            arxiv = _ARXIV_DOI.fullmatch(doi)
            found.append(f"arXiv:{arxiv[1]}" if arxiv else f"doi:{doi}")
        elif match["arxiv"]:
            found.append(f"arXiv:{match['arxiv'].rstrip(_TAIL)}")
        else:
            found.append(match["url"].rstrip(_TAIL))
    return list(dict.fromkeys(found))


class References:
    """Entries by reference, with keys that are stable and unique.

    Parameters
    ----------
    folders
        Of packages, whose ``published/references.toml`` is read where it is there.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        known = dict(_own())
        for folder in dict.fromkeys(folders):
            known.update({name: item for name, item in _of_package(folder).items() if name not in known})
        self._known = {name.casefold(): item for name, item in known.items()}

    def entry(self, reference: str) -> Entry:
        """The entry of ``doi:…``, ``arXiv:…`` or an address.

        Examples
        --------
        >>> References().entry("doi:10.1371/journal.pbio.3002366").key
        'tuckute2023'
        >>> References().entry("doi:10.1000/xyz(1)").key
        'doi-10-1000-xyz-1'
        """
        found = self._known.get(reference.casefold(), {})
        fields = {name: str(value) for name, value in found.items() if name not in ("key", "type")}
        key = str(found.get("key") or _plain(reference))
        return Entry(key, str(found.get("type", "misc")), {**fields, **_located(reference, known=bool(found))})

    def of_card(self, card: AnyCard) -> list[Entry]:
        """Entries of what a card says to cite, or none."""
        return [self.entry(name) for name in named_in(card.reference)]

    def of_library(self, name: str, version: str) -> Entry | None:
        """The paper of a library, with the version that ran; None: it asks for none that is known here."""
        reference = _software().get(_canonical(name))
        if reference is None:
            return None
        entry = self.entry(reference)
        note = "; ".join(filter(None, (f"Version {version}", entry.fields.get("note"))))
        return Entry(entry.key, entry.kind, {**entry.fields, "note": note})


def of_package(name: str, version: str) -> Entry:
    """A package of models, data or metrics as software: its title and authors from its metadata, where it is installed.

    Examples
    --------
    >>> of_package("isocortex-metrics", "0.1.0").fields["version"]
    '0.1.0'
    """
    author, summary = _metadata(name)
    title = f"{name}: {summary}" if summary else name
    fields = {"title": title, "version": version, "note": f"{NO_DOI}: software, version {version}"}
    return Entry(_plain(name), "misc", {**({"author": "{" + author + "}"} if author else {}), **fields})


def _located(reference: str, *, known: bool) -> dict[str, str]:
    """Where a reference is found; an entry without DOI says so."""
    kind, _, rest = reference.partition(":")
    if kind.casefold() == "doi":
        found = {"doi": rest}
        title = f"doi:{rest}"
    elif kind.casefold() == "arxiv":
        found = {"eprint": rest, "archiveprefix": "arXiv", "doi": f"10.48550/arXiv.{rest}"}
        title = f"arXiv:{rest}"
    else:
        found = {"url": reference, "note": NO_DOI}
        title = reference
    return found if known else {"title": title, **found}


def _plain(text: str) -> str:
    """A key of letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.casefold().encode("ascii", "ignore").decode()).strip("-")[:80] or "reference"


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _own() -> Mapping[str, Mapping[str, Any]]:
    return {name: item for name, item in _file().items() if name != "software"}


@cache
def _file() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads((Path(__file__).parent / "references.toml").read_text(encoding="utf-8"))


def _software() -> Mapping[str, str]:
    return _file()["software"]


@cache
def _of_package(folder: Path) -> Mapping[str, Mapping[str, Any]]:
    """References that a package brings; none where the file is absent or cannot be read as such."""
    try:
        found = tomllib.loads((folder / "published" / "references.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: item for name, item in found.items() if isinstance(item, dict)}


@cache
def _metadata(name: str) -> tuple[str, str]:
    """Author and summary of an installed distribution."""
    try:
        found = metadata.metadata(name).json
        return str(found.get("author") or ""), str(found.get("summary") or "")
    except Exception:  # not installed, or with metadata that cannot be read
        return "", ""


# --- in text ----------------------------------------------------------------------------------------------------------


def in_text(entry: Entry) -> str:
    """An entry as a list of references shows it.

    Examples
    --------
    >>> in_text(References().entry("arXiv:1905.00414"))[:50]
    'Kornblith, S., Norouzi, M., Lee, H. & Hinton, G. S'
    """
    fields = entry.fields
    parts = [_authors(fields["author"])] if "author" in fields else []
    title = fields.get("title", entry.key).replace(" -- ", " – ")
    parts.append(title if title.endswith((".", "?", "!")) else f"{title}.")
    parts += list(_venue(fields))
    if "note" in fields:
        parts.append(fields["note"] + ".")
    return " ".join(parts)


def _authors(author: str) -> str:
    if author.startswith("{"):
        return author.strip("{}").rstrip(".") + "."
    names = [_short(name) for name in author.split(" and ") if name != "others"]
    if author.endswith(" and others"):
        return f"{', '.join(names)} et al."
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} & {names[-1]}"


def _short(name: str) -> str:
    surname, _, given = name.partition(", ")
    return f"{surname}, {' '.join(part[0] + '.' for part in given.split())}" if given else surname


def _venue(fields: Mapping[str, str]) -> Iterator[str]:
    place = fields.get("journal") or fields.get("booktitle") or ("arXiv" if "eprint" in fields else "")
    numbers = ", ".join(filter(None, (fields.get("volume", ""), fields.get("pages", "").replace("--", "–"))))
    year = f"({fields['year']})" if "year" in fields else ""
    line = " ".join(filter(None, (place, numbers, year)))
    if line:
        yield line + "."
    if "doi" in fields:
        yield f"https://doi.org/{fields['doi']}"
    elif "url" in fields:
        yield fields["url"]
