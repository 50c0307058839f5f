"""Which stimuli may share a batch, and which of them are the longest and the shortest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from isocortex.errors import DataError
from isocortex.extraction.hearing import Shape, as_recorded, shape_of

if TYPE_CHECKING:
    from isocortex.data.stimuli import StimulusSet
    from isocortex.interfaces import LoadedModel


@dataclass
class Batches:
    """The stimuli of a set, as a model may take them together.

    Shapes are kept until ``forget``, so that files are read once for them.
    """

    model: LoadedModel
    stimuli: StimulusSet
    _shapes: dict[int, Shape] = field(default_factory=dict[int, Shape])

    def groups(self, members: range) -> list[list[int]]:
        """Places of stimuli that may share a batch.

        Raises
        ------
        DataError
            The model asks for equal lengths, and a stimulus cannot be read.
        """
        if self.model.batching != "equal-length":
            return [list(members)]
        by_shape: dict[object, list[int]] = {}
        for place in members:
            by_shape.setdefault(self._shape(place), []).append(place)
        return list(by_shape.values())

    def longest(self, members: range) -> int:
        """The place of the longest stimulus; the first one where several are."""
        return max(members, key=self._extent)

    def pair(self, members: range, n_together: int) -> list[int]:
        """The longest and the shortest stimulus of one batch; none where every stimulus is alone in its batch.

        It is the batch of the longest stimulus of all, if that has others. A batch is padded to its longest, and its
        shortest is padded most.

        Parameters
        ----------
        n_together
            Stimuli per batch.
        """
        cut = [group[at : at + n_together] for group in self.groups(members) for at in range(0, len(group), n_together)]
        several = [batch for batch in cut if len(batch) > 1]
        if not several:
            return []
        batch = next((batch for batch in several if self.longest(members) in batch), several[0])
        first = max(batch, key=self._extent)
        return [first, min((place for place in reversed(batch) if place != first), key=self._extent)]

    def are_equal(self, first: int, second: int) -> bool:
        """Whether two stimuli hold the same; unknown, and so false, where they cannot be read."""
        try:
            one, other = (as_recorded(self.stimuli, place) for place in (first, second))
        except DataError:
            return False
        return one.sample_rate == other.sample_rate and np.array_equal(one.array, other.array)

    def forget(self) -> None:
        """Forget shapes: another chunk follows."""
        self._shapes.clear()

    def _shape(self, place: int) -> Shape:
        if place not in self._shapes:
            self._shapes[place] = shape_of(self.stimuli, place)
        return self._shapes[place]

    def _extent(self, place: int) -> float:
        try:
            return self._shape(place).extent
        except DataError:
            return 0  # said where it is used: some models read no stimuli
