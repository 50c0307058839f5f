"""What was found out, as rows, as text of 80 columns, and as a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isocortex_simulated.identification.answers import Answered
from isocortex_simulated.identification.contenders import families_of
from isocortex_simulated.identification.plan import name_of

if TYPE_CHECKING:
    from isocortex_simulated.identification.run import Found

Row = dict[str, Any]
COLUMNS = (
    *("benchmark", "metric", "c", "n", "right", "right_low", "right_high", "family", "family_low", "family_high"),
    *("named_right", "named_wrong", "undecided", "left_out_named", "left_out_low", "left_out_high", "typical"),
    *("told_apart", "n_models", "families_told_apart", "n_families"),
)
MOST_LETTERS = 12
"""Candidates that a confusion matrix of 80 columns holds; of more, their families are shown."""
_USUAL = 0.75
_WIDTH = 80


def curve_rows(found: Found) -> list[Row]:
    """One row for each metric and reliability, with the columns `COLUMNS`; what was not asked is None."""
    return [
        {"benchmark": found.card.id, "metric": metric, "c": name_of(level), **_numbers(answered)}
        for (metric, level), answered in found.answered.items()
    ]


def _numbers(answered: Answered) -> Row:
    right, family, n = answered.right, answered.right_family, len(answered.truth)
    named, wrong, left_out = answered.named_right(), answered.named_wrong(), answered.named_left_out()
    typical = answered.typical_of_truth()
    undecided = None if named is None or wrong is None else 1 - named.value - wrong.value
    return {
        "n": n,
        "right": right.value,
        "right_low": right.low,
        "right_high": right.high,
        "family": family.value,
        "family_low": family.low,
        "family_high": family.high,
        "named_right": named and named.value,
        "named_wrong": wrong and wrong.value,
        "undecided": undecided,
        "left_out_named": left_out and left_out.value,
        "left_out_low": left_out and left_out.low,
        "left_out_high": left_out and left_out.high,
        "typical": typical and typical.value,
        "told_apart": len(answered.told_apart),
        "n_models": len(answered.names),
        "families_told_apart": len(answered.families_told_apart),
        "n_families": len(set(answered.families)),
    }


def usual_level(found: Found) -> float | None:
    """The reliability that single statements are about: the recorded one, or else .75, or else the largest."""
    levels = _levels(found)
    numbers = [level for level in levels if level is not None]
    return None if None in levels else _USUAL if _USUAL in numbers else max(numbers)


def finding(found: Found, metric: str) -> str:
    """What ``info`` says of the benchmark, in a line."""
    level = usual_level(found)
    answered = found.answered[metric, level]
    where = "at the recorded reliability" if level is None else f"at c = {_short(level)}"
    unknown = " (the real level is unknown: no repetitions)" if found.template.reliability is None else ""
    n_families = len(set(answered.families))
    return (
        f"recovery by {metric} {where}{unknown}: tells {len(answered.told_apart)} of {len(answered.names)} models and "
        f"{len(answered.families_told_apart)} of {n_families} families apart; the truth was found in "
        f"{answered.right.value:.0%} of {answered.right.n} simulated brains, its family in "
        f"{answered.right_family.value:.0%}"
    )


# --- text -------------------------------------------------------------------------------------------------------------


def text(found: Found) -> str:
    """Everything in 80 columns: the curve, confusion matrices, and what the words mean."""
    level = usual_level(found)
    metrics = list(dict.fromkeys(metric for metric, _ in found.answered))
    parts = [_head(found), _curve(found)]
    parts += [confusion_text(metric, level, found.answered[metric, level]) for metric in metrics]
    parts.append("\n".join(line for metric in metrics for line in _filled(finding(found, metric) + ".")))
    return "\n\n".join(parts)


def _head(found: Found) -> str:
    question, contenders = found.question, found.contenders
    spread = (
        "the spread over components is estimated from halves of the repetitions"
        if found.template.reliability is not None
        else f"q_k = k^-{question.exponent:g} is a setting; without repetitions neither it nor the real level is known"
    )
    layer = "drawn from the default layers" if question.layer == "any" else "read out most often on the recorded data"
    return "\n".join(
        _filled(
            f"{found.card.id}: {len(contenders)} models of {families_of(contenders)}. Each brain is made of a layer "
            f"{layer}; {spread}. Seed {question.seed}, {question.n_samples} bootstrap samples."
        )
    )


def _curve(found: Found) -> str:
    lines = [
        "                       closed set: taken for        open set: named  left out:",
        "metric         c    n  the truth      its family    right  wrong  any named",
    ]
    for row in curve_rows(found):
        named, wrong, left = row["named_right"], row["named_wrong"], row["left_out_named"]
        lines.append(
            f"{row['metric'][:10]:<10} {_level(row['c']):>5} {row['n']:>4}  {_span(row, 'right'):<13}  "
            f"{_span(row, 'family'):<13} {_short(named):>5}  {_short(wrong):>5}  "
            + (
                "–"
                if left is None
                else f"{_short(left)} ({_short(row['left_out_low'])}–{_short(row['left_out_high'])})"
            )
        )
    lines += _filled(
        "In brackets: 95 % interval (Wilson). Named: q ≤ .05 against every candidate of another family, and values of "
        "all candidates as the named model gives as the truth. Left out: the truth's whole family is no candidate. –: "
        "not asked, no family is left to compare with, or candidates are not compared by this metric."
        + (" real: each neuroid has the reliability that was recorded." if (None in _levels(found)) else "")
    )
    return "\n".join(lines)


def _levels(found: Found) -> list[float | None]:
    return [level for _, level in found.answered]


def _span(row: Row, name: str) -> str:
    return f"{_short(row[name])} ({_short(row[f'{name}_low'])}–{_short(row[f'{name}_high'])})"


def _level(level: str) -> str:
    return "real" if level == name_of(None) else _short(float(level))


def _short(number: float | None) -> str:
    """A share in two digits without the leading zero.

    Examples
    --------
    >>> _short(0.25), _short(1.0), _short(None)
    ('.25', '1.0', '–')
    """
    if number is None:
        return "–"
    return "1.0" if number >= 0.995 else f"{number:.2f}"[1:]


def confusion_text(metric: str, level: float | None, answered: Answered) -> str:
    """Who was taken for whom by one metric at one reliability, in 80 columns."""
    names, counts = confusion(answered)
    left_out = len(names) - MOST_LETTERS
    names, counts = names[:MOST_LETTERS], counts[:MOST_LETTERS, :MOST_LETTERS]
    letters = [chr(ord("a") + place) for place in range(len(names))]
    room = _WIDTH - 3 - 4 * len(names)
    lines = [f"{metric}, c = {_level(name_of(level))}: made of (rows), taken for (columns)"]
    lines.append(" " * (room + 2) + "".join(f"{letter:>4}" for letter in letters))
    for letter, name, row in zip(letters, names, counts, strict=True):
        shown = name if len(name) <= room else f"{name[: room - 1]}…"
        lines.append(f"{letter} {shown:<{room}}" + "".join(f"{n or '·':>4}" for n in row.tolist()))
    if left_out > 0:
        lines += _filled(f"{left_out} further families are not shown; --json has all candidates.")
    return "\n".join(lines)


def confusion(answered: Answered) -> tuple[list[str], Any]:
    """Names and counts, brains by truth (rows) and answer; of many candidates those of their families."""
    names, counts = list(answered.names), answered.confusion
    if len(names) <= MOST_LETTERS:
        return names, counts
    families = list(dict.fromkeys(answered.families))
    member = np.array([[family == name for family in answered.families] for name in families], dtype=int)
    return families, member @ counts @ member.T


def _filled(sentence: str) -> list[str]:
    import textwrap

    return textwrap.wrap(sentence, _WIDTH)


# --- the record -------------------------------------------------------------------------------------------------------


def record(found: Found) -> dict[str, Any]:
    """Everything as JSON: what was asked, the curve, who was taken for whom, and how brains were made."""
    from dataclasses import asdict

    return {
        "benchmark": found.card.id,
        "version": found.card.version,
        "question": asdict(found.question),
        "models": [{"name": one.name, "family": one.family, "layers": list(one.layers)} for one in found.contenders],
        "real_level": "unknown: no repetitions" if found.template.reliability is None else "recorded",
        "exponents": [
            {"model": model, "layer": layer, "exponent": value} for (model, layer), value in found.exponents.items()
        ],
        "said": list(found.said),
        "curve": curve_rows(found),
        "confusion": [
            {"metric": metric, "c": name_of(level), "counts": answered.confusion.tolist()}
            for (metric, level), answered in found.answered.items()
        ],
    }
