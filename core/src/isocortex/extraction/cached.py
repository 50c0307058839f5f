"""Activations of a model on a set of stimuli: from the cache, or extracted into it under a lock."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocortex.activations.folder import ActivationFolder
from isocortex.activations.layer_names import choose_layers
from isocortex.activations.reductions import parse_reduction
from isocortex.catalogue.cards import ANY_MODALITY
from isocortex.errors import ModalityError, shorten
from isocortex.extraction import extractor as extraction, in_use
from isocortex.extraction.chance import seeded
from isocortex.extraction.hearing import heard
from isocortex.extraction.steadiness import Steadiness
from isocortex.files import disk as store
from isocortex.files.core_content import digest_core
from isocortex.files.digests import digest_of, short
from isocortex.files.file_store import copy_file
from isocortex.files.interruption import removed_after
from isocortex.files.leftovers import owner, sweep
from isocortex.files.locks import locked
from isocortex.files.sealed import believed, read_sealed, write_sealed
from isocortex.progress import Stopwatch

if TYPE_CHECKING:
    from isocortex.activations.layer import Activations
    from isocortex.catalogue.cards import ModelCard, Variant
    from isocortex.data.stimuli import StimulusSet
    from isocortex.interfaces import LoadedModel, ModelPlugin
    from isocortex.progress import Reporter


class Uncached:
    """One temporary folder for activations that have no key; it is made when it is needed and deleted on exit."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._kept = contextlib.ExitStack()

    def folder(self, name: str) -> Path:
        """The folder of one extraction, for as long as this is open."""
        if self._folder is None:
            made = store.scratch_folder() / f"uncached-{owner()}"
            self._folder = self._kept.enter_context(removed_after(made))
            made.mkdir(parents=True)
        return self._folder / short(name)

    def __enter__(self) -> Uncached:
        return self

    def __exit__(self, *raised: object) -> None:
        self._kept.close()
        self._folder = None


@dataclass(frozen=True)
class Extraction:
    """A model variant on a set of stimuli, with a reduction.

    Attributes
    ----------
    device
        Where the model runs.
    reporter
        Told how far the extraction is.
    watch
        Counts the time as the phase "extract".
    batch_size
        Stimuli per batch; None: chosen by core.
    """

    model: ModelPlugin
    variant: Variant
    stimuli: StimulusSet
    reduction: str
    device: str
    reporter: Reporter
    watch: Stopwatch
    batch_size: int | None = None

    def __post_init__(self) -> None:
        parse_reduction(self.reduction)  # an unknown step is told before the model is loaded

    @cached_property
    def key(self) -> str | None:
        """A digest of contents; None: not to be kept.

        Equal keys give equal values, and equal bytes on one kind of machine with one number of threads and one batch
        size: other ones change last bits, and are no part of the key.
        """
        model_digest = self.model.digest(self.variant)
        if model_digest is None:
            return None
        device, card = self.device.partition(":")[0], self.model.card
        core, hears = digest_core("activations"), [card.sample_rate, card.resampler, card.random]
        return digest_of([core, model_digest, self.stimuli.digest, self.reduction, device, hears])

    @property
    def name(self) -> str:
        """``model@variant``."""
        return f"{self.model.card.id}@{self.variant}"

    @property
    def folder(self) -> Path | None:
        """Where the activations are kept; None: nowhere."""
        return None if self.key is None else store.cache_folder() / "activations" / short(self.key)

    @contextlib.contextmanager
    def in_folder(
        self, patterns: Sequence[str] = (), uncached: Uncached | None = None
    ) -> Generator[tuple[Path, dict[str, Activations]]]:
        """The folder of the layers that match, and their activations.

        What has no key lies in ``uncached``, where that is given, and is found there again; else it is deleted on exit.
        """
        if self.folder is not None:
            yield self.folder, self.kept_layers(patterns, self.folder)
            return
        with Uncached() if uncached is None else contextlib.nullcontext(uncached) as kept:
            folder = kept.folder(self._asked)
            yield folder, self.kept_layers(patterns, folder)

    @property
    def _asked(self) -> str:
        """A digest of names, which tells the models of one run apart; contents may change from run to run."""
        card, variant = self.model.card, self.variant.model_dump()
        return digest_of(
            [card.package, card.id, self.model.part, variant, self.stimuli.digest, self.reduction, self.device]
        )

    def kept_layers(self, patterns: Sequence[str], folder: Path) -> dict[str, Activations]:
        """Activations in a folder; the model is not loaded where all of them are stored."""
        if self.key is not None:
            in_use.mark(self.key)
        for above in (store.cache_folder(), folder.parent):
            sweep(above)
        what = f"the extraction of {self.name} on {self.stimuli.id}"
        with lock(self.key or digest_of(str(folder)), what, self.reporter), self.watch.phase("extract"):
            sweep(folder, deep=True)
            kept = ActivationFolder(folder, self.stimuli.ids, extraction.CHUNK_SIZE, self.key or self._asked)
            found = self._stored(tuple(patterns), kept) or self._extracted(tuple(patterns), kept)
        self.reporter.warn([text for layer in found.values() for text in layer.warnings])
        return found

    def in_memory(self, patterns: Sequence[str] = ()) -> dict[str, Activations]:
        """Activations that are kept nowhere; for few stimuli."""
        steadiness = Steadiness(self.name, warnings=list(self.model.fits(self.stimuli, self.reduction)))
        with self._loaded() as loaded, self.watch.phase("extract"):
            layers = choose_layers(patterns, loaded.layers, loaded.find, self.name)
            return extraction.activations_in_memory(
                loaded,
                heard(self.stimuli, self.model.card),
                layers,
                reduction=self.reduction,
                batch_size=self.batch_size,
                steadiness=steadiness,
            )

    def _stored(self, patterns: tuple[str, ...], kept: ActivationFolder) -> dict[str, Activations]:
        """The layers that the patterns stand for, where all of them are there and whole."""
        known = believed(_selection(patterns, kept.folder))
        own = known.get("key") == kept.key and known.get("patterns") == list(patterns)
        names = [str(name) for name in known["layers"]] if own else []
        if not kept.described or any(kept.missing(names, chunk) for chunk in range(kept.n_chunks)):
            return {}
        with contextlib.suppress(OSError):  # when they were used last; another one's cache may be read-only
            os.utime(kept.folder)
        return {name: kept.open(name) for name in names}

    def _extracted(self, patterns: tuple[str, ...], kept: ActivationFolder) -> dict[str, Activations]:
        name = self.name

        def progress(done: int, total: int, computed: bool) -> None:
            if computed:
                self.reporter.step(f"{name} on {self.stimuli.id}: extracted chunk", done, total)

        said = self.model.fits(self.stimuli, self.reduction)
        with self._loaded() as loaded:
            layers = choose_layers(patterns, loaded.layers, loaded.find, name)
            self._tell_damage(kept, layers)
            kept.forget_damaged_warnings()
            package = self.model.card.package or "python"
            about = {**_about(name, self.stimuli, self.reduction), **self._said_of_training(), "package": package}
            kept.describe(about, layers)
            for text in said:
                kept.warn(text)
            found = extraction.extract(
                loaded,
                heard(self.stimuli, self.model.card),
                layers,
                reduction=self.reduction,
                folder=kept,
                batch_size=self.batch_size,
                progress=progress,
                name=name,
            )
        selection = {"key": kept.key, "patterns": list(patterns), "layers": layers}
        write_sealed(_selection(patterns, kept.folder), selection)
        return found

    def _said_of_training(self) -> dict[str, Any]:
        """What the model has learned from travels with its activations, so that they are not tested on it either."""
        trained_on = self.model.trained_on(self.variant)
        return {} if trained_on is None else {"trained_on": trained_on.model_dump(mode="json")}

    def _tell_damage(self, kept: ActivationFolder, layers: Sequence[str]) -> None:
        damaged = kept.damaged(layers)
        if damaged:
            self.reporter.line(
                f"{self.name} on {self.stimuli.id}: {len(damaged)} files in {kept.folder} are damaged, of another "
                f"place, or without checksum, and are made again: {shorten(damaged, 3)}"
            )

    @contextlib.contextmanager
    def _loaded(self) -> Generator[LoadedModel]:
        with self.model.load(self.variant, device=self.device) as loaded:
            yield seeded(loaded, self.model.card, self.variant)


