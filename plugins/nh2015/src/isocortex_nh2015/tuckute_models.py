"""The networks of Tuckute et al. 2023: their names in the release, layers in order, and the keys of their files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from isocortex.errors import DataError, shorten

PERMUTED: Final = "_randnetw"


@dataclass(frozen=True)
class ReleasedModel:
    """A network of the release.

    Attributes
    ----------
    code
        Name of its folder.
    shown
        Name in the figures of the paper.
    keys
        Layer, in processing order, to the name under which its activations are stored; empty where every layer of the
        file is taken as it is.
    """

    code: str
    shown: str
    keys: Mapping[str, str]


_FAMILIES: Final = {
    "Kell2018": (
        "CochCNN9",
        ("relu0", "maxpool0", "relu1", "maxpool1", "relu2", "relu3", "relu4", "avgpool", "relufc"),
    ),
    "ResNet50": ("CochResNet50", ("conv1_relu1", "maxpool1", "layer1", "layer2", "layer3", "layer4", "avgpool")),
}
_TASKS: Final = {
    "word": "Word", "speaker": "Speaker", "music": "Genre", "audioset": "AudioSet", "multitask": "MultiTask",
}  # fmt: skip
_IN_HOUSE = re.compile(rf"({'|'.join(_FAMILIES)})({'|'.join(_TASKS)})((?:Clean)?(?:Seed\d+)?)")
#: layers that a file of one network calls by another name
_ALIASES: Final = {"ResNet50music": {"conv1_relu1": "relu1"}}


def _transformer(block: str, count: int) -> dict[str, str]:
    return {f"Encoder_{number}": f"{block}--{number - 1}" for number in range(1, count + 1)}


def _same(*layers: str) -> dict[str, str]:
    return {layer: layer for layer in layers}


_ENCODERS: Final = tuple(f"Encoder_{number}" for number in range(1, 13))
_POOL: Final = "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
_VGG: Final = (
    "ReLU_1", "MaxPool2d_1", "ReLU_2", "MaxPool2d_2", "ReLU_3", "ReLU_4", "MaxPool2d_3", "ReLU_5", "ReLU_6",
    "MaxPool2d_4", "ReLU_7", "ReLU_8", "ReLU_9",
)  # fmt: skip
_OTHERS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "spectemp": ("SpectroTemporal", _same("avgpool")),
    "wav2vec": ("Wav2Vec2", _same("Embedding", *_ENCODERS, "Final")),
    "S2T": ("S2T", _same("Embedding", *_ENCODERS)),
    "AST": (
        "AST",
        {
            "Embedding": "Conv2d(1, 768, kernel_size=(16, 16), stride=(10, 10))--0",
            **_transformer("Linear(in_features=3072, out_features=768, bias=True)", 12),
            "Final": "Final",
        },
    ),
    "sepformer": (
        "SepFormer",
        {
            "Embedding": "Conv1d(1, 256, kernel_size=(16,), stride=(8,), bias=False)--0",
            **_transformer("Linear(in_features=1024, out_features=256, bias=True)", 32),
        },
    ),
    "VGGish": (
        "VGGish",
        {
            layer: f"{'ReLU()' if layer.startswith('ReLU') else _POOL}--{int(layer.rpartition('_')[2]) - 1}"
            for layer in _VGG
        },
    ),
    "ZeroSpeech2020": ("VQ-VAE", {f"ReLU_{number + 1}": f"ReLU(inplace=True)--{number}" for number in range(5)}),
    "DS2": (
        "DeepSpeech2",
        {
            **{f"Tanh_{number + 1}": f"Hardtanh(min_val=0, max_val=20)--{number}" for number in range(2)},
            "LSTM_1-cell": "LSTM(1312, 1024, bidirectional=True)--0--cell",
            **{
                f"LSTM_{number + 2}-cell": f"LSTM(1024, 1024, bidirectional=True)--{number}--cell"
                for number in range(4)
            },
            "Linear": "Linear(in_features=1024, out_features=29, bias=False)--0",
        },
    ),
    "DCASE2020": (
        "DCASE2020",
        {
            "GRU_1": "GRU(64, 256, batch_first=True, bidirectional=True)--0--hidden",
            "GRU_2": "GRU(512, 256, batch_first=True, bidirectional=True)--0--hidden",
            "GRU_3": "GRU(512, 256, batch_first=True, bidirectional=True)--1--hidden",
            "GRU_4": "GRU(512, 256, batch_first=True)--0--hidden",
            "Linear": "Linear(in_features=256, out_features=4367, bias=True)--0",
        },
    ),
    "metricGAN": (
        "MetricGAN",
        {
            "LSTM_1-cell": "LSTM(257, 200, num_layers=2, batch_first=True, bidirectional=True)--l1--cell",
            "LSTM_2-cell": "LSTM(257, 200, num_layers=2, batch_first=True, bidirectional=True)--l2--cell",
            "Linear_1": "Linear(in_features=400, out_features=300, bias=True)--0",
            "Linear_2": "Linear(in_features=300, out_features=257, bias=True)--0",
        },
    ),
}


def released_model(code: str) -> ReleasedModel:
    """The network of that name; one that the paper does not have keeps its name and all layers of its files.

    Parameters
    ----------
    code
        Name of a folder of ``model_actv``, for example "Kell2018wordClean" or "wav2vec".

    Examples
    --------
    >>> model = released_model("ResNet50musicSeed2")
    >>> model.shown, list(model.keys)[:2]
    ('CochResNet50-GenreSeed2', ['conv1_relu1', 'maxpool1'])
    >>> released_model("DCASE2020").keys["GRU_4"]
    'GRU(512, 256, batch_first=True)--0--hidden'
    """
    match = _IN_HOUSE.fullmatch(code)
    if match is not None:
        family, layers = _FAMILIES[match[1]]
        aliases = _ALIASES.get(code, {})
        return ReleasedModel(
            code, f"{family}-{_TASKS[match[2]]}{match[3]}", {layer: aliases.get(layer, layer) for layer in layers}
        )
    shown, keys = _OTHERS.get(code, (code, {}))
    return ReleasedModel(code, shown, keys)


def find_key(wanted: str, keys: Iterable[str], where: str) -> str:
    """The key under which a file stores a layer, however the version of torch that wrote it prints modules.

    A key is ``<module>--<k>[--hidden|--cell]``: k counts the modules that print alike. Where the published key is
    absent, the one is taken that has the same class, numbers, direction and count: ``ReLU(inplace=True)--3`` for
    ``ReLU()--3``, but neither ``ReLU()--4`` nor a GRU of another size.

    Parameters
    ----------
    wanted
        The published key.
    keys
        Those of the file.
    where
        File and layer, for the message of an error.

    Raises
    ------
    DataError
        If no key fits, or several do.

    Examples
    --------
    >>> find_key("ReLU()--1", ["ReLU(inplace=True)--0", "ReLU(inplace=True)--1"], "demo")
    'ReLU(inplace=True)--1'
    """
    names = list(keys)
    if wanted in names:
        return wanted
    fitting = [name for name in names if _signature(name) == _signature(wanted)]
    if len(fitting) != 1:
        raise DataError(
            f"{where}: expected the key {wanted!r}, or one like it; found {shorten(fitting) or 'none'} that fits, "
            f"among {shorten(names, 8)}."
        )
    return fitting[0]


_Signature = tuple[str, frozenset[float], bool, tuple[str, ...]]


def _signature(key: str) -> _Signature:
    module, *counted = key.split("--")
    numbers = frozenset(float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", module))
    return module.partition("(")[0], numbers, "bidirectional=True" in module, tuple(counted)
