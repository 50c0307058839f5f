"""Mutated data set folders: each gives the value of an undisturbed twin, or says what is the matter.

A small data set and its activations are drawn, written, and then one to three things are done to their files. Some are
harmless (a byte order mark, rows in another order, quoted fields, files of other systems beside them): the value has
to be that of the same data in clean files, to the last digit. Others are not (a gap, a word among numbers, a row twice,
a cut file, an image that is damaged, an ID that does not exist): there has to be an error without traceback, or a
warning in the result.

    python -m tests.faults.folders --n 1000 --seed 0
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

import isocortex
from isocortex.errors import IsocortexError

N_STIMULI, N_UNITS, N_NEUROIDS = 20, 4, 3

Mutation = Callable[[Path, np.random.Generator], None]


@dataclass
class Data:
    """What a clean folder holds."""

    ids: list[str]
    features: np.ndarray
    responses: np.ndarray
    columns: list[str]
    regions: list[str]


def draw(rng: np.random.Generator) -> Data:
    """Responses that follow the features, with noise."""
    n_stimuli = N_STIMULI - int(rng.integers(0, 4))
    features = rng.standard_normal((n_stimuli, N_UNITS)).astype(np.float32)
    noise = 0.5 * rng.standard_normal((n_stimuli, N_NEUROIDS))
    prefix = str(rng.choice(["image", "007", "1e", "é", "a b "]))
    return Data(
        [f"{prefix}{number:02d}" for number in range(n_stimuli)],
        features,
        (features @ rng.standard_normal((N_UNITS, N_NEUROIDS)) + noise).round(6),
        [str(name) for name in rng.choice(["site", "0", "NA", "true", "v"], 1)[0:1]] + ["second", "third"],
        [str(name) for name in rng.choice(["IT", "V4", "nan", "01"], N_NEUROIDS)],
    )


def write(root: Path, data: Data) -> None:
    """A data set ``brain`` and a folder of activations ``net``, both clean."""
    for folder in ("brain/stimuli", "net"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in data.ids:
        Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(root / f"brain/stimuli/{name}.png")
    rows = [[name, *map(str, values)] for name, values in zip(data.ids, data.responses.tolist(), strict=True)]
    _write_table(root / "brain/responses.csv", [["stimulus_id", *data.columns], *rows])
    labels = [[name, "dark" if place % 2 else "bright"] for place, name in enumerate(data.ids)]
    _write_table(root / "brain/stimuli.csv", [["stimulus_id", "category"], *labels])
    about = list(map(list, zip(data.columns, data.regions, strict=True)))
    _write_table(root / "brain/neuroids.csv", [["neuroid_id", "region"], *about])
    (root / "brain/dataset.toml").write_text('id = "brain"\n[benchmark]\nreduction = "flatten"\n')
    np.save(root / "net/layer1.npy", data.features)
    (root / "net/stimulus_id.txt").write_text("\n".join(data.ids) + "\n", encoding="utf-8")


def _read_table(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text(encoding="utf-8").splitlines() if line]


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    path.write_text("\n".join(",".join(row) for row in rows) + "\n", encoding="utf-8")


def _a_table(root: Path, rng: np.random.Generator) -> Path:
    return root / "brain" / str(rng.choice(["responses.csv", "stimuli.csv", "neuroids.csv"]))


# --- harmless ---------------------------------------------------------------------------------------------------------


def byte_order_mark(root: Path, rng: np.random.Generator) -> None:
    path = rng.choice(np.array([_a_table(root, rng), root / "net/stimulus_id.txt"]))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().removeprefix(b"\xef\xbb\xbf"))


def line_ends_of_windows(root: Path, rng: np.random.Generator) -> None:
    path = _a_table(root, rng)
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


def empty_line_at_the_end(root: Path, rng: np.random.Generator) -> None:
    path = rng.choice(np.array([_a_table(root, rng), root / "net/stimulus_id.txt"]))
    path.write_bytes(path.read_bytes() + b"\n")


def no_line_end_at_the_end(root: Path, rng: np.random.Generator) -> None:
    path = _a_table(root, rng)
    path.write_bytes(path.read_bytes().rstrip(b"\r\n"))


def quoted_fields(root: Path, rng: np.random.Generator) -> None:
    path = _a_table(root, rng)
    lines = path.read_text(encoding="utf-8").splitlines()
    place = int(rng.integers(1, len(lines)))
    first, comma, rest = lines[place].partition(",")
    lines[place] = f'"{first}"{comma}{rest}' if not first.startswith('"') else lines[place]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def rows_in_another_order(root: Path, rng: np.random.Generator) -> None:
    path = root / "brain" / str(rng.choice(["responses.csv", "neuroids.csv"]))
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([header, *rng.permutation(rows)]) + "\n", encoding="utf-8")


def activations_in_another_order(root: Path, rng: np.random.Generator) -> None:
    text = (root / "net/stimulus_id.txt").read_text(encoding="utf-8-sig").splitlines()
    values, order = np.load(root / "net/layer1.npy"), rng.permutation(len(text))
    if len(values) == len(text):
        (root / "net/stimulus_id.txt").write_text("\n".join(text[place] for place in order) + "\n", encoding="utf-8")
        np.save(root / "net/layer1.npy", values[order])


def activations_of_more_stimuli(root: Path, rng: np.random.Generator) -> None:
    values = np.load(root / "net/layer1.npy")
    path = root / "net/stimulus_id.txt"
    path.write_text(path.read_text(encoding="utf-8-sig").rstrip("\n") + "\nof another set\n", encoding="utf-8")
    np.save(root / "net/layer1.npy", np.concatenate([values, rng.standard_normal((1, values.shape[1]))]).astype("f4"))


def files_of_other_systems(root: Path, rng: np.random.Generator) -> None:
    for name in ("brain/stimuli/.DS_Store", "brain/stimuli/._image00.png", "net/._layer1.npy", "net/.DS_Store",
                 "brain/stimuli/Thumbs.db"):  # fmt: skip
        (root / name).write_bytes(b"\x00\x05\x16\x07")
    del rng


def activations_in_fortran_order(root: Path, rng: np.random.Generator) -> None:
    values = np.load(root / "net/layer1.npy")
    np.save(
        root / "net/layer1.npy",
        np.asfortranarray(values.astype(values.dtype.newbyteorder(str(rng.choice(["<", ">"]))))),
    )


def ids_in_decomposed_letters(root: Path, rng: np.random.Generator) -> None:
    import unicodedata

    path = root / str(rng.choice(["brain/responses.csv", "brain/stimuli.csv", "net/stimulus_id.txt"]))
    path.write_bytes(unicodedata.normalize("NFD", path.read_text(encoding="utf-8-sig")).encode())


def a_further_column_of_stimuli(root: Path, rng: np.random.Generator) -> None:
    path = root / "brain/stimuli.csv"
    header, *rows = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line]
    name = f"more{rng.integers(1000)}"
    path.write_text("\n".join([f"{header},{name}", *(f"{row},x{n}" for n, row in enumerate(rows))]) + "\n")


HARMLESS: dict[str, Mutation] = {
    "byte order mark": byte_order_mark,
    "line ends of Windows": line_ends_of_windows,
    "empty line at the end": empty_line_at_the_end,
    "no line end at the end": no_line_end_at_the_end,
    "quoted fields": quoted_fields,
    "rows in another order": rows_in_another_order,
    "activations in another order": activations_in_another_order,
    "activations of more stimuli": activations_of_more_stimuli,
    "files of other systems": files_of_other_systems,
    "byte order of activations": activations_in_fortran_order,
    "decomposed letters": ids_in_decomposed_letters,
    "a further column of stimuli": a_further_column_of_stimuli,
}


# --- what has to be said ----------------------------------------------------------------------------------------------


def _edit_cell(text: str) -> Mutation:
    def edit(root: Path, rng: np.random.Generator) -> None:
        path = root / "brain/responses.csv"
        rows = _read_table(path)
        rows[int(rng.integers(1, len(rows)))][int(rng.integers(1, len(rows[0])))] = text
        _write_table(path, rows)

    return edit


def _edit_rows(name: str, change: Callable[[list[list[str]], int], object]) -> Mutation:
    def edit(root: Path, rng: np.random.Generator) -> None:
        rows = _read_table(root / "brain" / name)
        change(rows, int(rng.integers(1, len(rows))))
        _write_table(root / "brain" / name, rows)

    return edit


def _cut(name: str) -> Mutation:
    def cut(root: Path, rng: np.random.Generator) -> None:
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(rng.integers(1, max(2, len(content) - 40)))])

    return cut


def _insert_column(name: str, values: Callable[[int], str]) -> Mutation:
    def insert(root: Path, rng: np.random.Generator) -> None:
        rows = _read_table(root / "brain/responses.csv")
        place = int(rng.integers(1, len(rows[0]) + 1))
        for number, row in enumerate(rows):
            row.insert(place, name if number == 0 else values(number))
        _write_table(root / "brain/responses.csv", rows)

    return insert


def index_of_pandas(root: Path, rng: np.random.Generator) -> None:
    path = _a_table(root, rng)
    rows = _read_table(path)
    _write_table(path, [["" if number == 0 else str(number - 1), *row] for number, row in enumerate(rows)])


def an_image_is_damaged(root: Path, rng: np.random.Generator) -> None:
    path = sorted((root / "brain/stimuli").glob("*.png"))[int(rng.integers(10))]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def an_image_is_absent(root: Path, rng: np.random.Generator) -> None:
    sorted((root / "brain/stimuli").glob("*.png"))[int(rng.integers(10))].unlink()


def an_image_is_a_link_to_nothing(root: Path, rng: np.random.Generator) -> None:
    path = sorted((root / "brain/stimuli").glob("*.png"))[int(rng.integers(10))]
    path.unlink()
    path.symlink_to("../.git/annex/objects/away")


def an_image_under_two_names(root: Path, rng: np.random.Generator) -> None:
    one, other = rng.choice(np.array(sorted((root / "brain/stimuli").glob("*.png"))), 2, replace=False)
    shutil.copy(one, other)


def two_responses(root: Path, rng: np.random.Generator) -> None:
    np.save(root / "brain/responses.npy", rng.standard_normal((N_STIMULI, 2)))


def _responses_npy(make: Callable[[np.random.Generator, int], np.ndarray]) -> Mutation:
    def replace(root: Path, rng: np.random.Generator) -> None:
        n_stimuli = len(_read_table(root / "brain/stimuli.csv")) - 1
        (root / "brain/responses.csv").unlink(missing_ok=True)
        (root / "brain/neuroids.csv").unlink(missing_ok=True)
        np.save(root / "brain/responses.npy", make(rng, n_stimuli), allow_pickle=True)

    return replace


def _activations(make: Callable[[np.ndarray], np.ndarray]) -> Mutation:
    def replace(root: Path, rng: np.random.Generator) -> None:
        del rng
        np.save(root / "net/layer1.npy", make(np.load(root / "net/layer1.npy")), allow_pickle=True)

    return replace


def _settings(text: str) -> Mutation:
    def append(root: Path, rng: np.random.Generator) -> None:
        del rng
        with (root / "brain/dataset.toml").open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    return append


def _with(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


def archive_of_numpy(root: Path, rng: np.random.Generator) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=rng.standard_normal((3, 2)))
    (root / "net/layer1.npy").write_bytes(buffer.getvalue())


HARMFUL: dict[str, Mutation] = {
    "a gap": _edit_cell(""),
    "nan": _edit_cell("nan"),
    "n/a": _edit_cell("n/a"),
    "infinity": _edit_cell("inf"),
    "1e400": _edit_cell("1e400"),
    "a word among numbers": _edit_cell("high"),
    "a decimal comma": _edit_cell('"0,5"'),
    "true": _edit_cell("True"),
    "a date": _edit_cell("2020-01-02"),
    "a row less": _edit_rows("responses.csv", lambda rows, place: rows.pop(place)),
    "a stimulus less in the table": _edit_rows("stimuli.csv", lambda rows, place: rows.pop(place)),
    "a neuroid less in the table": _edit_rows("neuroids.csv", lambda rows, place: rows.pop(place)),
    "a stimulus twice in the table": _edit_rows("stimuli.csv", lambda rows, place: rows.append(rows[place])),
    "a neuroid twice in the table": _edit_rows("neuroids.csv", lambda rows, place: rows.append(rows[place])),
    "an unknown stimulus": _edit_rows("responses.csv", lambda rows, place: rows[place].__setitem__(0, "nobody")),
    "an ID is a gap": _edit_rows("responses.csv", lambda rows, place: rows[place].__setitem__(0, "")),
    "a category is a gap": _edit_rows("stimuli.csv", lambda rows, place: rows[place].__setitem__(1, "")),
    "a region is a gap": _edit_rows("neuroids.csv", lambda rows, place: rows[place].__setitem__(1, "")),
    "a field less": _edit_rows("responses.csv", lambda rows, place: rows[place].pop()),
    "a field more": _edit_rows("responses.csv", lambda rows, place: rows[place].append("1")),
    "a column twice": _insert_column("second", str),
    "an index": index_of_pandas,
    "a column trial": _insert_column("trial", str),
    "a column run": _insert_column("run", lambda number: str(number % 4)),
    "a column onset": _insert_column("onset", lambda number: str(2.5 * number)),
    "a column time_s": _insert_column("time_s", lambda number: str(0.5 * number)),
    "a constant column": _insert_column("constant", lambda _: "1.0"),
    "a column without a name": _insert_column("", str),
    "an image is absent": an_image_is_absent,
    "an image is a link to nothing": an_image_is_a_link_to_nothing,
    "an image under two names": an_image_under_two_names,
    "responses twice": two_responses,
    "responses are cut": _cut("brain/responses.csv"),
    "activations are cut": _cut("net/layer1.npy"),
    "settings are cut": _settings("[benchmark"),
    "an unknown key": _settings('licenze = "x"'),
    "an unknown setting": _settings("setings = { folds = 3 }"),
    "responses as a dictionary": _responses_npy(lambda *_: np.array({"spks": [1.0]}, dtype=object)),
    "responses as objects": _responses_npy(lambda _, n: np.array([[1.0, "a"]] * n, dtype=object)),
    "responses of fewer stimuli": _responses_npy(lambda rng, n: rng.standard_normal((n - 1, 3))),
    "responses with NaN": _responses_npy(lambda rng, n: _with(rng.standard_normal((n, 3)), (1, 2), np.nan)),
    "responses are complex": _responses_npy(lambda rng, n: rng.standard_normal((n, 3)) + 1j),
    "responses with a time bin": _responses_npy(lambda rng, n: rng.standard_normal((2, n, 3, 5))),
    "activations with NaN": _activations(lambda found: _with(found, (2, 1), np.nan)),
    "activations are complex": _activations(lambda found: found + 1j),
    "activations of texts": _activations(lambda found: found.astype(str)),
    "activations of fewer stimuli": _activations(lambda found: found[:-1]),
    "activations without units": _activations(lambda found: found[:, :0]),
    "activations that are one number": _activations(lambda found: found[0, 0]),
    "activations as an archive": archive_of_numpy,
}  # fmt: skip


# --- what may be said -------------------------------------------------------------------------------------------------

#: images, which activations that are given are not made of; an offset that takes digits beyond the sixth
NEUTRAL: dict[str, Mutation] = {
    "an image is damaged": an_image_is_damaged,
    "activations of large offset": _activations(lambda found: found.astype("float64") + 1e9),
}


# --- the campaign -----------------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """How a score ends: with a value, a message, or a traceback; and what was said."""

    value: float | None = None
    message: str = ""
    traceback: bool = False
    warnings: tuple[str, ...] = ()


@dataclass
class Table:
    """Kind of mutation → how often it was tried; and every trial that went wrong."""

    tried: Counter[str] = field(default_factory=Counter[str])
    n_values: int = 0
    n_said: int = 0
    failures: list[str] = field(default_factory=list[str])


def scored(root: Path) -> Outcome:
    """The activations ``net`` on the data set ``brain`` of a folder."""
    before = Path.cwd()
    os.chdir(root)
    try:
        (result,) = isocortex.score("activations:net", "folder:brain:ridge", out=root / "results", quiet=True)
    except IsocortexError as error:
        return Outcome(message=str(error))
    except Exception as error:  # what this campaign looks for
        return Outcome(message=f"{type(error).__name__}: {error}", traceback=True)
    finally:
        os.chdir(before)
    if result.failure is not None:
        return Outcome(message=result.failure.message, traceback=result.failure.traceback is not None)
    assert result.summary is not None
    return Outcome(value=result.summary.value, warnings=tuple(result.warnings))


def campaign(n: int, seed: int) -> Table:
    """Try ``n`` folders."""
    table = Table()
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        with tempfile.TemporaryDirectory(prefix="isocortex-folders-") as made:
            _try(Path(made), rng, table, f"seed {seed}, number {number}")
    return table


def _try(root: Path, rng: np.random.Generator, table: Table, which: str) -> None:
    data = draw(rng)
    for folder in ("twin", "mutated"):
        write(root / folder, data)
    chosen, expected = _mutate(root / "mutated", rng)
    twin, found = scored(root / "twin"), scored(root / "mutated")
    table.tried.update(chosen)
    said = bool(found.message) or not set(found.warnings) <= set(twin.warnings)
    table.n_said += said
    table.n_values += found.value is not None
    same = found.value == twin.value and found.value is not None
    close = None not in (found.value, twin.value) and abs((found.value or 0) - (twin.value or 0)) < 1e-6
    if twin.value is None:
        table.failures.append(f"{which}: the clean folder: {twin.message}")
    elif found.traceback or not {"same": same, "said": said, "either": close or said}[expected]:
        table.failures.append(f"{which}: {', '.join(chosen)}: {found}, clean: {twin.value}")


def _mutate(root: Path, rng: np.random.Generator) -> tuple[list[str], str]:
    """Do one to three things to the files of a folder; what has to come of it: "same", "said" or "either"."""
    chosen = [str(name) for name in rng.choice(list(HARMLESS), int(rng.integers(1, 3)), replace=False)]
    for name in chosen:
        HARMLESS[name](root, rng)
    kind = rng.random()
    if kind < 0.4:
        return chosen, "same"
    worse, expected = (HARMFUL, "said") if kind < 0.95 else (NEUTRAL, "either")
    name = str(rng.choice(list(worse)))
    worse[name](root, rng)
    return [*chosen, name], expected


def main(arguments: Sequence[str] | None = None) -> int:
    """Print kind → tried, and what went wrong."""
    parser = argparse.ArgumentParser(description="Mutated data set folders against undisturbed twins.")
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="isocortex-folders-") as own:
        os.environ.update(ISOCORTEX_CACHE=f"{own}/cache", ISOCORTEX_DATA=f"{own}/data")
        table = campaign(asked.n, asked.seed)
    for name, count in sorted(table.tried.items()):
        print(f"{count:6} {name}")
    print(f"{asked.n} folders: {table.n_values} values, {table.n_said} said, {len(table.failures)} failures")
    print("\n".join(table.failures))
    return bool(table.failures)


if __name__ == "__main__":
    sys.exit(main())
