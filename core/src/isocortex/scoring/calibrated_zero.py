"""What chance gives: values of permuted responses, and how a value stands among them.

H0: which stimulus has which response is unrelated to the features. Everything that is fitted or chosen is repeated for
each permutation, the choice of a layer included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex.errors import SettingsError
from isocortex.scoring.layer_choice import codes_of, measure_of
from isocortex.scoring.permutations import Exchangeable
from isocortex.scoring.stats import MOST_FLIPPED, sign_flip_p
from isocortex.scoring.summary import Summary, region_rows
from isocortex.typing import Array

if TYPE_CHECKING:
    import xarray as xr

    from isocortex.activations.layer import Activations
    from isocortex.scoring.contract import Contract

#: so many permutations that do at least as well end the test of a row
STOP_AFTER = 10
#: values that differ by less than this share are equal: the order of sums is not that of the value itself
_ROUNDING = 1e-10


def calibrated(
    comparison: Contract,
    layers: Mapping[str, Activations],
    rows: Mapping[str | None, Summary],
    exchangeable: Exchangeable,
    *,
    n_permutations: int,
    seed: int = 0,
    stop_after: int | None = STOP_AFTER,
) -> dict[str | None, dict[str, Any]]:
    """Chance, calibrated value and p of every row of a result, from the same permutations.

    Parameters
    ----------
    comparison
        Whose ``default_permutations`` is not None.
    layers
        As they were scored.
    rows
        Their summaries: the whole under None, regions by name.
    exchangeable
        What may be permuted.
    n_permutations
        B at most; once every row has ended early, no more are made.
    seed
        Draws them.
    stop_after
        As for ``zero_of``.

    Returns
    -------
    Fields of ``Summary`` for each row.

    Raises
    ------
    SettingsError
        A metric that cannot be permuted.
    """
    if comparison.default_permutations is None:
        raise SettingsError(f"{type(comparison).__name__} has no way to score permuted responses.")
    orders = exchangeable.orders(n_permutations, seed)
    found: dict[str | None, Array] = {name: np.empty(0) for name in rows}
    people: list[Array] = []
    for readouts in comparison.permuted_readouts(layers, orders):
        for name, values in values_of(comparison, readouts).items():
            if name in found:
                found[name] = np.concatenate([found[name], values])
        people.append(_participants(comparison, readouts))
        if all(_has_ended(rows[name], values, stop_after) for name, values in found.items()):
            break
    zeros = {
        name: {**zero_of(rows[name].value, values, rows[name].better, stop_after), "most_permutations": n_permutations}
        for name, values in found.items()
    }
    n_counted = zeros[None].get("n_permutations", 0) - (zeros[None].get("n_exceeding") == stop_after)
    if n_counted > 0 and 2 <= people[0].shape[1] <= MOST_FLIPPED:
        itself = next(iter(comparison.permuted_readouts(layers, np.arange(exchangeable.n_stimuli)[None])))
        sign = -1.0 if rows[None].better == "lower" else 1.0
        chance = np.concatenate(people)[:n_counted].mean(axis=0)
        p = sign_flip_p(sign * (_participants(comparison, itself)[0] - chance))
        zeros[None]["p_participants"] = None if np.isnan(p) else p
    return zeros


def _participants(comparison: Contract, readouts: xr.DataArray) -> Array:
    """Values (n_draws, n_participants) of each participant by itself; none where they are pooled."""
    if "subject" in readouts.dims:
        parts = [readouts.isel(subject=[place]) for place in range(readouts.sizes["subject"])]
    elif "subject" in readouts.coords:
        codes = codes_of(readouts)
        parts = [readouts.isel(neuroid=np.flatnonzero(codes == code)) for code in range(int(codes.max()) + 1)]
    else:
        return np.empty((readouts.sizes["draw"], 0))
    measure = measure_of(comparison)
    values = [comparison.collapse(part, measure).transpose("draw", ...).values for part in parts]
    return np.stack([value.reshape(len(value), -1).mean(axis=1) for value in values], axis=1)


def values_of(comparison: Contract, readouts: xr.DataArray) -> dict[str | None, Array]:
    """Values (n_draws,) of the whole (None) and of every region, from what is read out along the dim "draw"."""
    places = region_rows(readouts, comparison.rules.summary_by)
    parts: dict[str | None, xr.DataArray] = {None: readouts}
    parts |= {name: readouts.isel(neuroid=own) for name, own in places.items()}
    measure = measure_of(comparison)
    collapsed = {name: comparison.collapse(part, measure).transpose("draw", ...) for name, part in parts.items()}
    return {name: part.values.reshape(len(part), -1).mean(axis=1) for name, part in collapsed.items()}


def zero_of(value: float | None, permuted: Array, better: str = "higher", stop_after: int | None = STOP_AFTER) -> Any:
    r"""Where a value stands among those of permutations.

    Without an early end p = (1 + #{T_b ≥ T}) / (B + 1), and chance is the mean of T_b. Where the h-th permutation that
    does at least as well is number l ≤ B, the test ends there: p = h / l (Besag & Clifford 1991, *Biometrika* 78), and
    chance is the mean of the l − 1 before it, because the last one is always large. Both p are valid: under H0
    P(p ≤ α) ≤ α. One-sided; of an error or a distance the small values do well.

    Parameters
    ----------
    value
        T; None: there is no p.
    permuted
        T_b (n,), in order; one without a value (NaN) counts as doing at least as well, and not in the mean.
    better
        "higher" or "lower".
    stop_after
        h; None: never.

    Returns
    -------
    chance, chance_sd, calibrated (T − chance), p, n_permutations (that p rests on), n_exceeding; as a dictionary.

    Examples
    --------
    >>> zero = zero_of(0.5, np.array([0.1, 0.6, 0.2, 0.3]))
    >>> zero["p"], round(zero["chance"], 12), round(zero["calibrated"], 12)
    (0.4, 0.3, 0.2)
    >>> zero_of(0.5, np.array([0.1, 0.6, 0.2, 0.7, 0.9]), stop_after=2)["p"]  # the second that does as well is the 4th
    0.5
    """
    if value is None or not len(permuted):
        return {}
    exceeding = _exceeding(value, permuted, better)
    count = np.cumsum(exceeding)
    ends = np.flatnonzero(count >= stop_after) if stop_after is not None else np.empty(0, dtype=np.intp)
    n = int(ends[0]) + 1 if len(ends) else len(permuted)
    n_exceeding = int(count[n - 1])
    counted = permuted[: n - 1 if len(ends) else n]
    counted = counted[np.isfinite(counted)]
    chance = float(counted.mean()) if len(counted) else None
    return {
        "chance": chance,
        "chance_sd": float(counted.std(ddof=1)) if len(counted) > 1 else None,
        "calibrated": None if chance is None else value - chance,
        "p": n_exceeding / n if len(ends) else (1 + n_exceeding) / (n + 1),
        "n_permutations": n,
        "n_exceeding": n_exceeding,
    }


def _exceeding(value: float, permuted: Array, better: str) -> Array:
    """Which permutations do at least as well, but for rounding."""
    sign = -1.0 if better == "lower" else 1.0
    tie = _ROUNDING * np.maximum(abs(value), np.abs(np.nan_to_num(permuted)))
    return ~(sign * permuted < sign * value - tie)  # NaN is not smaller


def _has_ended(row: Summary, permuted: Array, stop_after: int | None) -> bool:
    if row.value is None:
        return True
    return stop_after is not None and int(_exceeding(row.value, permuted, row.better).sum()) >= stop_after
