"""``isocortex rerun``: the cell of a record again, and whether its digits are the same."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isocortex.errors import EXIT_FAILED, printable, shorten

if TYPE_CHECKING:
    from isocortex.run.rerun import Rerun


#: parts of a digest as a reader knows them
_PARTS = {
    "model": "model (code, weights or libraries)",
    "dataset": "data",
    "metric": "metric (code or libraries)",
    "benchmark": "row of the benchmark",
    "run": "isocortex itself, layers, seed or device",
}


@click.command()
@click.argument("record", type=click.Path(path_type=Path), metavar="RESULT.json")
@click.option("--out", type=click.Path(path_type=Path), help="Keep the new result in this folder; default: nowhere.")
@click.option("--device", help="Another device than that of the record.")
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def rerun(record: Path, out: Path | None, device: str | None, offline: bool, as_json: bool) -> None:
    """Compute the cell of a record again, and say whether its digits are the same or what differs.

    Model, variant, benchmark, seed, layers and device are those of the record. Exit code 0 where every value of the
    summary and its regions is equal to 1e-6, relative or absolute; 1 otherwise. Versions, data and machine are compared
    in any case.
    """
    from isocortex.files.interruption import guard_once
    from isocortex.progress import Reporter
    from isocortex.run.rerun import rerun as computed_again

    guard_once()
    with contextlib.closing(Reporter()) as reporter:
        done = computed_again(record, out=out, device=device, offline=offline, reporter=reporter)
    print(printable(json.dumps(done.to_json(), indent=1) if as_json else "\n".join(lines_of(done))))
    sys.exit(0 if done.equal else EXIT_FAILED)


def lines_of(done: Rerun) -> list[str]:
    """What is said of a rerun: values, digest, versions, circumstances."""
    found, again = done.found, done.again
    lines = [f"{found.model}@{found.variant} × {found.benchmark}", f"  values: {_values(done)}"]
    if not done.digests:
        lines.append(f"  digest: the same ({found.digest[:8]}), so model, data, metric, benchmark and splits are, too")
    else:
        parts = ", ".join(_PARTS.get(part, part) for part in done.digests)
        lines.append(f"  digest: {found.digest[:8]} then, {again.digest[:8]} now; it differs in: {parts}")
    if done.versions:
        versions = [f"{name} {was} then, {now} now" for name, (was, now) in done.versions.items()]
        lines.append(f"  versions that decide numbers: {'; '.join(versions)}")
    elif found.provenance is not None:
        lines.append("  versions that decide numbers: the same")
    if done.others:
        lines.append(f"  other packages of another version: {shorten(done.others, 5)}")
    lines += [f"  {name}: {was} then, {now} now" for name, (was, now) in done.circumstances.items()]
    return lines


def _values(done: Rerun) -> str:
    n_rows = 1 + len(done.found.regions)
    rows = f"{n_rows} row{'s' if n_rows > 1 else ''}"
    if not done.inexact:
        raw = ", raw scores to the byte" if done.found.scores_sha256 == done.again.scores_sha256 else ""
        return f"equal in every digit ({rows}{raw})"
    if not done.different:
        return f"equal to 1e-6 ({rows}), not in every digit: {shorten(done.inexact, 3)}"
    return f"different: {shorten(done.different, 4)}"