def _about(name: str, stimuli: StimulusSet, reduction: str) -> dict[str, Any]:
    """What travels with activations, so that they are scored with no others than their stimuli and reduction."""
    contents = list(stimuli.content_digests)
    return {"model": name, "stimuli": stimuli.id, "reduction": reduction, "contents": contents}


def _selection(patterns: tuple[str, ...], folder: Path) -> Path:
    """The record of the layers that patterns stand for."""
    return folder / "selections" / f"{short(digest_of(patterns))}.json"


def check_modality(name: str, card: ModelCard, stimuli: StimulusSet) -> None:
    """Refuse stimuli that a model does not take.

    Raises
    ------
    ModalityError
        Model and stimuli are of different modalities.
    """
    found = stimuli.modality
    if ANY_MODALITY not in (found, card.modality) and found != card.modality:
        raise ModalityError(f"{name!r} takes {card.modality}, but the stimuli are {found}.")


def copy_layers(folder: Path, layers: Sequence[str], target: Path) -> None:
    """Copy layers of a folder of activations; the copy names these alone, whatever else lies in the folder.

    What a killed process left of an earlier copy is removed.

    Raises
    ------
    StoreError
        The copy cannot be written.
    """
    sweep(target, deep=True)
    for name in map(store.folder_name, layers):
        for source in sorted((folder / name).iterdir()):
            if not source.name.startswith("."):
                copy_file(source, target / name / source.name)
    state, warnings = read_sealed(folder / "warnings.json")
    if state == "whole":
        write_sealed(target / "warnings.json", warnings)
    write_sealed(target / "activations.json", {**believed(folder / "activations.json"), "layers": list(layers)})


def lock(key: str, what: str, reporter: Reporter) -> AbstractContextManager[None]:
    """Wait for others that do the same work; where no lock can be had, the work is done twice and nothing breaks.

    Parameters
    ----------
    what
        The work, for whoever has to wait for it.
    reporter
        Told that it is waited for.
    """
    return locked(store.cache_folder() / "locks" / f"{short(key)}.lock", what, reporter.line)
