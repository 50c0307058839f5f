"""An untrained CochCNN9 on real sounds and responses against an independent implementation; skipped without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_nh2015")
pytest.importorskip("isocortex_metrics")

from isocortex.extraction.extractor import activations_in_memory  # noqa: E402
from isocortex.loading.by_name import load_dataset, load_metric, load_model  # noqa: E402
from isocortex.loading.resolver import resolver  # noqa: E402
from isocortex.scoring.contract import Preparation, Rules  # noqa: E402
from isocortex.scoring.summary import by_region  # noqa: E402

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("cochcnn9")]

COMPONENTS = ("lowfreq", "highfreq", "envsounds", "pitch", "speech", "music")
#: R² of single layers by the protocol of Tuckute et al. 2023, from an independent network, front end and regression
#: whose weights were drawn by torch's default initialisation after seed 0
INDEPENDENT = {
    "relu0": (0.504, 0.387, 0.207, 0.111, 0.046, 0.100),
    "maxpool0": (0.677, 0.633, 0.236, 0.430, 0.220, 0.191),
    "maxpool1": (0.773, 0.683, 0.345, 0.582, 0.513, 0.273),
    "relu4": (0.770, 0.671, 0.408, 0.612, 0.456, 0.304),
    "avgpool": (0.761, 0.732, 0.443, 0.624, 0.517, 0.319),
    "relufc": (0.764, 0.728, 0.417, 0.627, 0.401, 0.300),
}


def test_untrained_layers_predict_the_components_as_an_independent_implementation_does(
    realdata: Path, isocortex: Any
) -> None:
    done = isocortex("fetch", "-b", "NH2015comp.tuckute2023", "--from", str(realdata / "nh2015"))
    assert done.returncode == 0, done.stderr
    dataset, card = load_dataset("NH2015comp"), resolver(offline=True).benchmark_card("NH2015comp.tuckute2023")
    with load_model("cochcnn9-word@random:0") as model:
        layers = activations_in_memory(model, dataset.stimuli, list(INDEPENDENT), reduction=card.reduction)
    comparison = load_metric(card.metric).against(
        dataset, settings=card.settings, seed=0, preparation=Preparation(Rules.of(card, 0))
    )
    for layer, expected in INDEPENDENT.items():
        found = by_region(comparison, comparison.score_all({layer: layers[layer]}))
        values = [found[component].value for component in COMPONENTS]
        np.testing.assert_allclose(values, expected, atol=6e-4, err_msg=layer)
