"""The rows: what they say is what the networks are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("isocortex_wav2vec2")

from isocortex.activations.layer_names import match_layers  # noqa: E402
from isocortex.catalogue.cards import ModelCard, read_card  # noqa: E402
from isocortex.catalogue.rows import Catalogue, package_that_offers  # noqa: E402
from isocortex.loading.resolver import resolver  # noqa: E402
from isocortex.testing import check_manifest  # noqa: E402
from isocortex_wav2vec2.families import build_network, family_named, import_transformers  # noqa: E402

pytestmark = pytest.mark.xdist_group("wav2vec2")

#: parameters of the encoders, from the pages and papers of the networks; where these round, so is the tolerance
PUBLISHED = {
    "facebook/wav2vec2-base": (94_371_712, 0),
    "facebook/wav2vec2-large-lv60": (315_438_720, 0),
    "facebook/hubert-base-ls960": (94_371_712, 0),
    "microsoft/wavlm-base": (94_381_936, 0),
    "microsoft/wavlm-large": (315_453_120, 0),
    "facebook/wav2vec2-conformer-rope-large": (593_000_000, 1_000_000),
    "facebook/wav2vec2-conformer-rel-pos-large": (618_000_000, 1_000_000),
    "MIT/ast-finetuned-audioset-10-10-0.4593": (86_600_000, 50_000),
}
#: parameters of Whisper with its decoder, and the size of its vocabulary
WHISPER = {
    "tiny": (37_760_640, 51_865),
    "base": (72_593_920, 51_865),
    "small": (241_734_912, 51_865),
    "medium": (763_857_920, 51_865),
    "large": (1_543_304_960, 51_865),
    "large-v3": (1_543_490_560, 51_866),
}


def cards() -> dict[str, ModelCard]:
    rows = [row for row in Catalogue.discover().of_kind("model") if row.package == "isocortex-wav2vec2"]
    return {row.id: read_card(row) for row in rows}  # type: ignore[misc]


def architecture_of(name: str) -> Any:
    return resolver(offline=True).model(name).architecture()


def test_the_manifest_is_sound() -> None:
    assert {outcome.status for outcome in check_manifest("isocortex_wav2vec2")} == {"passed"}


def test_every_row_is_the_network_that_it_describes() -> None:
    found, built = cards(), {}
    assert len(found) >= 30
    for name, card in found.items():
        key = card.options["architecture"]
        if key not in built:
            architecture = architecture_of(name)
            with torch.device("meta"):
                built[key] = architecture, build_network(family_named(architecture.family), architecture.config)
        architecture, network = built[key]
        family = family_named(architecture.family)
        assert sum(parameter.numel() for parameter in network.parameters()) == card.parameters, name
        if name in PUBLISHED:
            expected, tolerance = PUBLISHED[name]
            assert card.parameters == pytest.approx(expected, rel=0, abs=tolerance), name
        layers = [layer for module, _ in network.named_modules() if module and (layer := family.layer(module))]
        n_layers = architecture.config.get("num_hidden_layers", architecture.config.get("encoder_layers"))
        for pattern in card.layers:
            assert len(match_layers(pattern, layers)) == {
                "feature_extractor.conv_layers.*": 7,
                "encoder.layers.*": n_layers,
                "encoder.layers.*.output.dense": n_layers,
            }.get(pattern, 1), (name, pattern)
        assert card.tags["family"] == architecture.family
        assert card.weights == f"hf:{name}"
        assert package_that_offers("model", name) == "isocortex-wav2vec2"


def test_the_norm_before_the_layers_stands_before_them_and_the_one_behind_behind() -> None:
    """In networks that normalise after each part, ``encoder.layer_norm`` is what goes into the first layer."""
    for name, card in cards().items():
        if "encoder.layer_norm" not in card.layers:
            continue
        architecture = architecture_of(name)
        behind = architecture.family in ("whisper", "wav2vec2-conformer") or architecture.config["do_stable_layer_norm"]
        order = card.layers.index("encoder.layer_norm") > card.layers.index("encoder.layers.*")
        assert order == behind, name


def test_whole_whisper_has_the_published_number_of_parameters() -> None:
    whisper = import_transformers("models.whisper.modeling_whisper")
    configurations = import_transformers("models.whisper.configuration_whisper")
    for name, (n_parameters, n_words) in WHISPER.items():
        config = dict(architecture_of(f"openai/whisper-{name}").config)
        decoder = {key.replace("encoder", "decoder"): value for key, value in config.items() if "encoder" in key}
        whole = configurations.WhisperConfig(**config, **decoder, vocab_size=n_words, max_target_positions=448)
        with torch.device("meta"):
            network = whisper.WhisperModel(whole)
        assert sum(parameter.numel() for parameter in network.parameters()) == n_parameters, name


def test_listing_imports_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from isocortex.catalogue.rows import Catalogue; "
        "names = [row.id for row in Catalogue.discover().rows];"
        "assert 'openai/whisper-tiny.en' in names;"
        "heavy = ('torch', 'numpy', 'transformers', 'huggingface_hub', 'isocortex_wav2vec2');"
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
