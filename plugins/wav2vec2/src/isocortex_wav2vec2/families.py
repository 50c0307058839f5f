"""The families of networks: their classes in transformers, and one name for each part in every version of it.

transformers names some parts differently in its major versions 4 and 5, and checkpoints put the encoder below a prefix
beside heads. Here each tensor and each module has one name: that of the bare encoder of version 4, its layers below
``encoder.layers``.
"""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError, PluginError, suggest

if TYPE_CHECKING:
    from torch import nn

_TIME_LAST, _TIME_FIRST = ("channel", "time"), ("time", "channel")
_WAVEFORM_AXES: Mapping[str, Sequence[str]] = {
    "feature_extractor**": _TIME_LAST,
    "encoder.pos_conv_embed.**": _TIME_LAST,
    "encoder.layers.*.conv_module.layer_norm": _TIME_FIRST,
    "encoder.layers.*.conv_module.*": _TIME_LAST,
    "**": _TIME_FIRST,
}
#: modules that give nothing of a stimulus: containers, positions, weights that are computed from others
_NO_LAYERS = re.compile(
    r"feature_extractor\.conv_layers|encoder\.layers|audio_spectrogram_transformer|"
    r".*(\.parametrizations|embed_positions|rel_attn_embed|linear_pos)(\..*)?"
)
_WEIGHT_NORM = (
    (r"\.weight_g$", ".parametrizations.weight.original0"),
    (r"\.weight_v$", ".parametrizations.weight.original1"),
)
_AST_NAMES = (
    (r"^audio_spectrogram_transformer\.(?=.)", ""),
    (r"^(encoder\.layer|layers)(?=\.|$)", "encoder.layers"),
    (r"\.attention\.([qkv])_proj(?=\.|$)", r".attention.attention.\1"),
    (r"\.attention\.attention\.q(?=\.|$)", ".attention.attention.query"),
    (r"\.attention\.attention\.k(?=\.|$)", ".attention.attention.key"),
    (r"\.attention\.attention\.v(?=\.|$)", ".attention.attention.value"),
    (r"\.attention\.o_proj(?=\.|$)", ".attention.output.dense"),
    (r"\.mlp\.fc1(?=\.|$)", ".intermediate.dense"),
    (r"\.mlp\.fc2(?=\.|$)", ".output.dense"),
)
#: parts of the spectrogram transformer that both major versions have
_AST_LAYERS = re.compile(
    r"embeddings(\.patch_embeddings(\.projection)?)?|layernorm|classifier(\.layernorm|\.dense)?|"
    r"encoder\.layers\.\d+(\.layernorm_(before|after)|\.attention(\.attention\.(query|key|value)|\.output\.dense)?|"
    r"\.intermediate\.dense|\.output\.dense)?"
)


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes
    ----------
    module
        Below ``transformers.models``.
    config, network
        Names of the classes.
    prefixes
        What checkpoints with heads put before the names of the encoder; what lies elsewhere is a head.
    axes
        Layer or pattern → names of its axes after the first.
    kept
        Prefixes of heads that belong to the network all the same.
    names
        Patterns and what they become, in this order.
    constants
        Prefixes of tensors, by the network's own names, that no training changes.
    optional
        Tensors that checkpoints may lack or have beside the network's: not used when it runs, or constant.
    """

    module: str
    config: str
    network: str
    prefixes: tuple[str, ...]
    axes: Mapping[str, Sequence[str]]
    kept: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = _WEIGHT_NORM
    constants: tuple[str, ...] = ()
    optional: tuple[str, ...] = ("masked_spec_embed",)

    def canonical(self, name: str) -> str:
        """The name of a tensor or module that is the same in every version.

        Examples
        --------
        >>> FAMILIES["audio-spectrogram-transformer"].canonical("layers.3.mlp.fc2.weight")
        'encoder.layers.3.output.dense.weight'
        >>> FAMILIES["whisper"].canonical("layers.0.fc1")
        'encoder.layers.0.fc1'
        """
        for pattern, replacement in self.names:
            name = re.sub(pattern, replacement, name)
        return name

    def layer(self, module: str) -> str | None:
        """The name of a module as a layer; None for one that gives nothing of a stimulus.

        Examples
        --------
        >>> FAMILIES["wav2vec2"].layer("encoder.layers.0"), FAMILIES["wav2vec2"].layer("encoder.layers")
        ('encoder.layers.0', None)
        """
        name = self.canonical(module)
        if _NO_LAYERS.fullmatch(name) or (self.names is _AST_NAMES and not _AST_LAYERS.fullmatch(name)):
            return None
        return name

    def layer_axes(self, config: Mapping[str, Any]) -> dict[str, Sequence[str]]:
        """Layer or pattern → names of its axes after the first; the first pattern that matches counts.

        Examples
        --------
        >>> next(iter(FAMILIES["wav2vec2"].layer_axes({"feat_extract_norm": "layer"}).values()))
        ('time', 'channel')
        """
        # a normalisation over channels stands behind a transposition, one over time does not
        first = _TIME_FIRST if config.get("feat_extract_norm") == "layer" else _TIME_LAST
        return {"feature_extractor.conv_layers.*.layer_norm": first, **self.axes}

    def encoder_names(self, names: Iterable[str]) -> dict[str, str]:
        """Name in a checkpoint → canonical name, for what belongs to the network; heads are left out.

        Examples
        --------
        >>> FAMILIES["hubert"].encoder_names(["hubert.encoder.layer_norm.bias", "lm_head.bias"])
        {'hubert.encoder.layer_norm.bias': 'encoder.layer_norm.bias'}
        """
        listed = list(names)
        for prefix in self.prefixes:
            if any(name.startswith(prefix) for name in listed):
                inside = {name: name.removeprefix(prefix) for name in listed if name.startswith(prefix)}
                inside |= {name: name for name in listed if name.startswith(self.kept) and self.kept}
                return {name: self.canonical(bare) for name, bare in inside.items()}
        return {name: self.canonical(name) for name in listed}


FAMILIES: Mapping[str, Family] = {
    "wav2vec2": Family("wav2vec2", "Wav2Vec2Config", "Wav2Vec2Model", ("wav2vec2.",), _WAVEFORM_AXES),
    "wav2vec2-conformer": Family(
        "wav2vec2_conformer",
        "Wav2Vec2ConformerConfig",
        "Wav2Vec2ConformerModel",
        ("wav2vec2_conformer.",),
        _WAVEFORM_AXES,
        constants=("encoder.embed_positions",),
        optional=("masked_spec_embed", "encoder.embed_positions.inv_freq"),
    ),
    "hubert": Family("hubert", "HubertConfig", "HubertModel", ("hubert.",), _WAVEFORM_AXES),
    "wavlm": Family("wavlm", "WavLMConfig", "WavLMModel", ("wavlm.",), _WAVEFORM_AXES),
    "whisper": Family(
        "whisper",
        "WhisperConfig",
        "WhisperEncoder",
        ("model.encoder.", "encoder."),
        {"encoder.conv*": _TIME_LAST, "**": _TIME_FIRST},
        names=((r"^(?=.)", "encoder."),),
        constants=("embed_positions",),
        optional=("encoder.embed_positions.weight",),  # sinusoids, which some converters leave out
    ),
    "audio-spectrogram-transformer": Family(
        "audio_spectrogram_transformer",
        "ASTConfig",
        "ASTForAudioClassification",
        ("audio_spectrogram_transformer.",),
        {
            "embeddings.patch_embeddings.projection": ("channel", "frequency", "time"),
            "classifier**": ("unit",),
            "**": _TIME_FIRST,
        },
        kept=("classifier.",),
        names=_AST_NAMES,
        optional=(),
    ),
}


def family_named(name: str) -> Family:
    """A family by the ``model_type`` of transformers.

    Raises
    ------
    PluginError
        There is no such family.

    Examples
    --------
    >>> family_named("hubert").network
    'HubertModel'
    """
    if name not in FAMILIES:
        raise PluginError(f"{name!r} is no family of networks.{suggest(name, FAMILIES)} Known: {', '.join(FAMILIES)}.")
    return FAMILIES[name]


def build_network(family: Family, config: Mapping[str, Any]) -> nn.Module:
    """Construct a network: its class with its configuration, in evaluation mode, without training's random omissions.

    The generator is used as by the plain constructor, so that a seed gives the same weights.

    Raises
    ------
    DataError
        The configuration makes no network.
    PluginError
        transformers is not installed or does not import.
    """
    with quiet():
        configurations = import_transformers(f"models.{family.module}.configuration_{family.module}")
        networks = import_transformers(f"models.{family.module}.modeling_{family.module}")
        try:
            network: nn.Module = getattr(networks, family.network)(getattr(configurations, family.config)(**config))
        except Exception as error:  # transformers checks a configuration here and there, or not at all
            raise DataError(
                f"The configuration makes no {family.network} ({type(error).__name__}: {error}). Fetch it again."
            ) from error
    settings: Any = network.config
    for name in ("layerdrop", "encoder_layerdrop"):
        if hasattr(settings, name):
            setattr(settings, name, 0.0)
    if hasattr(settings, "apply_spec_augment"):
        settings.apply_spec_augment = False
    network.register_forward_pre_hook(_without_lengths, with_kwargs=True)
    return network.eval()


def _without_lengths(network: Any, arguments: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The lengths of sounds go with the input, but are nothing that a network knows."""
    del network
    return arguments, {name: value for name, value in named.items() if name != "lengths"}


