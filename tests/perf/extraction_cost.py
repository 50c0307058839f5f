"""What extraction of all layers costs beside the bare forward pass, and whether its memory grows with the stimuli.

    python tests/perf/extraction_cost.py [resnet18]

All leaf modules of a torchvision network, 64 images of 224 × 224, batches of 16, one thread, CPU time: means may take
1.05 of the bare forward pass, projections to 4,096 units 1.6. Then the peak memory of processes that extract means of
300 and of 3,000 small images, which may differ by 10 %; and of one that flattens all layers of a chunk of 32 images of
224 × 224, which may hold ``chunk_rows.HELD_BYTES`` and one batch of the widest layer more than one that takes
means.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from measuring import alternating, machine, print_ratios  # noqa: E402

from isocortex.catalogue.cards import Variant  # noqa: E402
from isocortex.data.stimuli import Stimulus, StimulusSet  # noqa: E402
from isocortex.extraction.extractor import activations_in_memory, extract  # noqa: E402
from isocortex_vision.torchvision_import import import_torchvision  # noqa: E402
from tests.test_torchvision import pixels  # noqa: E402

BATCH = 16
AT_MOST = {"all layers, spatial mean": 1.05, "all layers, projection to 4,096": 1.6}


def images(n_images: int, side: int) -> StimulusSet:
    """Random images that share one array of pixels, so that they take no memory themselves."""
    array = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    names = [f"image{number}" for number in range(n_images)]
    return StimulusSet("images", "image", {name: Stimulus(name, "image", array) for name in names})


def leaves_of(model: Any) -> list[str]:
    """Names of the modules without sub-modules, in processing order."""
    leaf = {name for name, module in model.module.named_modules() if not list(module.children())}
    return [layer for layer in model.layers if layer.partition("#")[0] in leaf]


def model_of(name: str, example: Stimulus) -> Any:
    """A torchvision network with its own initialisation."""
    from isocortex.models.torch_model import TorchModel, TorchRecipe

    build = getattr(import_torchvision().models, name)
    return TorchModel(
        TorchRecipe(build=build, preprocess=pixels, layers=["**"], example=example), Variant.parse("random:0")
    )


def main(name: str) -> None:
    """Print the two tables."""
    import torch

    torch.set_num_threads(1)
    stimuli = images(64, 224)
    model = model_of(name, stimuli.load(0))
    layers = leaves_of(model)
    batches = [stimuli.batch(range(start, start + BATCH)) for start in range(0, 64, BATCH)]

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                model.module(torch.from_numpy(pixels(batch)))

    def extracted(reduction: str) -> None:
        activations_in_memory(model, stimuli, layers, reduction=reduction, batch_size=BATCH)

    cases = {
        "bare forward": bare,
        "all layers, spatial mean": lambda: extracted("spatial-mean"),
        "all layers, projection to 4,096": lambda: extracted("projection-4096"),
    }
    print(f"{name}, {len(layers)} layers; {machine()}, torch {torch.__version__}")
    print_ratios(alternating(cases, repeats=5), reference="bare forward", at_most=AT_MOST)
    few, many = (peak_of(name, "spatial-mean", n_images, 64)[0] for n_images in (300, 3000))
    print(f"peak memory: {few:.0f} MB for 300 images, {many:.0f} MB for 3,000: × {many / few:.3f}")
    (means, _), (flat, written) = (peak_of(name, reduction, 32, 224) for reduction in ("spatial-mean", "flatten"))
    print(
        f"32 images, all layers: peak {means:.0f} MB for means, {flat:.0f} MB flattened, which writes {written:.0f} MB"
    )


def peak_of(name: str, reduction: str, n_images: int, side: int) -> tuple[float, float]:
    """Peak memory of a process that extracts so many images, and what it writes, in MB."""
    command = [sys.executable, __file__, "--peak", name, reduction, str(n_images), str(side)]
    peak, written = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(peak), float(written)


def print_peak(arguments: Iterable[str]) -> None:
    """Extract images into a folder that is deleted; print the peak memory of this process and what it wrote."""
    import resource

    name, reduction, n_images, side = arguments
    stimuli = images(int(n_images), int(side))
    with tempfile.TemporaryDirectory() as folder, model_of(name, stimuli.load(0)) as model:
        extract(model, stimuli, leaves_of(model), reduction=reduction, folder=Path(folder), batch_size=BATCH)
        written = sum(path.stat().st_size for path in Path(folder).rglob("*.npy"))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, written / 1e6)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        print_peak(sys.argv[2:])
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "resnet18")
