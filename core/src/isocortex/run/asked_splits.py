"""``--splits``: stricter splits by name, and the stimuli of a data set that each of them leaves out of training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isocortex.data.stimulus_labels import labels_of_dataset
from isocortex.errors import SettingsError, UsageError, shorten
from isocortex.scoring.clusters import squared_distances, ward_clusters
from isocortex.scoring.left_out_splits import LeftOutSplits, left_out_splits
from isocortex.scoring.permutations import joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isocortex.activations.layer import Activations
    from isocortex.catalogue.cards import BenchmarkCard
    from isocortex.data.dataset import Dataset

#: the part that a data set declares itself: what ``OUT`` stands for in this column of its stimuli
OUT_OF_DISTRIBUTION, OUT_COLUMN, OUT = "out-of-distribution", "ood", "out"
_LEFT_OUT = re.compile(r"leave-(?P<column>[^=]+?)(=(?P<value>.+))?-out", re.DOTALL)
_CLUSTERS = re.compile(r"clusters:(?P<number>[0-9]+):(?P<model>.+)", re.DOTALL)
KNOWN = f"leave-COLUMN-out, leave-COLUMN=VALUE-out, {OUT_OF_DISTRIBUTION} or clusters:K:MODEL"


@dataclass(frozen=True)
class StricterSplits:
    """What is left out of training.

    Attributes
    ----------
    name
        As results call it.
    column, value
        Stimulus column of which each value is left out in turn, or this one alone.
    n_clusters, model
        So many clusters of stimuli by the features of a model, ``ID[@VARIANT]``; "" for none.

    Examples
    --------
    >>> StricterSplits.parse("leave-category-out").column, StricterSplits.parse("leave-split=val-out").value
    ('category', 'val')
    >>> StricterSplits.parse("clusters:5:pixels").model
    'pixels'
    """

    name: str
    column: str = ""
    value: str | None = None
    n_clusters: int = 0
    model: str = ""

    @classmethod
    def parse(cls, text: str) -> StricterSplits:
        """Read a name.

        Raises
        ------
        SettingsError
            It is none.
        """
        if text == OUT_OF_DISTRIBUTION:
            return cls(text, OUT_COLUMN, OUT)
        if found := _LEFT_OUT.fullmatch(text):
            return cls(text, found["column"], found["value"])
        if (found := _CLUSTERS.fullmatch(text)) and int(found["number"]) > 1:
            return cls(text, n_clusters=int(found["number"]), model=found["model"])
        raise SettingsError(f"Stricter splits are called {KNOWN}, with K clusters, 2 or more; found {text!r}.")

    def of(self, dataset: Dataset, group: str, features: Mapping[str, Activations] | None, seed: int) -> LeftOutSplits:
        """The splits of the stimuli of a data set, and their counterparts.

        Parameters
        ----------
        group
            Stimulus column by which no two are ever on both sides, "" for none.
        features
            Activations of the model by whose features stimuli are clustered.
        seed
            Of the run.

        Raises
        ------
        SettingsError
            The stimuli have no such column.
        DataError
            Stimuli without a label, or nothing that can be left out.
        UsageError
            Features of several layers.
        """
        ids = list(dataset.stimuli.ids)
        first = {name: names[0] for names in dataset.stimuli.equal for name in names}
        blocks = [first.get(name, name) for name in ids]
        if group and group == self.column:
            raise UsageError(f"The benchmark keeps stimuli of one {group!r} on one side of every split already.")
        if group:
            blocks = joined(labels_of_dataset(dataset, group), blocks)
        if self.model:
            assert features is not None
            return left_out_splits(self._clusters(features, ids), blocks, seed=seed)
        return left_out_splits(labels_of_dataset(dataset, self.column), blocks, only=self.value, seed=seed)

    def _clusters(self, features: Mapping[str, Activations], ids: list[str]) -> list[str]:
        if len(features) != 1:
            raise UsageError(
                f"Stimuli are clustered by the features of one layer, and {self.model} has {len(features)}: "
                f"{shorten(features)}. Name a model of one layer, such as pixels or a cochleagram."
            )
        [layer] = features.values()
        return [f"cluster {number + 1}" for number in ward_clusters(squared_distances(layer, ids), self.n_clusters)]


def splits_of_card(
    stricter: StricterSplits,
    card: BenchmarkCard,
    dataset: Dataset,
    seed: int,
    features: Mapping[str, Activations] | None = None,
) -> LeftOutSplits:
    """Stricter splits of the data set of a benchmark; what its row or the data set keeps together stays together.

    Parameters
    ----------
    dataset
        What is selected of it.
    seed, features
        As for ``StricterSplits.of``.
    """
    group = str(card.settings.get("group") or dataset.attrs.get("group") or "")
    return stricter.of(dataset, group, features, seed)
