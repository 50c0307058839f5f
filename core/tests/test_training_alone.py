"""A training that no run conducts: its journal lasts until it has ended, and its device is the one that is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocortex.errors import UsageError
from isocortex.training import training_alone


def journals(own_folders: Path) -> list[Path]:
    return sorted((own_folders / "cache" / "fitted").glob("*.journal"))


def test_a_training_that_fails_goes_on_and_one_that_ends_leaves_nothing(
    own_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        with training_alone("1f", "x on y", device="cpu") as alone:
            alone.journal.part("a", 2).keep({"step": 1}, loss=0.5)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(journals(own_folders)) == 1
    with training_alone("2e", "another", device="cpu", quiet=True) as alone:
        assert alone.journal.part("a", 2).n_done == 0
    with training_alone("1f", "x on y", device="cpu") as alone:
        assert alone.device == "cpu"
        part = alone.journal.part("a", 2)
        assert (part.n_done, part.state) == (1, {"step": 1})
        part.keep({"step": 2}, loss=0.25)
    assert not journals(own_folders)
    said = capsys.readouterr().err
    assert "x on y: a, loss 0.5; about" in said
    assert "x on y: epoch 2/2" in said
    assert "another" not in said


def test_a_device_that_is_not_there_is_refused() -> None:
    with (
        pytest.raises(UsageError, match="There is no device 'cuda:77' here"),
        training_alone("1f", "x", device="cuda:77"),
    ):
        pass
