"""A conformer of full size (18 layers of 512, 121 million random weights) on 165 sounds: all layers, time means.

    python tests/perf/nemo_conformer.py REALDATA/nh2015 [--rounds 3] [--threads 2]

Prints three things, each with what it is held to: processor time of an extraction over that of bare forwards of the
same network on the same batches, alternating in one process; peak memory of ``isocortex extract``; and what a run that
is killed leaves to the next one. Needs NeMo; takes minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

BATCH_SIZE = 8
MOST_RATIO, MOST_GB = 1.1, 2.5


def make_network(folder: Path) -> Path:
    """Build the network by NeMo, with the sizes of Conformer-CTC large, and save it."""
    from omegaconf import OmegaConf

    from isocortex_nemo.network import import_nemo, quiet
    from tests.nemo_stand_ins import config_of, make_tokenizer

    models = import_nemo()
    config = config_of("conformer-ctc", make_tokenizer(folder / "tokenizer"))
    config["preprocessor"]["features"] = 80
    config["encoder"] |= {
        "feat_in": 80, "n_layers": 18, "d_model": 512, "subsampling_conv_channels": 512, "ff_expansion_factor": 4,
        "n_heads": 8, "conv_kernel_size": 31, "pos_emb_max_len": 5000,
    }  # fmt: skip
    config["decoder"]["feat_in"] = 512
    with quiet():
        model = models.EncDecCTCModelBPE(cfg=OmegaConf.create(config))
        print(f"{sum(weight.numel() for weight in model.parameters()) / 1e6:.1f} million weights")
        model.save_to(str(folder / "conformer.nemo"))
    return folder / "conformer.nemo"


def heard_sounds() -> Any:
    """The sounds at 16 kHz, in memory: bare forwards read and resample nothing."""
    from isocortex import load_stimuli
    from isocortex.data import Stimulus, StimulusSet, resample

    stimuli = load_stimuli("natsound165")
    sources = {
        one.id: Stimulus(one.id, "audio", resample(one.array, float(one.sample_rate or 0), 16_000.0), 16_000.0)
        for one in stimuli
    }
    return StimulusSet(stimuli.id, "audio", sources, table=stimuli.table)


def ratios(file: Path, folder: Path, rounds: int) -> list[float]:
    """Processor time of extracting over that of bare forwards, of each round."""
    import torch

    from isocortex import load_model, load_stimuli
    from isocortex.extraction.extractor import extract

    sounds, recorded, found = heard_sounds(), load_stimuli("natsound165"), []
    with load_model(f"nemo:{file}") as model:
        network: Any = model
        batches = [
            sounds.batch(range(at, min(at + BATCH_SIZE, len(sounds)))) for at in range(0, len(sounds), BATCH_SIZE)
        ]
        fed = [network.recipe.preprocess(batch) for batch in batches]

        def bare() -> float:
            began = time.process_time()
            with torch.inference_mode():
                for one in fed:
                    network.module(**one)
            return time.process_time() - began

        def whole(place: Path) -> float:
            began = time.process_time()
            extract(model, recorded, model.layers, reduction="time-mean", folder=place, batch_size=BATCH_SIZE)
            return time.process_time() - began

        bare()
        for number in range(rounds):
            forwards, extraction = bare(), whole(folder / f"round{number}")
            found.append(extraction / forwards)
            print(f"round {number}: forwards {forwards:.1f} s, extraction {extraction:.1f} s, {found[-1]:.3f} ×")
    return found


def command(file: Path, cache: Path) -> subprocess.Popen[bytes]:
    """``isocortex extract`` of all layers as time means, in a process of its own."""
    arguments = [
        "extract", "-m", f"nemo:{file}", "--stimuli", "natsound165", "--reduction", "time-mean",
        "--batch-size", str(BATCH_SIZE),
    ]  # fmt: skip
    environment = {**os.environ, "ISOCORTEX_CACHE": str(cache)}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-m", "isocortex", *arguments], env=environment, **silent)


def peak_gb(file: Path, cache: Path) -> float:
    """Largest resident memory of one run."""
    process = command(file, cache)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit("isocortex extract failed")
    return usage.ru_maxrss * 1024 / 1e9


def chunks(cache: Path) -> dict[Path, int]:
    """Finished chunks → when they were written."""
    return {path: path.stat().st_mtime_ns for path in cache.rglob("0*.npy")}


def killed_and_resumed(file: Path, cache: Path) -> tuple[int, int, int]:
    """Chunks that a killed run left, those of them that the next one wrote again, and all chunks at the end."""
    process = command(file, cache)
    while process.poll() is None and len(chunks(cache)) < 40:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = chunks(cache)
    again = command(file, cache)
    again.wait()
    after = chunks(cache)
    return len(left), sum(after.get(path) != written for path, written in left.items()), len(after)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nh2015", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="nemo-conformer-"))
    os.environ["ISOCORTEX_DATA"] = str(folder / "data")
    os.environ["OMP_NUM_THREADS"] = str(chosen.threads)
    try:
        fetch = [sys.executable, "-m", "isocortex", "fetch", "-b", "NH2015comp.ridge", "--from", str(chosen.nh2015)]
        subprocess.run(fetch, check=True)
        import torch

        torch.set_num_threads(chosen.threads)
        file = make_network(folder)
        found = ratios(file, folder, chosen.rounds)
        print(f"extraction over bare forwards: {statistics.median(found):.3f} × (at most {MOST_RATIO})")
        print(f"peak memory: {peak_gb(file, folder / 'cache'):.2f} GB (at most {MOST_GB})")
        left, repeated, n_all = killed_and_resumed(file, folder / "killed")
        print(f"killed with {left} of {n_all} chunks; the next run wrote {repeated} of them again (at most 0)")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
