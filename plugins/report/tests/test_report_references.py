"""References and BibTeX: whatever stands in a card is one entry, escaped, under a key of its own."""

from __future__ import annotations

from pathlib import Path

import bibtexparser
import pytest

from isocortex_report.paper.bibtex_entries import as_bibtex, escaped
from isocortex_report.paper.references import Entry, References, in_text, named_in

HOSTILE = (
    "<script>alert(1)</script>", "../../x", "x" * 300, "\u202eelif.exe", "two\nlines", "{", "}}}", "@misc{x,", "a\\",
    "100% of $x_1^2$ & #1 ~ \\input{secret}", '"', ",\n}\n@article{evil,",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_stay_inside_their_field(text: str) -> None:
    fields = {
        "author": "{" + text + "}",
        "title": text,
        "note": text,
        "url": f"https://example.org/{text}",
        "year": "2026",
    }
    made = as_bibtex([Entry("one", "misc", fields), Entry("two", "misc", {"title": "after"})])
    library = bibtexparser.parse_string(made)
    assert [entry.key for entry in library.entries] == ["one", "two"]
    assert not library.failed_blocks
    assert [field.key for field in library.entries[0].fields] == list(fields)
    assert made.count("{") == made.count("}")
    assert "\u202e" not in made
    body = made.replace(r"\textbackslash{}", "").replace(r"\text", "")
    assert "\\input" not in body


def test_a_text_is_set_letter_by_letter() -> None:
    assert escaped("50% of a_b & $c#") == r"50\% of a\_b \& \$c\#"
    assert escaped("{") == r"\textbraceleft{}"


def test_keys_are_stable_and_no_two_are_the_same() -> None:
    references = References()
    for spelling in ("doi:10.1371/journal.pbio.3002366", "DOI:10.1371/JOURNAL.PBIO.3002366"):
        assert references.entry(spelling).key == "tuckute2023"
    entries = [Entry("same", "misc", {"title": title}) for title in ("a", "b", "a")]
    keys = [entry.key for entry in bibtexparser.parse_string(as_bibtex(entries)).entries]
    assert keys == ["same", "same-2"]


def test_what_a_card_says_is_found_in_any_spelling() -> None:
    said = "see doi: 10.1/abc, https://example.org/x). arXiv:1905.00414; doi:10.48550/arXiv.1905.00414"
    assert named_in(said) == ["doi:10.1/abc", "https://example.org/x", "arXiv:1905.00414"]
    assert named_in("nothing of the kind") == []


def test_an_entry_of_which_nothing_is_known_is_its_address_and_says_that_it_has_no_doi() -> None:
    entry = References().entry("https://example.org/a-paper")
    assert entry.fields == {
        "title": "https://example.org/a-paper",
        "url": "https://example.org/a-paper",
        "note": "No DOI",
    }
    assert in_text(entry).endswith("No DOI.")
    assert References().entry("doi:10.1/x").fields["doi"] == "10.1/x"


def test_a_package_brings_references_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "references.toml").write_text(
        '["doi:10.1/mine"]\nkey = "mine2026"\ntype = "article"\nauthor = "Doe, Jane"\ntitle = "Mine"\nyear = 2026\n'
    )
    entry = References([tmp_path]).entry("doi:10.1/mine")
    assert (entry.key, entry.kind, entry.fields["year"]) == ("mine2026", "article", "2026")
    assert in_text(entry) == "Doe, J. Mine. (2026). https://doi.org/10.1/mine"
    (tmp_path / "published" / "references.toml").write_text("[broken")
    assert References([tmp_path / "elsewhere"]).entry("doi:10.1/mine").key == "doi-10-1-mine"
