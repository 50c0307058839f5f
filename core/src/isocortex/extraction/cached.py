"""Activations of a model on a set of stimuli: from the cache, or extracted into it under a lock."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.errors import UsageError
from isocortex.extraction import extractor as extraction
from isocortex.files import disk as store
from isocortex.files.digests import digest_of, short
from isocortex.results.provenance import Stopwatch
from isocortex.scoring.layer_choice import choose_layers

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.catalogue.cards import Variant
    from isocortex.data.stimuli import StimulusSet
    from isocortex.interfaces import LoadedModel, ModelPlugin
    from isocortex.progress import Reporter
    from isocortex.run.plan import RunConfig


#: what the drivers of NVIDIA (also on Jetson and below Windows) and AMD put there on Linux
_DRIVERS = ("/dev/nvidiactl", "/dev/nvmap", "/dev/dxg", "/dev/kfd")


def device_of(device: str, model: ModelPlugin | None = None) -> str:
    """The device that is meant: "auto" is an accelerator for models that use one, where there is one, else the CPU.

    Parameters
    ----------
    device
        "auto", "cpu", "cuda", "cuda:1", "mps".
    model
        None: what is meant for metrics, which "auto" leaves on the CPU.

    Raises
    ------
    UsageError
        There is no such device; the message names those that there are.

    Examples
    --------
    >>> device_of("auto")
    'cpu'
    """
    if device == "cpu" or (device == "auto" and (model is None or not model.accelerated or not _has_driver())):
        return "cpu"
    there = accelerators()
    if device == "auto":
        return there[0] if there else "cpu"
    if device not in there:
        known = " or ".join(["cpu", *there])
        why = "" if importlib.util.find_spec("torch") else "; accelerators need torch: pip install 'isocortex[torch]'"
        raise UsageError(f"There is no device {device!r} here. Use --device {known}, or auto{why}.")
    return device


@cache
def accelerators() -> tuple[str, ...]:
    """Accelerators of this machine as torch sees them, the best first."""
    if importlib.util.find_spec("torch") is None:
        return ()
    import torch

    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = ["cuda", *(f"cuda:{number}" for number in range(n_cuda))] if n_cuda else []
    return (*found, "mps") if torch.backends.mps.is_available() else tuple(found)


def _has_driver() -> bool:
    """Whether asking torch can be worth its import, which takes longer than finding a cached result."""
    return sys.platform != "linux" or any(Path(path).exists() for path in _DRIVERS)


def lock(key: str) -> AbstractContextManager[None]:
    """Wait for others that do the same work; where no lock can be had, the work is done twice and nothing breaks."""
    return store.locked(store.cache_folder() / "locks" / f"{short(key)}.lock")


@dataclass(frozen=True)
class Extraction:
    """A model variant on a set of stimuli, with a reduction.

    Attributes
    ----------
    config
        Device, batch size.
    reporter
        Told how far the extraction is.
    watch
        Counts the time as the phase "extract".
    """

    model: ModelPlugin
    variant: Variant
    stimuli: StimulusSet
    reduction: str
    config: RunConfig
    reporter: Reporter
    watch: Stopwatch

    @property
    def device(self) -> str:
        """Where the model runs."""
        return device_of(self.config.device, self.model)

    @cached_property
    def key(self) -> str | None:
        """A digest of contents; None: not to be kept.

        Equal keys give equal values, and equal bytes on one kind of machine with one number of threads and one batch
        size: other ones change last bits, and are no part of the key.
        """
        model_digest = self.model.digest(self.variant)
        if model_digest is None:
            return None
        device = self.device.partition(":")[0]
        versions = [extraction.VERSION, extraction.CHUNK_SIZE]
        return digest_of([*versions, model_digest, self.stimuli.digest, self.reduction, device])

    @contextlib.contextmanager
    def layers(self, patterns: Sequence[str] = ()) -> Generator[dict[str, Activations]]:
        """Activations of the layers that match; those that are not to be kept are deleted on exit."""
        if self.key is not None:
            yield self.kept_layers(patterns, store.cache_folder() / "activations" / short(self.key))
            return
        store.cache_folder().mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="uncached-", dir=store.cache_folder()))
        try:
            yield self.kept_layers(patterns, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def kept_layers(self, patterns: Sequence[str], folder: Path) -> dict[str, Activations]:
        """Activations in a folder; the model is not loaded where all of them are stored."""
        with lock(self.key or str(folder)), self.watch.phase("extract"):
            return self._stored(tuple(patterns), folder) or self._extracted(tuple(patterns), folder)

    def _stored(self, patterns: tuple[str, ...], folder: Path) -> dict[str, Activations]:
        kept = store.ActivationFolder(folder, self.stimuli.ids, extraction.CHUNK_SIZE)
        known = store.read_json(_selection(patterns, folder))
        names = [str(name) for name in known] if isinstance(known, list) else []
        if any(kept.missing(names, chunk) for chunk in range(kept.n_chunks)):
            return {}
        return {name: kept.open(name) for name in names}

    def _extracted(self, patterns: tuple[str, ...], folder: Path) -> dict[str, Activations]:
        name = f"{self.model.card.id}@{self.variant}"

        def progress(done: int, total: int, computed: bool) -> None:
            if computed:
                self.reporter.step(f"{name} on {self.stimuli.id}: extracted chunk", done, total)

        with self._loaded() as loaded:
            layers = choose_layers(patterns, loaded.layers, loaded.find, name)
            kept = store.ActivationFolder(folder, self.stimuli.ids, extraction.CHUNK_SIZE)
            kept.describe({"model": name, "stimuli": self.stimuli.id, "reduction": self.reduction}, layers)
            found = extraction.extract(
                loaded,
                self.stimuli,
                layers,
                reduction=self.reduction,
                folder=folder,
                batch_size=self.config.batch_size,
                progress=progress,
            )
        store.write_json(_selection(patterns, folder), layers)
        return found

    @contextlib.contextmanager
    def _loaded(self) -> Generator[LoadedModel]:
        with self.model.load(self.variant, device=self.device) as loaded:
            yield loaded


def _selection(patterns: tuple[str, ...], folder: Path) -> Path:
    """The record of the layers that patterns stand for."""
    return folder / "selections" / f"{short(digest_of(patterns))}.json"
