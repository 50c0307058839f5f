"""What a result says of the training of one split."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class TrainingRecord(BaseModel):
    """How the network of one split was trained, without its weights.

    Examples
    --------
    >>> TrainingRecord(split=0, digest="1f", n_stimuli=80, curves={"loss": [0.9, 0.4]}).n_epochs
    2
    """

    model_config = ConfigDict(extra="forbid")
    split: int = Field(description="number of the split, from 0")
    digest: str = Field(description="of weights and settings")
    n_stimuli: int = Field(description="that were trained on")
    n_left_out: int = Field(default=0, description="training stimuli that are like tested ones")
    settings: dict[str, Any] = Field(default_factory=dict, description="architecture and what was chosen inside")
    curves: dict[str, list[float]] = Field(default_factory=dict, description="one value for each epoch")

    @property
    def n_epochs(self) -> int:
        """Number of epochs of the longest curve."""
        return max(map(len, self.curves.values()), default=0)
