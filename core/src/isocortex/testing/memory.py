"""The check that the memory of a model does not grow with the number of stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from isocortex.testing.outcomes import CheckSkipped, expect
from isocortex.testing.probe import MEMORY_BATCH_SIZE, N_MEMORY_RUNS

if TYPE_CHECKING:
    from isocortex.testing.model_runs import ModelUnderTest

#: memory that a stimulus may leave behind: a quarter of a sound of this check (2 s at 16 kHz, float32), a fourteenth of
#: an image; networks that keep nothing were measured at up to 6 kB, with one stimulus a run
MAX_KEPT_BYTES = 32_000
#: steps from run to run that are left out on either side: libraries set themselves up in the first runs and later, too
N_LEFT_OUT = 2


def check_memory(model: ModelUnderTest) -> None:
    """Memory does not grow with the number of stimuli: run after run on other stimuli, in a process of its own.

    A stimulus may leave 32 kB behind. What grows once or twice, as a table that a library sets up, is left out.
    """
    if model.reference is None:
        raise CheckSkipped("Only the model of an installed package can run in a process of its own.")
    variant = model.variants()[0]
    found = model.memory_run(variant)
    if "error" not in found and "memory" not in found:
        raise CheckSkipped(f"{N_MEMORY_RUNS} stimuli would take {N_MEMORY_RUNS * model.seconds_per_stimulus:.0f} s.")
    found = found.get("memory", found)
    expect(
        "error" not in found,
        f"{variant} must run on stimuli from files, {MEMORY_BATCH_SIZE} at a time; found {found.get('error')}.",
    )
    kept = growth(found["bytes_in_use"]) / found["n_stimuli"]
    expect(
        kept <= MAX_KEPT_BYTES,
        f"{variant} must take no more memory the more stimuli it has run, within {MAX_KEPT_BYTES / 1e3:.0f} kB each; "
        f"found {kept / 1e3:.0f} kB more with every stimulus. Keep nothing of a batch after run() returns.",
    )


def growth(in_use: Sequence[int]) -> float:
    """Bytes by which memory grows from run to run: the mean without the two largest and the two smallest steps.

    Examples
    --------
    >>> growth([0, 900, 900, 900, 900, 900, 5000, 5000]), growth([0, 900, 1000, 1100, 1200, 1300, 1400])
    (0.0, 100.0)
    """
    steps = np.sort(np.diff(np.asarray(in_use, dtype=np.float64)))
    return float(steps[N_LEFT_OUT : len(steps) - N_LEFT_OUT].mean())
