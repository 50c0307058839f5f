"""Ridge of a large study of natural scenes, measured at a tenth of its images and extrapolated.

    python tests/perf/many_images.py [--quick]

The study: 73,000 images, 50 layers, 15,000 voxels (as many images as the Natural Scenes Dataset has; one participant of
it saw at most 10,000). Each case is one layer of made-up activations, float32, in a process of its own: through the
units (``primal_ridge``) where they are at most half as many as the training images, else through a Gram matrix of the
images. CPU seconds of one thread, and the most that the process grew while it scored, predictions not kept.

What is extrapolated: time by the operations of the route (below) at the speed that the largest measured case had, and
memory by what the route holds. With T training images, p units, m voxels, S splits and A alphas that differ:

    units    S (2 A T p m + 4 T p² + 9 p³)
    Gram     S (2 A T² m + 9 T³) + n² p
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from measuring import THREAD_VARIABLES, machine

N_SPLITS, N_ALPHAS, SHARE = 10, 21, 0.8
STUDY_IMAGES, PARTICIPANT_IMAGES, STUDY_LAYERS, STUDY_VOXELS = 73_000, 10_000, 50, 15_000


@dataclass(frozen=True)
class Case:
    """One layer of n images and p units against m voxels."""

    images: int
    units: int
    voxels: int

    @property
    def by_units(self) -> bool:
        """Whether the units are few enough for the primal route."""
        return self.units <= 0.5 * SHARE * self.images

    @property
    def operations(self) -> float:
        """Floating-point operations, leading terms."""
        train, p, m = SHARE * self.images, float(self.units), float(self.voxels)
        if self.by_units:
            return N_SPLITS * (2 * N_ALPHAS * train * p * m + 4 * train * p**2 + 9 * p**3)
        return N_SPLITS * (2 * N_ALPHAS * train**2 * m + 9 * train**3) + self.images**2 * p

    @property
    def square_bytes(self) -> float:
        """Of the matrix that the route decomposes."""
        return 8.0 * (self.units if self.by_units else self.images) ** 2


#: the images, the units and the voxels grow in turn
MEASURED = [
    *(Case(images, 1_024, 375) for images in (3_650, 7_300, 14_600, 29_200)),
    Case(7_300, 2_048, 375),
    Case(7_300, 1_024, 1_500),
    *(Case(images, 4_096, 375) for images in (1_825, 3_650, 7_300)),
]
QUICK = [Case(1_300, 512, 150), Case(2_600, 512, 150), Case(650, 1_024, 150), Case(1_300, 1_024, 150)]


def measured(case: Case) -> dict[str, float]:
    """CPU seconds and growth in bytes of a process that scores one layer."""
    import os

    command = [sys.executable, __file__, "--case", str(case.images), str(case.units), str(case.voxels)]
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return json.loads(printed)


def score(case: Case) -> dict[str, float]:
    """Score one layer in this process."""
    import isocortex
    from isocortex.activations import Activations
    from isocortex.data import make_responses

    stream = np.random.default_rng(0)
    features = stream.standard_normal((case.images, case.units), dtype=np.float32)
    readout = stream.standard_normal((50, case.voxels), dtype=np.float32)
    responses = features[:, :50] @ readout + 8 * stream.standard_normal((case.images, case.voxels), dtype=np.float32)
    ids = [f"image{number}" for number in range(case.images)]
    comparison = isocortex.load_metric("ridge").against(make_responses(responses, ids), settings={}, seed=0)
    layer = Activations("layer", ids, [features])
    before, start = _most_held(), time.process_time()
    comparison.score(layer)
    return {"seconds": time.process_time() - start, "bytes": _most_held() - before}


def _most_held() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def print_study(speed: dict[bool, float]) -> None:
    """What the whole study would take, by the speed of each route."""
    print(f"\n| images | units | route | a layer | {STUDY_LAYERS} layers | the matrix | layers on disk |")
    print("|---|---|---|---|---|---|---|")
    for images in (PARTICIPANT_IMAGES, STUDY_IMAGES):
        for units in (1_024, 4_096, 25_088):
            case = Case(images, units, STUDY_VOXELS)
            hours = case.operations / speed[case.by_units] / 3600
            disk = 4e-9 * images * units * STUDY_LAYERS
            route = "units" if case.by_units else "Gram"
            print(
                f"| {images:,} | {units:,} | {route} | {hours:,.1f} h | {hours * STUDY_LAYERS / 24:,.1f} days | "
                f"{case.square_bytes / 1e9:,.2f} GB | {disk:,.0f} GB |"
            )


def main() -> None:
    """Measure and extrapolate."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small cases, to see that it works")
    parser.add_argument("--case", type=int, nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.case:
        print(json.dumps(score(Case(*chosen.case))))
        return
    print(machine())
    print("| images | units | voxels | route | CPU s | GFLOP/s | grew by |\n|---|---|---|---|---|---|---|")
    speed: dict[bool, float] = {}
    for case in QUICK if chosen.quick else MEASURED:
        found = measured(case)
        speed[case.by_units] = case.operations / found["seconds"]
        print(
            f"| {case.images:,} | {case.units:,} | {case.voxels:,} | {'units' if case.by_units else 'Gram'} | "
            f"{found['seconds']:.1f} | {speed[case.by_units] / 1e9:.0f} | {found['bytes'] / 1e6:,.0f} MB |",
            flush=True,
        )
    print_study(speed)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
