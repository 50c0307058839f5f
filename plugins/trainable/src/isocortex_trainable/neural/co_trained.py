"""``co-trained``: a known network with two heads, one for the names of objects and one for firing rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import DataError, PluginError
from isocortex.interfaces import LoadedModel, TrainableModel, Variant, digest_plugin
from isocortex.models import TorchModel, TorchRecipe
from isocortex.training import Fitted
from isocortex_trainable.neural.grid_search import Grid, search
from isocortex_trainable.neural.pictures import pictures, said_of_size, side_of
from isocortex_trainable.neural.rate_learner import RateLearner, arrays_of, as_state, as_tensor, rates_of
from isocortex_trainable.neural.rate_network import Architecture, scale_of_rates, set_scale, standardised

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from isocortex.data import StimulusSet
    from isocortex.training import Journal
    from isocortex.typing import Array
    from isocortex_trainable.learning.epochs import Loss

#: what networks of torchvision were trained with
COLOUR_MEAN, COLOUR_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
#: columns of stimuli that name an object, the first that is there
LABELS = ("object_name", "object", "category_name", "category")
#: largest side of pictures, where a row names none
SIDE = 224
RATES, OBJECTS = "output", "objects"


class CoTrained(TrainableModel):
    """A network of another package whose last layer is replaced by two heads, all of it trained.

    ``options`` of the row: ``backbone``, ID of a network that ends in a module ``fc``, such as torchvision's ResNets,
    with its variant (``resnet50@pretrained``; ``@random`` takes the seed of the training); ``side``, the largest side
    of pictures in pixels; ``label``, the column that names objects; ``grid``, with ``balances``: weights of the loss
    on rates beside that on objects, chosen inside the training part.
    """

    accelerated = True

    @property
    def grid(self) -> Grid:
        """What is tried inside the training part."""
        return Grid.model_validate(self.card.options.get("grid", {}))

    def _backbone(self, seed: int) -> str:
        name = str(self.card.options["backbone"])
        return f"{name}:{seed}" if name.endswith("@random") else name

    def digest(self, variant: Variant) -> str | None:
        """Digest over this package, the variant, and the network that training begins with."""
        import isocortex

        begins = isocortex.model_digest(self._backbone(variant.seed or 0))
        own = super().digest(variant)
        return None if begins is None or own is None else digest_plugin(self, own, begins)

    def fit(self, stimuli: StimulusSet, responses: xr.DataArray, *, seed: int, device: str, journal: Journal) -> Fitted:
        """Learn objects and responses of the training pictures together; labels of other pictures are not seen.

        Memory: the training pictures in 8 bits, the network four times (its gradient and what AdamW remembers), and
        what one batch leaves in it.

        Raises
        ------
        DataError
            No column names objects, all are one object, or every point of the grid diverged.
        FilesError
            The weights that training begins with are not here.
        """
        side = side_of(stimuli, int(self.card.options.get("side", SIDE)))
        names, objects = self._objects(stimuli)
        learner = CoLearner(self._backbone(seed), pictures(stimuli, side), rates_of(stimuli, responses), objects)
        found = search(learner, self.grid, stimuli.contents, seed=seed, device=device, journal=journal)
        settings = {
            "backbone": self._backbone(seed),
            "side": side,
            "neuroid_ids": [str(name) for name in responses["neuroid_id"].values],
            "objects": names,
            "seed": seed,
            "grid": self.grid.model_dump(),
            "chosen": found.chosen,
            "tried": found.tried,
        }
        return Fitted(arrays_of(found.network), settings, found.curves)

    def _objects(self, stimuli: StimulusSet) -> tuple[list[str], NDArray[np.int64]]:
        """Names of objects, sorted, and the number of each training picture's."""
        asked = self.card.options.get("label")
        wanted = LABELS if asked is None else (str(asked),)
        column = next((name for name in wanted if name in stimuli.table.columns), None)
        if column is None:
            raise DataError(
                f"{self.card.id} learns what pictures show, and needs a column {' or '.join(wanted)} of the stimuli; "
                f"found {', '.join(map(str, stimuli.table.columns)) or 'none'}."
            )
        labels = stimuli.table[column].astype(str).to_numpy()
        names, codes = np.unique(labels, return_inverse=True)
        if len(names) < 2:
            raise DataError(f"All {len(labels)} training pictures show {names[0]!r}: there is nothing to tell apart.")
        return [str(name) for name in names], codes.astype(np.int64)

    def open(self, fitted: Fitted, *, device: str) -> LoadedModel:
        """The network that was fitted: ``output`` has rates, ``objects`` what tells objects apart."""
        settings = fitted.settings
        rates, objects, side = list(settings["neuroid_ids"]), list(settings["objects"]), int(settings["side"])
        untrained = f"{str(settings['backbone']).partition('@')[0]}@random:0"
        recipe = TorchRecipe(
            build=lambda: two_headed(untrained, len(rates), len(objects)),
            preprocess=lambda batch: as_tensor(pictures(batch, side)),
            layers=(RATES,),
            axes={RATES: ("unit",), OBJECTS: ("unit",)},
            units={RATES: rates, OBJECTS: objects},
            weights=as_state(fitted.tensors),
            modality="image",
            batching="any",
        )
        return TorchModel(recipe, Variant(kind="pretrained"), device=device)

    def fits(self, stimuli: StimulusSet, reduction: str) -> Sequence[str]:
        """Say so where pictures are brought to another size."""
        del reduction
        said = said_of_size(stimuli, side_of(stimuli, int(self.card.options.get("side", SIDE))))
        return [] if said is None else [said]


