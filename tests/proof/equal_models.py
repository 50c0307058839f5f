"""How often ``isocortex compare`` tells models apart that are equal: share of p ≤ .05, which should be .05 at most.

python tests/proof/equal_models.py                 # two models of equal performance, by four metrics: minutes
python tests/proof/equal_models.py --people-alone  # where nothing but participants varies: what few of them do

Two models are the same 20 latent dimensions, each with noise of its own, so that neither is better. Every experiment is
a new sample of stimuli, and of eight participants, new people; p is that of the paired draws of two results.
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr

from isocortex.activations import Activations
from isocortex.data import make_responses
from isocortex.interfaces import Preparation, Rules
from isocortex.loading.by_name import load_metric
from isocortex.scoring import draw_counts, paired_p
from isocortex.typing import Array
from isocortex_metrics.numerics.draws import crossed_draws

N_STIMULI, N_UNITS, N_NEUROIDS, N_DRAWS = 60, 20, 6, 300
#: shares of responses that the latent dimensions explain, and size of the models' own noise
EXPLAINED, OWN_NOISE = 0.6, 0.35
CASES = (("ridge", 1), ("ridge", 8), ("rsa", 1), ("rsa", 8), ("cka", 1), ("cka", 8), ("pls", 1))
NAMES = [f"s{place:03d}" for place in range(N_STIMULI)]
SCALE = np.arange(1, N_UNITS + 1) ** -0.5


def responses_to(latent: Array, n_people: int, stream: np.random.Generator) -> xr.DataArray:
    """Responses of people whose maps are half in common; one alone has the common map."""
    common = np.random.default_rng(1).standard_normal((N_UNITS, N_NEUROIDS))
    parts: list[Array] = []
    for _ in range(n_people):
        own = common if n_people == 1 else np.sqrt(0.5) * (common + stream.standard_normal(common.shape))
        signal = latent @ own / np.sqrt(((SCALE[:, None] * own) ** 2).sum(axis=0))
        parts.append(np.sqrt(EXPLAINED) * signal + np.sqrt(1 - EXPLAINED) * stream.standard_normal(signal.shape))
    subject = [f"p{person}" for person in range(n_people) for _ in range(N_NEUROIDS)]
    return make_responses(np.concatenate(parts, axis=1), NAMES, neuroid={"subject": subject} if n_people > 1 else None)


def compared(metric: str, n_people: int, number: int) -> tuple[float, float, float]:
    """p, difference and standard deviation of the paired draws of one experiment."""
    stream = np.random.default_rng([5, number])
    latent = stream.standard_normal((N_STIMULI, N_UNITS)) * SCALE
    preparation = Preparation(Rules(n_draws=N_DRAWS), keep=("prediction",))
    comparison = load_metric(metric).against(responses_to(latent, n_people, stream), preparation=preparation)
    found = []
    for model in (0, 1):
        noise = np.random.default_rng([9, number, model]).standard_normal(latent.shape)
        features = xr.DataArray(
            latent + OWN_NOISE * SCALE * noise,
            dims=("stimulus", "unit"),
            coords={"stimulus_id": ("stimulus", NAMES)},
            name="layer",
        )
        found.append(comparison.summarise(comparison.score_all({"layer": Activations.from_xarray(features)})))
    one, other = (np.array(summary.draws) for summary in found)
    difference = found[0].value - found[1].value
    return paired_p(one, other, difference)[0], difference, float((one - other).std())


def of_people_alone(n_people: int, n_experiments: int) -> float:
    """Share of p ≤ .05 where two models differ from person to person alone, and not on the whole."""
    stream = np.random.default_rng([7, n_people])
    weights = draw_counts(n_people, 1000, 0, "participants")
    hits = 0
    for _ in range(n_experiments):
        person = 0.3 + 0.05 * stream.standard_normal(n_people)
        values = [person + 0.02 * stream.standard_normal(n_people) for _ in range(2)]
        one, other = (crossed_draws(np.tile(own, (1000, 1)), own, weights, 100).draws for own in values)
        hits += paired_p(one, other, float(values[0].mean() - values[1].mean()))[0] <= 0.05
    return hits / n_experiments


def main() -> None:
    """Print a line for each metric, or for each number of participants."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=200)
    parser.add_argument("--people-alone", action="store_true")
    asked = parser.parse_args()
    if asked.people_alone:
        for n_people in (4, 6, 8, 10, 12, 16, 20, 30):
            print(f"{n_people} participants: {of_people_alone(n_people, asked.experiments):.3f}", flush=True)
        return
    for metric, n_people in CASES:
        p, differences, spreads = np.array([compared(metric, n_people, k) for k in range(asked.experiments)]).T
        print(
            f"{metric}, {n_people} participants, {asked.experiments} experiments: share {np.mean(p <= 0.05):.3f}, "
            f"standard deviation {np.std(differences):.3f}, of draws {np.mean(spreads):.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
