"""``isocortex import decisions``: stored decisions of machines as folders of activations."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import numpy as np

from isocortex.errors import DataError, shorten, suggest
from isocortex_geirhos2021.decisions import (
    CATEGORIES,
    NO_DECISION,
    is_person,
    one_table,
    read_compact,
    read_cue_conflict,
    read_trials,
)

if TYPE_CHECKING:
    import pandas as pd

LAYER: Final = "decision"


@click.command("import decisions")
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE.csv…")
@click.option("--out", type=click.Path(path_type=Path), default=Path("decisions"), show_default=True,
              help="Where the folders go, one for each observer.")  # fmt: skip
@click.option("--observer", "observers", multiple=True, metavar="NAME", help="Only these observers.")
@click.option("--data-set", metavar="NAME", help="What the files belong to, where neither folder nor name say it.")
def decisions(sources: tuple[Path, ...], out: Path, observers: tuple[str, ...], data_set: str | None) -> None:
    """Make models of stored decisions: '-m activations:FOLDER' then scores them on Geirhos2021.*.

    Each FILE.csv is a table of trials as model-vs-human writes it: columns subj, object_response, category, condition,
    imagename. Folders of such tables are taken too, and compact copies (.npz). People (subject-01, …) are what models
    are compared with: they are left out unless --observer names them.
    """
    table = one_table(read_source(path, data_set) for path in sources)
    known = list(dict.fromkeys(table["observer"]))
    unknown = [name for name in observers if name not in known]
    if unknown:
        raise DataError(
            f"There is no observer {unknown[0]!r}.{suggest(unknown[0], known)} There are {shorten(known, 20)}."
        )
    wanted = observers or tuple(name for name in known if not is_person(name))
    if not wanted:
        raise DataError(f"All {len(known)} observers are people: {shorten(known)}. Name those to take with --observer.")
    left_out = len(set(known) - set(wanted))
    if left_out:
        print(f"{left_out} of {len(known)} observers are left out.", file=sys.stderr)
    for name in wanted:
        own = table[table["observer"] == name]
        folder = write_observer(own, out, name)
        sets = list(dict.fromkeys(own["data_set"]))
        of_sets = sets[0] if len(sets) == 1 else f"{len(sets)} data sets"
        print(f"{name}: {len(own):,} decisions about {of_sets}, score with -m activations:{folder}")


def read_source(path: Path, data_set: str | None = None) -> pd.DataFrame:
    """Decisions of a table of trials, a folder of them, or a compact copy.

    Raises
    ------
    DataError
        It is none of them, or holds other than expected.
    """
    if path.is_dir():
        found = sorted(path.rglob("*.csv"))
        if not found:
            raise DataError(f"{path} holds no .csv at any depth. Expected tables of trials.")
        return one_table(read_trials(one, data_set) for one in found)
    return _read_npz(path) if path.suffix.lower() == ".npz" else read_trials(path, data_set)


def _read_npz(path: Path) -> pd.DataFrame:
    """A compact copy, unpacked elsewhere for as long as it is read."""
    import tempfile

    from isocortex.files import FileSpec, FileStore, copy_file, digest_file

    with tempfile.TemporaryDirectory() as folder:
        store, spec = (
            FileStore(Path(folder), offline=True),
            FileSpec("copy.npz", "", digest_file(path), None, unpack=True),
        )
        copy_file(path, store.path("import", spec))
        members = store.present("import", [spec], str(path))
        return read_cue_conflict(members) if "response.npy" in members else read_compact(members)


def write_observer(table: pd.DataFrame, out: Path, name: str) -> Path:
    """Write the decisions of one observer as activations of one layer: 1 for what was decided, 0 for the rest.

    Units are the 16 categories and ``na``, which is no decision and always wrong.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    from isocortex.activations import ActivationFolder
    from isocortex.files import digest_of, folder_name, whole_folder

    units = (*CATEGORIES, NO_DECISION)
    ids: Sequence[str] = tuple(map(str, table["stimulus_id"]))
    number = {word: place for place, word in enumerate(units)}
    values = np.eye(len(units), dtype=np.float32)[[number[word] for word in table["decision"]]]
    folder = out / folder_name(name)
    about = {"observer": name, "data_sets": sorted(set(table["data_set"]))}
    with whole_folder(folder) as new:
        kept = ActivationFolder(new, tuple(ids), chunk_size=len(ids), key=digest_of([about, list(ids)]))
        kept.write(LAYER, 0, values[list(kept.members(0))], units)
        kept.describe(about, [LAYER])
    return folder
