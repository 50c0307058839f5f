"""The rows: what they say is what the libraries say, and what the networks are."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_vision")

from isocortex.activations import match_layers  # noqa: E402
from isocortex.catalogue.cards import ModelCard, read_card  # noqa: E402
from isocortex.catalogue.rows import Catalogue, is_pattern, package_that_offers  # noqa: E402
from isocortex.errors import UnknownIDError  # noqa: E402
from isocortex.results import Result  # noqa: E402
from isocortex.testing import check_manifest  # noqa: E402
from isocortex_vision.commitments import commitments, committed_values  # noqa: E402
from isocortex_vision.empty_network import construct_empty  # noqa: E402
from isocortex_vision.hooks import isocortex_doctor  # noqa: E402
from isocortex_vision.layer_shapes import find_layers  # noqa: E402
from isocortex_vision.torchvision_import import describe_torchvision, import_torchvision  # noqa: E402

pytestmark = pytest.mark.xdist_group("vision")

TORCHVISION = "isocortex_vision.torchvision_model:TorchvisionModel"
#: in the gate; ``make test-all`` takes all
SAMPLE = (
    *("alexnet", "mnasnet0_5", "regnet_y_400mf", "googlenet", "vit_b_32"),
    *("resnet50.imagenet1k_v2", "fcn_resnet50", "CORnet-S", "microsoft/cvt-13"),
)


def cards() -> dict[str, ModelCard]:
    """ID → card of the rows that are no families."""
    rows = [row for row in Catalogue.discover().of_kind("model") if row.package == "isocortex-vision"]
    return {row.id: read_card(row) for row in rows if not is_pattern(row.id)}  # type: ignore[misc]


def test_the_manifest_is_sound() -> None:
    assert {outcome.status for outcome in check_manifest("isocortex_vision")} == {"passed"}


def test_every_network_of_torchvision_is_a_row_with_torchvisions_own_numbers() -> None:
    """A new release with another network, other weights or other numbers fails here."""
    models = import_torchvision().models
    expected: dict[tuple[str, str], Any] = {}
    for module, measure in ((models, "acc@1"), (models.segmentation, "miou")):
        for name in models.list_models(module=module):
            for weights in models.get_model_weights(name):
                [metrics] = weights.meta["_metrics"].values()
                expected[name, weights.name] = (
                    weights.url,
                    weights.meta["num_params"],
                    None if math.isnan(metrics[measure]) else round(metrics[measure] / 100, 5),
                    weights.transforms.keywords.get("crop_size", weights.transforms.keywords.get("resize_size")),
                )
    found: dict[tuple[str, str], Any] = {}
    for name, card in cards().items():
        if card.object == TORCHVISION:
            network = name.partition(".")[0]
            first = next(iter(models.get_model_weights(network))).name
            key = network, str(card.options.get("weights", first))
            assert key not in found, key
            score = card.tags.get("top1", card.tags.get("miou"))
            found[key] = (card.weights, card.parameters, score, card.tags["input_size"])
    assert found == expected
    assert len({network for network, _ in found}) >= 86


def check(name: str, plugin: Callable[..., Any]) -> None:
    """Build a row without contents: its parameters are those of the card, and its layers exist."""
    made = plugin(name)
    network, sight = construct_empty(made.build).eval(), made.sight()
    assert {parameter.device.type for parameter in network.parameters()} == {"meta"}, name
    assert sum(parameter.numel() for parameter in network.parameters()) == made.card.parameters, name

    def inputs(n_images: int, device: str) -> Any:
        return sight.fed(torch.empty(n_images, 3, sight.chosen.height, sight.chosen.width, device=device))

    layers = find_layers(network, inputs)
    assert all(math.prod(shape.shape) > 0 for shape in layers.shapes.values()), name
    assert [pattern for pattern in made.card.layers if not match_layers(pattern, layers.shapes)] == [], name
    *_, last = layers.shapes.values()  # what observers of 16 categories are made of
    assert (math.prod(last.shape) == 1000) == (not name.startswith(("fcn", "deeplab", "lraspp"))), name
    known = list(commitments(name)) if name in COMMITTED else []
    assert {one.layer for one in known} <= set(layers.shapes), name


COMMITTED = ("alexnet", "resnet50", "convnext_tiny", "CORnet-S", "microsoft/cvt-13", "microsoft/cvt-w24-384-22k")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_row_is_the_network_that_it_describes(name: str, plugin: Callable[..., Any]) -> None:
    check(name, plugin)


@pytest.mark.long
def test_every_row_is_the_network_that_it_describes(plugin: Callable[..., Any]) -> None:
    rows = cards()
    assert len(rows) >= 129
    for name in rows:
        check(name, plugin)


def test_cornet_s_has_the_published_number_of_parameters() -> None:
    """53.4 million (Kubilius et al. 2019, table 1); the exact number follows from the sizes that the paper gives."""
    assert cards()["CORnet-S"].parameters == pytest.approx(53_400_000, rel=0, abs=50_000)


def test_brainscores_identifiers_are_other_names_of_rows() -> None:
    catalogue = Catalogue.discover()
    for alias, name in {
        "resnet50_v1": "resnet50",
        "resnet_50_v1": "resnet50",
        "vgg_19": "vgg19",
        "cvt_cvt-w24-384-in22k_finetuned-in1k_4": "microsoft/cvt-w24-384-22k",
        "cornet-s": "CORnet-S",
    }.items():
        assert catalogue.find("model", alias).id == name
        assert package_that_offers("model", name) == "isocortex-vision"
    assert all(package_that_offers("model", name) == "isocortex-vision" for name in cards())


def test_a_commitment_is_read_off_the_curve() -> None:
    curve = [{"name": "IT.output#0", "value": 0.4}, {"name": "IT.output#1", "value": 0.5}]
    summary = {"statistic": "r", "target": "pooled", "value": 0.5, "layers": curve}
    result = Result.model_construct(model="CORnet-S", regions={"IT": _summary(summary), "FFA": _summary(summary)})
    assert committed_values(result) == {"IT": ("IT.output#0", 0.4)}
    assert committed_values(result, start_ms=190) == {"IT": ("IT.output#1", 0.5)}
    with pytest.raises(UnknownIDError, match=r"resnet50"):
        commitments("resnet5")


def _summary(fields: dict[str, Any]) -> Any:
    from isocortex.scoring.summary import LayerValue, Summary

    made = Summary.model_construct(**fields)
    made.layers = [LayerValue(**layer) for layer in fields["layers"]]
    return made


def test_listing_imports_neither_torch_nor_torchvision() -> None:
    code = (
        "import sys; from isocortex.catalogue.rows import Catalogue; "
        "names = [row.id for row in Catalogue.discover().rows];"
        "assert {'alexnet', 'timm/*'} <= set(names);"
        "heavy = ('torch', 'torchvision', 'numpy', 'timm', 'isocortex_vision');"
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_torchvision_is_used_beside_a_torch_without_its_operators() -> None:
    torchvision = import_torchvision()
    assert isocortex_doctor() == describe_torchvision()
    boxes, scores = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1)
    if torchvision.extension._has_ops():
        assert "with its compiled operators" in describe_torchvision()
        assert torchvision.ops.nms(boxes, scores, 0.5).tolist() == [0]
    else:
        assert "without its compiled operators" in describe_torchvision()
        with pytest.raises((NotImplementedError, RuntimeError), match=r"nms|custom C"):
            torchvision.ops.nms(boxes, scores, 0.5)
