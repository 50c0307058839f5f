"""Macaque V4 in three sessions, and one-neuron networks of their authors (Cowley et al. 2023)."""

from __future__ import annotations

from isocortex_cowley2023.datasets import V4Responses
from isocortex_cowley2023.images import SessionImages
from isocortex_cowley2023.responses import read_means, read_trials

__all__ = ["SessionImages", "V4Responses", "read_means", "read_trials"]
