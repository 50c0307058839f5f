"""A network of NeMo, built from a configuration and made ready to listen: nothing random is left in it.

NeMo is imported here, when a network is built, and nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
import warnings
from collections.abc import Generator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from isocortex.errors import DataError, PluginError, SettingsError
from isocortex_nemo.layers import is_one_of

#: sections of a configuration that no network needs to listen; training data are looked up where they are given
_TRAINING = ("train_ds", "validation_ds", "test_ds", "optim", "init_from_nemo_model", "init_from_pretrained_model")
#: class → what its heads are, for layers that do not run by themselves
CLASSES = (
    "EncDecCTCModel",
    "EncDecCTCModelBPE",
    "EncDecRNNTModel",
    "EncDecRNNTBPEModel",
    "EncDecHybridRNNTCTCModel",
    "EncDecHybridRNNTCTCBPEModel",
    "EncDecMultiTaskModel",
    "SpeechEncDecSelfSupervisedModel",
    "EncDecFrameClassificationModel",
)


@lru_cache(maxsize=1)
def import_nemo() -> Any:
    """The module ``nemo.collections.asr.models``, imported quietly; it takes seconds and 0.7 GB.

    Raises
    ------
    PluginError
        It does not import.
    """
    try:
        with quiet(), _without_broken_torchvision():
            models = importlib.import_module("nemo.collections.asr.models")
            # the logger alone: NeMo's own setLevel silences the handlers of everybody else, too
            logging.getLogger("nemo_logger").setLevel(logging.CRITICAL)
    except Exception as error:  # whatever NeMo and what it stands on raise
        raise PluginError(
            f"NeMo cannot be imported ({type(error).__name__}: {error}). Expected nemo_toolkit 2.7.3 or 3.x with its "
            "extra asr: pip install 'isocortex-nemo[nemo]'."
        ) from error
    return models


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Let NeMo and what it stands on say nothing meanwhile; warnings and logs are shown as before afterwards."""
    before = logging.root.manager.disable
    handlers = [*logging.root.handlers, *logging.getLogger("nemo_logger").handlers]
    levels = [(handler, handler.level) for handler in handlers]  # NeMo sets those of everybody
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        for handler, level in levels:
            handler.setLevel(level)


@contextlib.contextmanager
def _without_broken_torchvision() -> Generator[None]:
    """Hide a torchvision that was built for another torch: NeMo's libraries import it, and speech needs none of it."""
    import importlib.metadata

    if "torchvision" in sys.modules or not _is_broken("torchvision"):
        yield
        return
    requirements: Any = importlib.import_module("lightning_utilities.core.imports")
    version_of = requirements._version

    def hidden(name: str) -> str:
        if name == "torchvision":
            raise importlib.metadata.PackageNotFoundError(name)
        return version_of(name)

    requirements._version = hidden
    sys.modules["torchvision"] = None  # pyright: ignore[reportArgumentType]
    try:
        yield
    finally:
        requirements._version = version_of
        del sys.modules["torchvision"]


def _is_broken(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    except Exception:  # what compiled operators raise that were built for another torch
        return True
    return False


def build(config: Mapping[str, Any], folder: Path, where: Path) -> Any:
    """Build the network of an unpacked ``.nemo`` file, with the weights that its constructor draws.

    Parameters
    ----------
    config
        As ``archives.read_config`` gives it, every name in it looked at.
    folder
        The unpacked file: tokenizers are read there.
    where
        The file, for messages.

    Raises
    ------
    DataError
        The configuration makes no network.
    PluginError
        Its class is none of those that are known here.
    """
    name = str(config.get("target", "")).rpartition(".")[2]
    if name not in CLASSES:
        raise PluginError(f"{where} is a {name or 'network without a class'}; known are {', '.join(CLASSES)}.")
    kind: Any = getattr(import_nemo(), name)
    connector = _connector(folder)
    try:
        with quiet():
            return kind.restore_from(
                restore_path=str(folder),
                override_config_path=_trimmed(config),
                map_location="cpu",
                save_restore_connector=connector,
            )
    except Exception as error:  # each class of NeMo raises its own for what it cannot be built from
        first = " ".join(str(error).split())[:300]
        raise DataError(f"{where} makes no {name} ({type(error).__name__}: {first}).") from error


def _connector(folder: Path) -> Any:
    """NeMo's own way to build a network from an unpacked file, without its way to read the weights."""
    from nemo.core.connectors.save_restore_connector import SaveRestoreConnector

    class Unweighted(SaveRestoreConnector):
        @staticmethod
        def _load_state_dict_from_disk(model_weights: Any, map_location: Any = None) -> dict[str, Any]:
            del model_weights, map_location
            return {}

        def load_instance_with_state_dict(self, instance: Any, state_dict: Any, strict: bool) -> None:
            del state_dict, strict
            instance._set_model_restore_state(is_being_restored=False)

    connector: Any = Unweighted()
    connector.model_extracted_dir = str(folder)
    return connector


def _trimmed(config: Mapping[str, Any]) -> Any:
    """The configuration without what is for training, and without a second network that only times words."""
    from omegaconf import OmegaConf

    kept = {name: value for name, value in config.items() if name not in _TRAINING}
    if str(config.get("target", "")).endswith("EncDecMultiTaskModel"):
        kept["restore_timestamps_model"] = False
    return OmegaConf.create(kept)


def make_ready(model: Any, look_ahead_ms: int | None = None) -> Any:
    """Evaluation mode, no dither, no padding, no masks, and the look-ahead that is asked for.

    Constructors leave a network in training mode; the self-supervised class masks the spectrogram in evaluation mode,
    too.

    Raises
    ------
    SettingsError
        The network has no such look-ahead.
    """
    model.eval()
    featurizer = getattr(model.preprocessor, "featurizer", None)
    for name in ("dither", "pad_to"):
        if hasattr(featurizer, name):
            setattr(featurizer, name, 0)
    if hasattr(model, "apply_masking"):
        model.apply_masking = False
    if look_ahead_ms is not None:
        _set_look_ahead(model, look_ahead_ms)
    return model


def step_ms(model: Any) -> float:
    """Duration of one step of the encoder in ms."""
    stride = float(model.cfg.preprocessor.get("window_stride", 0.01))
    return 1000 * stride * int(getattr(model.encoder, "subsampling_factor", 1))


def _set_look_ahead(model: Any, look_ahead_ms: int) -> None:
    contexts = [list(context) for context in getattr(model.encoder, "att_context_size_all", [])]
    by_time = {round(context[1] * step_ms(model)): context for context in contexts if context[1] >= 0}
    if look_ahead_ms not in by_time:
        raise SettingsError(
            f"look_ahead_ms is {look_ahead_ms}; this network has {', '.join(map(str, by_time)) or 'none to choose'}."
        )
    with quiet():
        model.encoder.set_default_att_context_size(by_time[look_ahead_ms])


def batching_of(model: Any) -> Literal["any", "single"]:
    """ "any" where padding leaks nowhere, else "single".

    Convolutions that do not mask (``conv_mask = false``) see the padding of a shorter clip; attention within chunks
    and global tokens were never compared.
    """
    encoder = model.encoder
    blocks = [part for part in encoder.modules() if is_one_of(part, "JasperBlock")]
    leaks = not all(block.conv_mask for block in blocks)
    local = getattr(encoder, "self_attention_model", "rel_pos") == "rel_pos_local_attn"
    return "single" if leaks or local or getattr(model, "crop_or_pad", None) is not None else "any"
