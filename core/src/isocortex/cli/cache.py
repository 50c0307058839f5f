"""``isocortex cache``: where data and activations lie, how large they are, and how to make them less."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from isocortex.errors import EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from isocortex.extraction.inventory import Kept

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """Say where activations and data lie, and how large they are by package and model."""
    if context.invoked_subcommand is None:
        sizes = _sizes()
        print(json.dumps(sizes, indent=1) if as_json else _overview(sizes))


@cache.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="JSON to stdout.")
def list_kept(as_json: bool) -> None:
    """List the activations and trained networks that are kept, what was used last first."""
    from isocortex.extraction.inventory import inventory

    kept = inventory()
    if as_json:
        print(json.dumps([one.to_json() for one in kept], indent=1))
        return
    for one in kept:
        print(_line(one))
    if not kept:
        print("No activations are kept.")


@cache.command()
@click.option("--older-than", type=click.FloatRange(0), metavar="DAYS", help="What was not used for so many days.")
@click.option("--down-to", metavar="SIZE", help="What was used longest ago, until so much is left: 20GB, 500MB.")
@click.option("-m", "--model", "models", multiple=True, metavar="MODEL", help="Only of these: ID[@VARIANT] or glob.")
@click.option("--yes", is_flag=True, help="Remove it; without, only what would go is said.")
def prune(older_than: float | None, down_to: str | None, models: tuple[str, ...], yes: bool) -> None:
    """Remove activations and trained networks by age or size; what a living process uses stays.

    They are computed again when they are needed.
    """
    from isocortex.extraction import inventory

    if older_than is None and down_to is None:
        raise UsageError("Say what may go: --older-than DAYS, --down-to SIZE, or both. '--down-to 0' is everything.")
    size = None if down_to is None else parse_size(down_to)
    chosen = inventory.choose(inventory.inventory(), models=models, older_than_days=older_than, down_to_bytes=size)
    if yes:
        gone, used = inventory.prune(chosen)
    else:
        used = [one for one in chosen if inventory.is_in_use(one)]
        gone = [one for one in chosen if one not in used]
    for one in gone:
        print(f"{'removed' if yes else 'would go'}  {_line(one)}")
    for one in used:
        print(f"in use, stays  {_line(one)}")
    print(f"{len(gone)} {'removed' if yes else 'would go'}, {size_text(sum(one.n_bytes for one in gone))}")
    if gone and not yes:
        print("Nothing was removed. With --yes it is.")


@cache.command()
def verify() -> None:
    """Read every byte of the cache and compare it with its checksums; nothing is removed.

    What is damaged is made again by the next run that needs it. Data files are verified by 'isocortex fetch --verify'.
    """
    from isocortex.extraction.inventory import verify as verify_all

    n_files, damaged = verify_all()
    for path in damaged:
        print(f"damaged: {path}")
    print(f"{n_files} files, {len(damaged)} damaged or without checksum")
    sys.exit(EXIT_FAILED if damaged else 0)


# --- what is printed --------------------------------------------------------------------------------------------------


def _sizes() -> dict[str, Any]:
    """Folders and bytes: of the cache by package and model, and of the data by package."""
    from isocortex.extraction.inventory import bytes_below, inventory
    from isocortex.files.disk import cache_folder, data_folder

    models: dict[str, dict[str, int]] = {}
    for one in inventory():
        of_package = models.setdefault(one.package, {})
        of_package[one.model] = of_package.get(one.model, 0) + one.n_bytes
    data = data_folder()
    packages = sorted(path for path in data.iterdir() if path.is_dir()) if data.is_dir() else []
    return {
        "cache": {
            "folder": str(cache_folder()),
            "n_bytes": bytes_below(cache_folder()),
            "activations": {package: dict(sorted(sizes.items())) for package, sizes in sorted(models.items())},
        },
        "data": {
            "folder": str(data),
            "n_bytes": bytes_below(data),
            "packages": {path.name: bytes_below(path) for path in packages},
        },
    }


def _overview(sizes: dict[str, Any]) -> str:
    cache, data = sizes["cache"], sizes["data"]
    lines = [f"cache  {size_text(cache['n_bytes'])}  {cache['folder']}  (ISOCORTEX_CACHE)"]
    for package, models in cache["activations"].items():
        lines.append(f"  {size_text(sum(models.values()))}  activations of {package}")
        lines += [f"    {size_text(n_bytes)}  {model}" for model, n_bytes in models.items()]
    lines.append(f"data   {size_text(data['n_bytes'])}  {data['folder']}  (ISOCORTEX_DATA)")
    lines += [f"  {size_text(n_bytes)}  {package}" for package, n_bytes in data["packages"].items()]
    return "\n".join(lines)


def _line(one: Kept) -> str:
    from datetime import UTC, datetime

    day = datetime.fromtimestamp(one.last_used, UTC).date().isoformat()
    return f"{size_text(one.n_bytes)}  used {day}  {one.name}{_layers(one)}  [{one.folder.name}]"


def _layers(one: Kept) -> str:
    return f", {one.n_layers} layers" if one.kind == "activations" else ""


def size_text(n_bytes: float) -> str:
    """Bytes in the unit that fits.

    Examples
    --------
    >>> size_text(0), size_text(1_500), size_text(2_500_000_000)
    ('0 B', '1.5 KB', '2.5 GB')
    """
    for unit in ("B", "KB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def parse_size(text: str) -> int:
    """Bytes of a size as it is typed.

    Raises
    ------
    UsageError
        It is none.

    Examples
    --------
    >>> parse_size("1.5 GB"), parse_size("0")
    (1500000000, 0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B)?\s*", text, re.IGNORECASE)
    if found is None:
        raise UsageError(f"{text!r} is no size. Expected a number with B, KB, MB, GB or TB, for example 20GB.")
    return int(float(found[1]) * _UNITS[(found[2] or "").upper()])
