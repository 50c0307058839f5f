"""Small networks of every family: the real classes and the real code, with few units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocortex.catalogue.cards import ModelCard
from isocortex.data.stimuli import Stimulus, StimulusSet

#: tables of architectures.toml; every size is small, every switch is that of a published network
TINY = """
[wav2vec2]
family = "wav2vec2"
[wav2vec2.config]
hidden_size = 16
num_hidden_layers = 3
num_attention_heads = 2
intermediate_size = 24
hidden_act = "gelu"
initializer_range = 0.02
layer_norm_eps = 1e-5
feat_extract_norm = "group"
feat_extract_activation = "gelu"
conv_dim = [8, 8, 8, 8, 8, 8, 8]
conv_stride = [5, 2, 2, 2, 2, 2, 2]
conv_kernel = [10, 3, 3, 3, 3, 2, 2]
conv_bias = false
num_conv_pos_embeddings = 8
num_conv_pos_embedding_groups = 2
do_stable_layer_norm = false
mask_time_prob = 0.05
mask_feature_prob = 0.0
[wav2vec2.features]
sampling_rate = 16000
do_normalize = true

[wav2vec2-stable]
like = "wav2vec2"
[wav2vec2-stable.config]
feat_extract_norm = "layer"
conv_bias = true
do_stable_layer_norm = true

[conformer-relative]
like = "wav2vec2-stable"
family = "wav2vec2-conformer"
[conformer-relative.config]
hidden_act = "swish"
conv_depthwise_kernel_size = 31
position_embeddings_type = "relative"
max_source_positions = 50
rotary_embedding_base = 10000

[conformer-rotary]
like = "conformer-relative"
[conformer-rotary.config]
position_embeddings_type = "rotary"

[hubert]
like = "wav2vec2"
family = "hubert"
[hubert.config]
feat_proj_layer_norm = true
conv_pos_batch_norm = false

[wavlm]
like = "wav2vec2"
family = "wavlm"
[wavlm.config]
num_buckets = 20
max_bucket_distance = 40
[wavlm.features]
do_normalize = false

[whisper]
family = "whisper"
[whisper.config]
d_model = 16
encoder_layers = 2
encoder_attention_heads = 2
encoder_ffn_dim = 24
num_mel_bins = 20
max_source_positions = 150
activation_function = "gelu"
init_std = 0.02
[whisper.features]
sampling_rate = 16000
feature_size = 20
chunk_length = 3
hop_length = 160
n_fft = 400

[spectrogram]
family = "audio-spectrogram-transformer"
[spectrogram.config]
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 24
hidden_act = "gelu"
initializer_range = 0.02
layer_norm_eps = 1e-12
qkv_bias = true
patch_size = 16
frequency_stride = 10
time_stride = 10
max_length = 256
num_mel_bins = 36
num_labels = 5
[spectrogram.features]
sampling_rate = 16000
num_mel_bins = 36
max_length = 256
do_normalize = true
mean = -4.2677393
std = 4.5689974
"""
_CONVOLUTIONS = ("feature_extractor.conv_layers.*", "feature_projection")
_STABLE = (*_CONVOLUTIONS, "encoder.layers.*", "encoder.layer_norm")
_LAYERS = {
    **dict.fromkeys(("wav2vec2-stable", "conformer-relative", "conformer-rotary"), _STABLE),
    "whisper": ("encoder.conv1", "encoder.conv2", "encoder.layers.*", "encoder.layer_norm"),
    "spectrogram": ("embeddings.patch_embeddings", "encoder.layers.*.output.dense", "classifier.dense"),
}


def layers_of(name: str) -> tuple[str, ...]:
    """The default layers of a small network, as the rows of its family have them."""
    return _LAYERS.get(name, (*_CONVOLUTIONS, "encoder.layer_norm", "encoder.layers.*"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the architectures of the small networks, as a package has one."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "architectures.toml").write_text(TINY, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Callable[[str], Any]:
    """Makes the plugin of a small network by its name."""

    def make(name: str) -> Any:
        from isocortex_wav2vec2.models import SpeechNetwork

        card = ModelCard(
            id=f"tiny/{name}",
            object="isocortex_wav2vec2.models:SpeechNetwork",
            modality="audio",
            sample_rate=16000,
            layers=layers_of(name),
            variants=("random", "pretrained", "permuted", "file"),
            folder=tiny_folder,
            package="isocortex-wav2vec2",
            weights=f"hf:tiny/{name}",
            options={"architecture": name},
        )
        return SpeechNetwork(card)

    return make


@pytest.fixture(scope="session")
def sounds() -> Callable[..., StimulusSet]:
    """Makes sounds of given durations in s; those of one place are the same whatever the others are."""

    def make(*durations: float, rate: float = 16_000.0) -> StimulusSet:
        made = {}
        for place, duration in enumerate(durations):
            stream = np.random.default_rng(place)
            array = 0.1 * stream.standard_normal(round(duration * rate))
            made[f"s{place}"] = Stimulus(f"s{place}", "audio", array.astype(np.float32), rate)
        return StimulusSet("sounds", "audio", made)

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Saves a model of transformers, and the settings of its input, as save_pretrained does."""

    def make(model: Any, features: dict[str, Any] | None = None, *, name: str = "saved", safe: bool = True) -> Path:
        import json

        from isocortex_wav2vec2.families import quiet

        folder = tmp_path / name
        with quiet():
            model.save_pretrained(folder)
        if not safe:
            import torch
            from safetensors.torch import load_file

            torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
            (folder / "model.safetensors").unlink()
        if features is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(features))
        return folder

    return make
