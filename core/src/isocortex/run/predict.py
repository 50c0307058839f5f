"""Responses to other stimuli, with the map that a result kept and the model that it was made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from isocortex.catalogue.cards import Variant
from isocortex.catalogue.rows import Catalogue
from isocortex.devices import device_of
from isocortex.errors import StoreError, UsageError
from isocortex.extraction.cached import Extraction, check_modality
from isocortex.files.disk import home_expanded, write_atomic
from isocortex.files.file_store import FileStore
from isocortex.loading.model_sum import ModelSum
from isocortex.loading.resolver import Resolver
from isocortex.progress import Reporter, Stopwatch
from isocortex.results.kept_mapping import read_mapping
from isocortex.results.result import Result, read_result
from isocortex.results.scores_file import write_netcdf

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.interfaces import ModelPlugin


def predict(
    result: Path, stimuli: str, *, device: str = "auto", batch_size: int | None = None, offline: bool = False
) -> xr.DataArray:
    """Predict responses to stimuli with the map that a result kept.

    Parameters
    ----------
    result
        Folder of the result, or its ``result.json``.
    stimuli
        ID of a stimulus set, or a folder of sounds or images.

    Returns
    -------
    Dims ("stimulus", "neuroid"), as ``LinearMapping.predict`` gives them; attrs say what made them.

    Raises
    ------
    StoreError
        No map was kept, or the model is not the one that it was fitted to.
    ModalityError, DataError, UsageError
        Stimuli that the model does not take, or of which it gives other units.
    """
    path = home_expanded(result)
    path = path / "result.json" if path.is_dir() else path
    found = read_result(path)
    mapping = read_mapping(path.parent, found)
    reporter = Reporter()
    resolver = Resolver(Catalogue.discover(), FileStore(offline=offline, reporter=reporter))
    variant = Variant.parse(found.variant)
    model = resolver.model(found.model)
    _refuse_another(found, model, variant)
    folder = home_expanded(Path(stimuli))
    chosen = resolver.stimuli(f"folder:{folder}" if folder.is_dir() else stimuli)
    check_modality(found.model, model.card, chosen)
    on = device_of(device, accelerated=model.accelerated)
    with contextlib.ExitStack() as stack:
        layers: dict[str, Activations] = {}
        for part, own, names, space in _parts(model, variant, tuple(mapping.layers)):
            made = Extraction(part, own, chosen, found.reduction, on, reporter, Stopwatch(), batch_size=batch_size)
            _, given = stack.enter_context(made.in_folder(names))
            placed = given.values() if space is None else [layer.in_space(space) for layer in given.values()]
            layers |= {layer.layer: layer for layer in placed}
        predicted = mapping.predict(layers)
    about = {"model": f"{found.model}@{found.variant}", "benchmark": found.benchmark, "result": found.digest}
    return predicted.assign_attrs({**about, "stimuli": chosen.id, "reduction": found.reduction})


def _parts(
    model: ModelPlugin, variant: Variant, layers: tuple[str, ...]
) -> Iterator[tuple[ModelPlugin, Variant, tuple[str, ...], str | None]]:
    """The model with its layers, or those that it is the sum of, each with its own layers and feature space."""
    if not isinstance(model, ModelSum):
        yield model, variant, layers, None
        return
    for space, (part, own) in model.parts.items():
        yield part, own, model.layers_of(space, layers), space


def _refuse_another(found: Result, model: ModelPlugin, variant: Variant) -> None:
    """Refuse a model of which it is not known that it is the one that was fitted."""
    name, before, now = f"{found.model}@{found.variant}", found.digests.get("model"), model.digest(variant)
    if before is None or now is None:
        raise StoreError(f"{name} has no digest: nothing says whether it is the model that the map was fitted to.")
    if before != now:
        raise StoreError(
            f"{name} is not the model that the map was fitted to: its digest is {now[:8]}… and was {before[:8]}…, by "
            "other code, weights or libraries. Score it again with --keep mapping."
        )


def write_prediction(path: Path, predicted: xr.DataArray) -> None:
    """Write predictions as netCDF or CSV, by the ending of the name; whole or not at all.

    Raises
    ------
    UsageError
        Another ending.
    StoreError
        It cannot be written.
    """
    if path.suffix == ".nc":
        write_netcdf(path, predicted.to_dataset(name="prediction"))
    elif path.suffix == ".csv":
        table = predicted.to_dataframe(name="prediction").reset_index(drop=True)
        first = ["stimulus_id", "neuroid_id"]
        table = table[[*first, *(name for name in table.columns if name not in (*first, "prediction")), "prediction"]]
        text = table.to_csv(index=False, lineterminator="\n").encode()
        write_atomic(path, lambda file: file.write(text))
    else:
        raise UsageError(f"{path} ends in {path.suffix or 'nothing'!r}. Expected FILE.nc or FILE.csv.")
