"""How well participants of a benchmark predict each other through its metric, as a distribution: no divisor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import isocortex
from isocortex.errors import UsageError
from isocortex.results import Result, row_name, write_finding

if TYPE_CHECKING:
    import pandas as pd

    from isocortex import RunConfig

#: who predicts: all others together, or one
OTHERS, ONE = "the others", "one other"
COLUMNS = ("benchmark", "region", "statistic", "predicted_by", "source", "subject", "value")
SPREAD = ("n", "n_participants", "mean", "lowest", "quartile_low", "median", "quartile_high", "highest")
_FOLDER = "folder:"


@dataclass(frozen=True)
class InterSubject:
    """How well participants predict each other.

    Attributes
    ----------
    frame
        A row per participant that is predicted, by whom and in which region, with the columns ``COLUMNS``.
    spread
        A row per region and kind of prediction: region, statistic, predicted_by, and ``SPREAD``.
    said
        What has no value, and why.
    """

    frame: pd.DataFrame
    spread: pd.DataFrame
    said: tuple[str, ...]


def inter_subject(benchmark: str, *, pairs: bool = False, config: RunConfig | None = None) -> InterSubject:
    """Predict each participant of a benchmark from the others, and keep what was found for ``isocortex info``.

    Parameters
    ----------
    benchmark
        ID, or ``folder:PATH:METRIC``.
    pairs
        Also each participant from each other one: n (n − 1) ordered pairs.
    config
        How the brains are scored; their results lie in its folder as those of any model.

    Raises
    ------
    UsageError
        No participant can be predicted: there is one, the data do not say whose they are, or the metric has no values
        of participants.

    Examples
    --------
    >>> # inter_subject("MajajHong2015public.IT-pls", pairs=True).spread
    """
    chosen = config or isocortex.RunConfig()
    said: list[str] = []
    brain = f"brain:{_dataset(benchmark)}"
    (whole,) = isocortex.score(brain, benchmark, config=chosen)
    if whole.failure is not None:
        raise UsageError(f"{whole.benchmark}: {whole.failure.message}")
    frames = [_values([whole], chosen.folder, OTHERS)]
    if pairs:
        names = [f"{brain}@participant:{name}" for name in dict.fromkeys(frames[0]["subject"])]
        found = isocortex.score(names, benchmark, config=chosen)
        said += [f"{one.variant}: {one.failure.message}" for one in found if one.failure is not None]
        frames.append(_values([one for one in found if one.failure is None], chosen.folder, ONE))
    import pandas as pd

    frame = pd.concat(frames, ignore_index=True)
    spread = _spread(frame)
    write_finding(whole.benchmark, whole.benchmark_version, "inter-subject", _lines(spread, whole))
    return InterSubject(frame, spread, tuple(dict.fromkeys(said)))


def _dataset(benchmark: str) -> str:
    """The data set of a benchmark, by the name that it is loaded by."""
    if benchmark.startswith(_FOLDER):
        return benchmark.rpartition(":")[0]
    card = isocortex.load_card("benchmark", benchmark)
    return str(getattr(card, "dataset", ""))


def _values(results: Sequence[Result], folder: Path, kind: str) -> pd.DataFrame:
    """Values of participants, as the metric makes them of each."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for result in results:
        scores = isocortex.scores(result, folder)
        if "participant_value" not in scores or result.summary is None:
            raise UsageError(f"{result.benchmark} holds one participant alone, whom nobody of its data predicts.")
        table = scores["participant_value"].transpose("participant_row", "participant").values.astype(np.float64)
        source = result.variant.partition(":")[2] if kind == ONE else OTHERS
        head = {"benchmark": result.benchmark, "statistic": result.summary.statistic, "predicted_by": kind}
        rows += [
            {**head, "source": source, "region": row_name(region or None), "subject": name, "value": value}
            for region, values in zip(scores["participant_row"].values.tolist(), table.tolist(), strict=True)
            for name, value in zip(scores["participant"].values.tolist(), values, strict=True)
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _spread(frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for (region, statistic, kind), part in frame.groupby(["region", "statistic", "predicted_by"], sort=False):
        values = part["value"].to_numpy(np.float64)
        known = values[np.isfinite(values)]
        points = np.quantile(known, [0, 0.25, 0.5, 0.75, 1]) if len(known) else np.full(5, np.nan)
        mean = float(known.mean()) if len(known) else float("nan")
        people = part["subject"][np.isfinite(values)].nunique()
        numbers = dict(zip(SPREAD, (len(known), people, mean, *map(float, points)), strict=True))
        rows.append({"region": region, "statistic": statistic, "predicted_by": kind, **numbers})
    return pd.DataFrame(rows, columns=["region", "statistic", "predicted_by", *SPREAD])


def _lines(spread: pd.DataFrame, result: Result) -> list[str]:
    """What ``info BENCHMARK`` shows: of the whole, a sentence for each kind of prediction."""
    lines: list[str] = []
    for row in spread[spread["region"] == "all"].to_dict("records"):
        what = f"{row['n']} ordered pairs of {row['n_participants']}" if row["predicted_by"] == ONE else f"{row['n']}"
        lines.append(
            f"participants predicted by {row['predicted_by']} (brain:{result.dataset}), {row['statistic']}: median "
            f"{row['median']:.3f}, quartiles {row['quartile_low']:.3f} to {row['quartile_high']:.3f}, range "
            f"{row['lowest']:.3f} to {row['highest']:.3f}, {what} participants; no ceiling, and no divisor"
        )
    return lines