def import_transformers(module: str) -> Any:
    """Import a module of transformers.

    A torchvision that does not fit torch keeps transformers from importing, although speech needs none of it: such a
    one is hidden meanwhile.

    Raises
    ------
    PluginError
        transformers is not installed, or does not import.
    """
    try:
        with _without_broken_torchvision():
            return importlib.import_module(f"transformers.{module}")
    except Exception as error:  # whatever the installed version and its own optional packages raise
        advice = "Expected transformers >= 4.57: pip install --upgrade 'transformers>=4.57'."
        if _is_broken("torchvision"):
            advice = "torchvision does not fit torch: install the one that belongs to it, or none."
        raise PluginError(f"transformers cannot be imported ({type(error).__name__}: {error}). {advice}") from error


@contextmanager
def _without_broken_torchvision() -> Generator[None]:
    hidden = "torchvision" not in sys.modules and _is_broken("torchvision")
    if hidden:
        sys.modules["torchvision"] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        if hidden:
            del sys.modules["torchvision"]


@lru_cache
def _is_broken(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    except Exception:  # what compiled operators raise that were built for another torch
        return True
    return False


@contextmanager
def quiet() -> Generator[None]:
    """Let transformers say nothing but errors meanwhile."""
    logging = import_transformers("utils.logging")
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)
