"""What a recogniser writes of a sound: on a network that is made for it and thrown away.

NeMo's ``transcribe`` leaves parts of a network in training mode and changes running statistics, so that it never runs
on a network that is listened to.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.errors import DataError, UsageError
from isocortex.models import load_state
from isocortex_nemo.archives import read_config, unpacked
from isocortex_nemo.layers import PROMPT
from isocortex_nemo.models import read_weights
from isocortex_nemo.network import build, quiet
from isocortex_nemo.targets import refuse_unknown
from isocortex_nemo.versions import installed_version, refuse_absent, refuse_other_version

if TYPE_CHECKING:
    from isocortex.interfaces import Variant
    from isocortex.typing import Array
    from isocortex_nemo.models import NemoModel

#: classes that write nothing
_SILENT = ("SpeechEncDecSelfSupervisedModel", "EncDecFrameClassificationModel")


def transcribe(plugin: NemoModel, variant: Variant, sound: Array) -> str:
    """What a checkpoint writes of (n_samples,) at 16 kHz.

    Raises
    ------
    UsageError
        The variant is untrained, or the network writes nothing.
    DataError, FilesError, PluginError
        As for loading it.
    """
    if variant.kind not in ("pretrained", "file"):
        raise UsageError(f"{plugin.card.id}@{variant} has no trained weights; what it would write says nothing.")
    refuse_other_version(plugin.card)
    path = plugin.file_of(variant)
    with unpacked(path) as folder:
        config = read_config(folder, path)
        plugin.refuse_other_checkpoint(config, path)
        refuse_absent(plugin.card)
        refuse_unknown(config, str(path), str(installed_version()))
        kind = str(config.get("target", "")).rpartition(".")[2]
        if kind in _SILENT:
            raise UsageError(f"{path} is a {kind}, which writes nothing.")
        model = build(config, folder, path)
        load_state(model, read_weights(folder, path))
        return _written(model, sound, path)


def _written(model: Any, sound: Array, path: Path) -> str:
    import torch

    model.eval()
    options: dict[str, Any] = {"batch_size": 1, "num_workers": 0, "verbose": False}
    if hasattr(model, "prompt"):
        options |= PROMPT
    try:
        with quiet(), torch.inference_mode():
            found = model.transcribe([sound], **options)
    except Exception as error:  # whatever a decoder of NeMo raises
        raise DataError(f"{path} did not write anything ({type(error).__name__}: {error}).") from error
    while isinstance(found, list | tuple):  # a pair of best and all, a list of sounds
        found = found[0]
    return str(getattr(found, "text", found))
