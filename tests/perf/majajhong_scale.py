"""A network with all its blocks on macaque IT at full size: time, memory, what a kill costs, scikit-learn beside it.

    python tests/perf/majajhong_scale.py [N_IMAGES] [MODEL]

Made-up images and recordings in the published layout (default 2,560 images, 168 IT sites, ten repetitions). The command
runs in a process of its own with two threads, is killed once an eighth of its chunks is stored, and is run again: what
was stored is not touched. It may take 30 minutes and 4 GB. Then the partial least squares of one layer, ours on all ten
splits and scikit-learn's on one, times ten: at least fifteen times as long.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import xarray as xr

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

from measuring import Times, alternating, machine, print_ratios  # noqa: E402
from nh2015_whole import Command  # noqa: E402

from isocortex.files.checksums import hold_to_record  # noqa: E402
from isocortex.files.digests import digest_file  # noqa: E402

MODEL, N_IMAGES, N_SITES, N_REPETITIONS = "resnet50@random:0", 2560, 168, 10
BENCHMARK = "MajajHong2015public.IT-pls-srp"
PACKAGE = "isocortex-majajhong2015"
#: of the chunks of a layer, each of 32 images, for 18 layers
SHARE_BEFORE_THE_KILL, CHUNK, N_LAYERS = 1 / 8, 32, 18
PATIENCE_S = 1200.0


def write(folder: Path, n_images: int) -> None:
    """Images of coloured blobs, 256 × 256, and sites that read them at random, in the published layout."""
    from PIL import Image

    draw = np.random.default_rng(0)
    ids = [f"{number:040x}" for number in draw.permutation(n_images)]
    coarse = draw.uniform(0, 255, (n_images, 8, 8, 3))
    n_objects = min(64, n_images // 40)
    lines = ["image_id,filename,object_name,category_name,variation"]
    with zipfile.ZipFile(folder / "stimulus_hvm-public.zip", "w") as archive:
        for number, name in enumerate(ids):
            small = Image.fromarray(coarse[number].astype(np.uint8))
            content = BytesIO()
            small.resize((256, 256), Image.Resampling.BICUBIC).save(content, "PNG", compress_level=1)
            archive.writestr(f"{name}.png", content.getvalue())
            lines.append(f"{name},{name}.png,object{number % n_objects:02d},category{number % 8},3")
    (folder / "stimulus_hvm-public.csv").write_text("\n".join(lines) + "\n")
    clean = (coarse.reshape(n_images, -1) / 255 - 0.5) @ draw.normal(size=(192, N_SITES)) / 4
    rows = np.repeat(np.arange(n_images), N_REPETITIONS)
    values = (clean[rows] + draw.normal(size=(len(rows), N_SITES))).astype(np.float32)
    coords = {
        "image_id": ("presentation", np.array(ids)[rows]),
        "repetition": ("presentation", np.tile(np.arange(N_REPETITIONS), n_images)),
        "neuroid_id": ("neuroid", [f"site{number}" for number in range(N_SITES)]),
        "region": ("neuroid", ["IT"] * N_SITES),
        "animal": ("neuroid", ["Chabo", "Tito"] * (N_SITES // 2)),
    }
    data = xr.DataArray(values[:, :, None], dims=("presentation", "neuroid", "time_bin"), coords=coords)
    data.to_dataset(name="data").to_netcdf(folder / "assy_dicarlo_MajajHong2015_public.nc")


def as_fetched(folder: Path) -> None:
    """Record the files as those that were used first, so that they stand for the published ones."""
    paths = {path.name: path for path in folder.iterdir()}
    hold_to_record(folder, paths, {name: digest_file(path) for name, path in paths.items()})


def killed(command: Command, n_chunks: int, *arguments: str) -> dict[Path, int]:
    """Run the command until so many chunks are stored, kill it, and say what is there and when it was written."""
    started, cache = time.perf_counter(), command.folder / "cache" / "activations"
    process = command.start(*arguments)
    while len(list(cache.rglob("*.npy"))) < n_chunks and process.poll() is None:
        if time.perf_counter() - started > PATIENCE_S:
            break
        time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    print(f"{time.perf_counter() - started:7.1f} s until it was killed; {len(stored)} chunks of layers were stored")
    return stored


def beside_scikit_learn(n_images: int) -> None:
    """The same regression on one layer of 4,096 units, in one process."""
    from sklearn.cross_decomposition import PLSRegression

    from isocortex_metrics.brainscore.compact import compact_features
    from isocortex_metrics.brainscore.pls import pls_predictions
    from isocortex_metrics.brainscore.splits import brainscore_splits

    draw = np.random.default_rng(1)
    features = draw.normal(size=(n_images, 40)) @ draw.normal(size=(40, 4096)) + draw.normal(size=(n_images, 4096))
    responses = features[:, :60] @ draw.normal(size=(60, N_SITES)) + 8 * draw.normal(size=(n_images, N_SITES))
    splits = brainscore_splits(n_images, None)

    def ours() -> None:
        compact = compact_features([features], n_images, features.shape[1])
        for _ in pls_predictions(compact, responses, splits, 25):
            pass

    def theirs() -> None:
        train, test = splits[0]
        PLSRegression(25, scale=False).fit(features[train], responses[train]).predict(features[test])

    times: dict[str, Times] = alternating(
        {"ours": ours, "scikit-learn": theirs}, repeats=1, scale={"scikit-learn": len(splits)}, warm_up=False
    )
    print_ratios(times, reference="ours", bounds={"scikit-learn": 15})


def main(n_images: int, model: str) -> None:
    """Print a line for each command, what was scored, and the ratio."""
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        place = folder / "store" / PACKAGE
        place.mkdir(parents=True)
        write(place, n_images)
        as_fetched(place)
        command = Command(folder)
        arguments = ("score", "-m", model, "-b", BENCHMARK, "--offline", "--json")
        n_chunks = int(N_LAYERS * max(1, SHARE_BEFORE_THE_KILL * n_images / CHUNK))
        stored = killed(command, n_chunks, *arguments)
        printed = command.run(*arguments)
        same = sum(path.exists() and path.stat().st_mtime_ns == when for path, when in stored.items())
        print(f"  {same} of {len(stored)} chunks that were stored before the kill were not written again")
        for row in json.loads(printed):
            layers = row["layers"]
            print(f"  {row['statistic']} {row['value']:.3f}, {row['n_neuroids']} sites, {len(layers)} layers")
    beside_scikit_learn(n_images)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else N_IMAGES, sys.argv[2] if len(sys.argv) > 2 else MODEL)
