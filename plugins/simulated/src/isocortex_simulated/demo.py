"""``isocortex demo``: score the baselines on cortices whose truth is known, and check that scoring finds it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from isocortex.results import Result
    from isocortex_simulated.recovery import Candidate, Verdict
    from isocortex_simulated.stages import Stage

CANDIDATES: dict[str, tuple[str, ...]] = {
    "simulated-auditory": (
        "cochleagram-kell2018",
        "cochleagram-cochcnn9",
        "spectrotemporal",
        "spectrotemporal-sqrt",
        "threshold-units",
        "category",
        "noise",
    ),
    "simulated-visual": ("pixels", "gabor-pyramid", "threshold-units", "category", "noise"),
}
"""Data set to the models that are scored on it: the true ones, their close neighbours, and controls."""
METRIC = "ridge"


@dataclass(frozen=True)
class Finding:
    """What was checked, what came out, and whether that is as it should be."""

    case: str
    outcome: str
    right: bool

    @property
    def text(self) -> str:
        """The finding in a line; what failed is told whole."""
        return f"  passed  {self.case:50}  {self.verdict}" if self.right else f"  FAILED  {self.case}: {self.outcome}"

    @property
    def verdict(self) -> str:
        """The outcome without its reason."""
        return "recovered" if self.outcome.startswith("recovered") else self.outcome.partition(":")[0]


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/demo"), show_default=True)
def demo(out: Path) -> None:
    """Score baselines on a simulated auditory and a simulated visual cortex, and check the outcome.

    Each cortex has two regions that read a known layer of a known model and one of pure noise. The check passes where
    scoring names that model and layer among close neighbours, names none for noise, and names none once the true model
    is left out. Nothing is downloaded. Exit code 0: as it should be, 1: not.
    """
    from isocortex.results import Selection, print_table, tally
    from isocortex_simulated.datasets import truth

    results = [result for dataset in CANDIDATES for result in _scored(dataset, out)]
    regions = dict.fromkeys(region for dataset in CANDIDATES for region in truth(dataset))
    print_table(results, Selection(regions=tuple(regions)))
    found = [finding for dataset in CANDIDATES for finding in check(dataset, results, out)]
    print("\nDoes scoring find what the regions are made of?")
    print("\n".join(finding.text for finding in found))
    n_wrong = sum(not finding.right for finding in found)
    again = " (nothing was computed again)" if all(result.cached for result in results) else ""
    print(f"{tally(results)}{again}")
    print(
        f"{n_wrong} checks failed." if n_wrong else "Every check passed.", f"A page of it all: isocortex report {out}"
    )
    sys.exit(1 if n_wrong else 0)


def _scored(dataset: str, out: Path) -> list[Result]:
    from threadpoolctl import threadpool_limits

    import isocortex

    # the matrices are small: threads that wait for busy cores make the demo several times slower
    with threadpool_limits(1):
        return isocortex.score(CANDIDATES[dataset], f"{dataset}.{METRIC}", out=out)


def check(dataset: str, results: Sequence[Result], out: Path) -> list[Finding]:
    """Hold the scores of one data set against its truth, region by region.

    Parameters
    ----------
    dataset
        One of `CANDIDATES`.
    results
        Of its candidates; those on other data sets are left aside.
    out
        Results folder, which holds the bootstrap draws.

    Returns
    -------
    One or two per region.
    """
    from isocortex_simulated.datasets import truth
    from isocortex_simulated.recovery import candidates_of

    own = [result for result in results if result.benchmark == f"{dataset}.{METRIC}"]
    failed = [result.model for result in own if result.status == "failed"]
    if failed:
        return [Finding("every region", f"not scored: {', '.join(failed)}", right=False)]
    stages = truth(dataset)
    return findings(stages, {region: candidates_of(own, region, out) for region in stages})


def findings(truth: Mapping[str, Stage | None], regions: Mapping[str, Sequence[Candidate]]) -> list[Finding]:
    """Check every region, and again without its true model.

    Parameters
    ----------
    truth
        Region to the stage it reads, None for noise.
    regions
        Region to what each candidate reaches there.

    Returns
    -------
    list of Finding
    """
    found: list[Finding] = []
    for region, stage in truth.items():
        if stage is None:
            found.append(noise_finding(region, regions[region]))
        else:
            found.append(truth_finding(region, stage, regions[region]))
            found.append(control_finding(region, stage, regions[region]))
    return found


def truth_finding(region: str, stage: Stage, candidates: Sequence[Candidate]) -> Finding:
    """Check that the true model and layer are named."""
    from isocortex_simulated.recovery import recover

    verdict = recover(candidates)
    right = (verdict.model, verdict.layer) == tuple(stage)
    return Finding(f"{region}, made of {stage.model} {stage.layer}", _outcome(verdict), right)


def control_finding(region: str, stage: Stage, candidates: Sequence[Candidate]) -> Finding:
    """Check that nothing is named once the true model is left out."""
    from isocortex_simulated.recovery import recover

    verdict = recover([candidate for candidate in candidates if candidate.model != stage.model])
    return Finding(f"{region}, {stage.model} left out", _outcome(verdict), verdict.model is None)


def noise_finding(region: str, candidates: Sequence[Candidate]) -> Finding:
    """Check that pure noise has no winner, and that the best candidate's interval covers 0."""
    from isocortex_simulated.recovery import recover

    verdict = recover(candidates)
    right = verdict.model is None and verdict.best.low <= 0 <= verdict.best.high
    return Finding(f"{region}, made of nothing", _outcome(verdict), right)


def _outcome(verdict: Verdict) -> str:
    if verdict.model is None:
        return f"no recovery: {verdict.best.model} comes first, but {verdict.reason}"
    return f"recovered {verdict.model} {verdict.layer}: {verdict.reason}"