class CoLearner(RateLearner):
    """How rates and objects are learned together: cross-entropy of objects + balance · squared error of rates.

    Parameters
    ----------
    backbone
        ``ID@variant`` of the network that training begins with.
    images, rates
        As for ``RateLearner``.
    objects
        (n_stimuli,) number of the object of each picture.
    """

    def __init__(self, backbone: str, images: NDArray[np.uint8], rates: Array, objects: NDArray[np.int64]) -> None:
        super().__init__(Architecture(), images, rates)
        self.backbone, self.objects = backbone, objects

    def build(self, rows: Array) -> nn.Module:
        """The network that training begins with, scaled for these training stimuli."""
        network = two_headed(self.backbone, self.rates.shape[1], int(self.objects.max()) + 1)
        _, mean, deviation = standardised(self.rates[rows])
        set_scale(network.output, mean, deviation)
        return network

    def targets(self, rows: Array) -> tuple[Array, ...]:
        """Standardised rates, and numbers of objects."""
        return (*super().targets(rows), self.objects[rows])

    def loss(self, point: Mapping[str, float]) -> Loss:
        """Cross-entropy of objects and, weighted by the balance, squared error of rates."""
        from torch.nn import functional

        def both(output: Mapping[str, Tensor], wanted: Sequence[Tensor]) -> Tensor:
            of_rates = ((output[RATES] - wanted[0]) ** 2).mean()
            return functional.cross_entropy(output[OBJECTS], wanted[1]) + point.get("balance", 1.0) * of_rates

        return both

    def rates_in(self, output: Mapping[str, Tensor]) -> Tensor:
        """The rates in what the network gives."""
        return output[RATES]


def two_headed(backbone: str, n_rates: int, n_objects: int) -> nn.Module:
    """A network whose module ``fc`` is replaced by two heads, ``output`` and ``objects``.

    Parameters
    ----------
    backbone
        ``ID@variant`` of a network that is installed.

    Raises
    ------
    PluginError
        It does not end in a linear module ``fc``.
    FilesError
        Its weights are not here.
    """
    import torch
    from torch import nn

    import isocortex

    with isocortex.load_model(backbone) as loaded:
        module = getattr(loaded, "module", None)
        head = getattr(module, "fc", None)
        if module is None or not isinstance(head, nn.Linear):
            raise PluginError(
                f"{backbone} cannot be given two heads: expected a network that ends in a linear module 'fc'."
            )

        class TwoHeaded(nn.Module):
            """Takes pictures (n, 3, side, side) uint8 and gives rates (n, n_rates) and objects (n, n_objects)."""

            colour_mean: torch.Tensor
            colour_std: torch.Tensor

            def __init__(self) -> None:
                super().__init__()
                for name, values in (("colour_mean", COLOUR_MEAN), ("colour_std", COLOUR_STD)):
                    self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1))
                self.backbone = module
                self.backbone.fc = nn.Identity()
                self.readout = nn.Linear(head.in_features, n_rates)
                self.output = scale_of_rates(n_rates)
                self.objects = nn.Linear(head.in_features, n_objects)

            def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
                features = self.backbone((images.float() / 255 - self.colour_mean) / self.colour_std)
                return {RATES: self.output(self.readout(features)), OBJECTS: self.objects(features)}

        return TwoHeaded().requires_grad_(True)
