"""Tables of a folder: labels stay as they were written, and every cell that is no number is named."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from isocortex.errors import DataError
from isocortex.loading.folder_tables import read_lines, read_numbers, read_table

PLAIN = "stimulus_id,n1,n2\na,1.5,-2\nb,3e-2,.25\n"
LABELS = ["NA", "null", "nan", "None", "True", "007", "7", "1.0", "1", "1e5", "2020-01-01", "-", "<NA>", "a b", "é"]


def written(folder: Path, content: str | bytes, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.replace("\n", "\n\n").encode(),
        PLAIN.replace(",", ", ").replace(" n", "n").encode(),
        PLAIN.replace("1.5", '"1.5"').encode(),
    ],
    ids=["plain", "byte order mark", "utf-16", "windows", "old mac", "blank lines", "spaces", "quotes"],
)
def test_a_table_is_read_whichever_way_a_program_saves_it(tmp_path: Path, content: bytes) -> None:
    table = read_numbers(written(tmp_path, content))
    assert (table.stimulus_id, table.names, table.repetition) == (["a", "b"], ["n1", "n2"], None)
    assert table.values.tolist() == [[1.5, -2.0], [0.03, 0.25]]


def test_numbers_are_rounded_as_python_rounds_them(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(500) * 10.0 ** np.arange(-250, 250)
    rows = "".join(f"s{place},{value!r}\n" for place, value in enumerate(values.tolist()))
    assert read_numbers(written(tmp_path, "stimulus_id,n\n" + rows)).values[:, 0].tolist() == values.tolist()


@pytest.mark.parametrize("name", ["stimulus_id", "region", "category", "anything"])
def test_no_label_is_taken_for_a_number_a_gap_a_date_or_a_truth_value(tmp_path: Path, name: str) -> None:
    rows = "".join(f"id{place},{text}\n" for place, text in enumerate(LABELS))
    if name == "stimulus_id":
        assert read_table(written(tmp_path, "stimulus_id\n" + "\n".join(LABELS) + "\n")).index.tolist() == LABELS
        numbers = read_numbers(written(tmp_path, "stimulus_id,n\n" + "".join(f"{text},1\n" for text in LABELS)))
        assert numbers.stimulus_id == LABELS
    else:
        table = read_table(written(tmp_path, f"neuroid_id,{name}\n{rows}"), "neuroid_id")
        assert table[name].tolist() == LABELS


def test_letters_that_look_alike_are_one_letter(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "stimulus_id,category\ncafe\u0301,e\u0301te\u0301\n"))
    assert table.index.tolist() == ["caf\u00e9"]
    assert table["category"].tolist() == ["\u00e9t\u00e9"]


def test_positions_are_numbers_and_a_gap_in_an_unknown_column_is_missing(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "neuroid_id,x,note\na,1.5,\nb,-2,seen\n"), "neuroid_id")
    assert table["x"].tolist() == [1.5, -2.0]
    assert table["note"].isna().tolist() == [True, False]


BAD_NUMBERS = {
    "": "''",
    "n/a": "'n/a' in line 3, column 'n1'",
    "nan": "not finite",
    "inf": "not finite",
    "1e999": "'1e999'",
    "1_000": "'1_000'",
    "0x10": "'0x10'",
    "True": "'True'",
    "\u0661": "in line 3",
    "9007199254740993": "double precision holds",
    '"1,5"': "decimals with a point",
    '"1,234.5"': "thousands without a separator",
}


@pytest.mark.parametrize(("cell", "words"), BAD_NUMBERS.items(), ids=BAD_NUMBERS)
def test_a_cell_that_is_no_number_is_named(tmp_path: Path, cell: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_numbers(written(tmp_path, f"stimulus_id,n1\na,1\nb,{cell}\n"))


BAD_TABLES = {
    "semicolons": ("stimulus_id;n1\na;1,5\n", "is separated by semicolons"),
    "tabs": ("stimulus_id\tn1\na\t1\n", "is separated by tabs"),
    "pandas' index": (",stimulus_id,n1\n0,a,1\n", r"without a name \(number 1\).*index=False"),
    "pandas' name for it": ("Unnamed: 0,stimulus_id,n1\n0,a,1\n", r"without a name \(number 1\)"),
    "a comma at the end": ("stimulus_id,n1,\na,1,\n", r"without a name \(number 3\)"),
    "two of one name": ("stimulus_id,n1,n1\na,1,2\n", "columns of one name: n1"),
    "another name": ("Stimulus_ID,n1\na,1\n", "Call it 'stimulus_id'"),
    "a long row": ("stimulus_id,n1\na,1,2\n", "line 2: 3 cells, but the header names 2 columns"),
    "a short row": ("stimulus_id,n1,n2\na,1\n", "line 2: 2 cells"),
    "an open quote": ('stimulus_id,n1\n"a,1\n', "is no CSV"),
    "no ID": ("stimulus_id,n1\n,1\n", r"no 'stimulus_id' in 1 rows \(lines 2\)"),
    "no repetition": ("stimulus_id,repetition,n1\na,1,2\nb,,2\n", r"no 'repetition' in 1 rows \(lines 3\)"),
    "no rows": ("stimulus_id,n1\n", "a header and no rows"),
    "no columns": ("stimulus_id\na\n", "needs columns of numbers"),
    "nothing": ("", "is empty"),
    "a web page": ("<!DOCTYPE html><html>", "is a web page"),
    "Git LFS": ("version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS, a link"),
    "git-annex": ("/annex/objects/MD5E-s3--x.csv\n", "pointer of git-annex"),
    "latin-1": ("stimulus_id,né\na,1\n".encode("latin-1"), r"no text in utf-8 \(line 1\)"),
    "utf-16 without a mark": ("stimulus_id,n1\na,1\n".encode("utf-16-le"), "zero bytes"),
    "gzip": (gzip.compress(b"stimulus_id,n1\na,1\n"), "compressed by gzip"),
}


@pytest.mark.parametrize(("content", "words"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=words) as refused:
        read_numbers(path)
    assert str(path) in str(refused.value)


def test_a_workbook_a_folder_and_a_link_to_nothing_are_called_that(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "book.csv", "w") as book:
        book.writestr("xl/workbook.xml", "")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("../.git/annex/objects/not-here")
    for name, words in {"book": "Excel workbook", "folder": "Is a directory", "link": "a link of git-annex"}.items():
        with pytest.raises(DataError, match=words):
            read_numbers(tmp_path / f"{name}.csv")


def test_a_gap_in_a_label_is_refused_with_its_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no 'region' in 2 rows \(lines 3, 4\)"):
        read_table(written(tmp_path, "neuroid_id,region\na,A\nb,\nc, \n"), "neuroid_id")
    with pytest.raises(DataError, match="more than one row for 1 of its neuroid_ids: a"):
        read_table(written(tmp_path, "neuroid_id,region\na,A\na,B\n"), "neuroid_id")


def test_repetitions_are_numbered_or_named(tmp_path: Path) -> None:
    numbered = read_numbers(written(tmp_path, "stimulus_id,repetition,n\na,10,1\na,9,2\n"))
    assert numbered.repetition == [10, 9]
    named = read_numbers(written(tmp_path, "stimulus_id,n,repetition\na,1,first\na,2,second\n"))
    assert (named.repetition, named.names) == (["first", "second"], ["n"])


def test_lines_are_ids_with_their_spaces(tmp_path: Path) -> None:
    assert read_lines(written(tmp_path, "\ufeffalarm clock 1\r\nalarm clock 2\r\n")) == [
        "alarm clock 1",
        "alarm clock 2",
    ]
    with pytest.raises(DataError, match="empty lines: 2"):
        read_lines(written(tmp_path, "a\n\nb\n"))
