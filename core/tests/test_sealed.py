"""A sealed record is believed only as it was written, whatever was done to its bytes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from isocortex.errors import StoreError
from isocortex.files.sealed import SEAL, believed, read_sealed, sealed, unsealed, write_sealed, write_sealed_if_possible

CONTENT = {"layer": "conv1", "n_units": 3, "units": ["x", "ü", "\ud800"], "share": 0.1, "none": None}


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.none() | st.text(max_size=4) | st.integers(), min_size=1))
def test_a_record_comes_back(content: dict[str, Any]) -> None:
    content.pop(SEAL, None)
    if content:
        assert unsealed(sealed(content)) == ("whole", content)
        assert {name: value for name, value in json.loads(sealed(content)).items() if name != SEAL} == content


def test_the_seal_is_sha256_over_all_before_it() -> None:
    text = sealed(CONTENT)
    body, _, seal = text.rpartition(b',\n "sha256": ')
    assert json.loads(b"{" + b'"s": ' + seal)["s"] == hashlib.sha256(body).hexdigest()


def test_every_bit_that_flips_is_found() -> None:
    whole = sealed(CONTENT)
    for place in range(len(whole)):
        for bit in range(8):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            state, content = unsealed(bytes(changed))
            # a flip in the name of the seal leaves a record without one, which nobody believes either
            assert state in ("damaged", "older"), (place, bit)
            assert content == {} or SEAL not in content


def test_every_cut_and_every_addition_is_found() -> None:
    whole = sealed(CONTENT)
    assert {unsealed(whole[:length]).state for length in range(len(whole))} == {"damaged"}
    assert {unsealed(whole + more).state for more in (b"\n", b" ", b"\0", whole)} <= {"damaged", "older"}
    assert unsealed(b" " + whole).state == "damaged"


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"3", b"\xff\xfe", b"[" * 100_000, b'{"a": NaN'])
def test_what_is_no_record_is_damaged(content: bytes) -> None:
    assert unsealed(content) == ("damaged", {})


def test_a_record_of_a_version_without_seals_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_sealed(tmp_path / "a.json") == ("older", {"a": 1})
    assert believed(tmp_path / "a.json") == {}
    assert read_sealed(tmp_path / "b.json").state == "absent"
    assert read_sealed(tmp_path).state == "damaged"


def test_a_record_needs_entries_and_leaves_the_name_of_the_seal(tmp_path: Path) -> None:
    for content in ({}, {SEAL: "a"}):
        with pytest.raises(ValueError, match="needs entries"):
            sealed(content)
    (tmp_path / "file").write_text("")
    write_sealed_if_possible(tmp_path / "file" / "a.json", CONTENT)
    with pytest.raises(StoreError):
        write_sealed(tmp_path / "file" / "a.json", CONTENT)
