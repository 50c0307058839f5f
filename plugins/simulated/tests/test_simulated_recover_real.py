"""Recovery on the stimuli of a real benchmark: 165 natural sounds and six components."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocortex.files import FileStore, read_specs
from isocortex.loading.resolver import resolver
from isocortex_simulated.identification import run
from isocortex_simulated.identification.plan import Question

MODELS = ("log-mel", "category", "noise@random:0..1")


@pytest.mark.long
def test_families_that_differ_are_told_apart_on_real_sounds_and_none_stands_in_for_another(
    realdata: Path, tmp_path: Path
) -> None:
    for kind, name in (("dataset", "NH2015comp"), ("stimuli", "natsound165")):
        card = resolver(offline=True).card(kind, name)
        assert FileStore().adopt(card.package, read_specs(card.folder, card.files), realdata / "nh2015") == []
    question = Question("NH2015comp.ridge", levels=(0.75,), draws=(("", 60),))
    found = run.recovered(question, MODELS, tmp_path, lambda _: None).answered["ridge", 0.75]
    assert found.right_family.n == 240
    assert found.right_family.value >= 0.95
    assert found.right_family.low >= 0.90
    left_out = found.named_left_out()
    assert left_out is not None
    assert left_out.value <= 0.05
    assert set(found.families_told_apart) == {"spectrogram", "category", "noise"}
