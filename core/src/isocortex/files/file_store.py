"""Files of data sets and weights: found, verified, copied from a folder, downloaded.

A plugin lists its files in a CSV beside its manifest (``name,url,sha256,bytes`` and optionally ``unpack``); they lie in
``<ISOCORTEX_DATA>/<package>/<name>``. Where a publisher states no checksum, ``sha256`` is empty, and a file is held to
what it was at first use (`isocortex.files.checksums`); where he states no size, ``bytes`` is empty, and the server must
announce one.

A column ``sha1`` is for publishers who state nothing better. It is compared when a file comes and at its first use;
from then on the file is held to the SHA-256 that it had. SHA-1 finds damage and mix-ups, and is no defence against
somebody who makes another file of the same checksum on purpose.
"""

from __future__ import annotations

import contextlib
import csv
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from isocortex.errors import FilesError, PluginError, shorten
from isocortex.files.archives import refuse_outside
from isocortex.files.checksums import RECORD, hold_to_record, read_record, refuse_others
from isocortex.files.digests import digest_file, digest_files
from isocortex.files.disk import check_space, check_writable, data_folder, write_atomic
from isocortex.files.leftovers import sweep
from isocortex.files.locks import locked
from isocortex.files.members import members
from isocortex.files.retrieval import retrieve

if TYPE_CHECKING:
    from isocortex.progress import Reporter


@dataclass(frozen=True, slots=True)
class FileSpec:
    """One file that a plugin needs.

    ``sha256`` and ``n_bytes`` are None where the publisher states none; ``sha1`` is for one who states no SHA-256.
    ``unpack`` archives are unpacked beside themselves into a folder of their name; their members become the files.
    """

    name: str
    url: str
    sha256: str | None
    n_bytes: int | None
    unpack: bool = False
    sha1: str | None = None

    @property
    def published(self) -> str | None:
        """The published checksum as ``algorithm:digits``, the better one of two."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return f"sha1:{self.sha1}" if self.sha1 else None


def read_specs(folder: Path, listing: str | None) -> list[FileSpec]:
    """Read the CSV that a card names; no CSV, no files.

    Raises
    ------
    PluginError
        The CSV is absent, lacks a column, or names a file outside the data folder.
    """
    if not listing:
        return []
    path = folder / listing
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        specs = [_spec(row) for row in rows]
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise PluginError(
            f"{path} cannot be read as a list of files with the columns name, url, sha256, bytes ({error})."
        ) from error
    for spec in specs:
        refuse_outside(spec.name, path)
        if not PurePosixPath(spec.name).name:
            raise PluginError(f"{path} has a row without a file name.")
    return specs


def _spec(row: Mapping[str, str]) -> FileSpec:
    sha256, n_bytes = row["sha256"].strip().lower(), row["bytes"].strip()
    return FileSpec(
        row["name"],
        row["url"],
        sha256 or None,
        int(n_bytes) if n_bytes else None,
        row.get("unpack") == "yes",
        (row.get("sha1") or "").strip().lower() or None,
    )


def amount(specs: Sequence[FileSpec]) -> str:
    """How many files there are, and how large they are as far as that is stated.

    Examples
    --------
    >>> amount([FileSpec("a", "https://example.org/a", None, 2_000_000), FileSpec("b", "", None, None)])
    '2 files, at least 2.0 MB'
    """
    n_bytes = sum(spec.n_bytes or 0 for spec in specs) / 1e6
    bound = "at least " if any(spec.n_bytes is None for spec in specs) else ""
    return f"{len(specs)} file{'s' if len(specs) != 1 else ''}, {bound}{n_bytes:.1f} MB"


class FileStore:
    """The data folder: what is there, and how what is missing gets there.

    Parameters
    ----------
    folder
        Root of the data; default ``ISOCORTEX_DATA``.
    offline
        Never use the network.
    reporter
        Told about downloads.
    because
        Why it is offline, for the message that something is missing.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        offline: bool = False,
        reporter: Reporter | None = None,
        because: str = "--offline forbids downloading",
    ) -> None:
        self.root = folder or data_folder()
        self.offline = offline
        self.because = because
        self.reporter = reporter

    def path(self, package: str, spec: FileSpec) -> Path:
        """Where a file of a package lies."""
        return self.root / package / spec.name

    def missing(self, package: str, specs: Iterable[FileSpec]) -> list[FileSpec]:
        """Files that are absent or have another size."""
        return [spec for spec in specs if not _has_size(self.path(package, spec), spec.n_bytes)]

    def present(self, package: str, specs: Sequence[FileSpec], what: str) -> DataFiles:
        """Return the verified files, after downloading what is missing unless offline.

        Raises
        ------
        FilesError
            Offline and missing, or a file is damaged (it is then removed).
        """
        for folder in dict.fromkeys((self.root, *(self.path(package, spec).parent for spec in specs))):
            sweep(folder)
        missing = self.missing(package, specs)
        if missing and self.offline:
            raise FilesError(
                f"{what} needs {len(specs)} files; {len(missing)} are not in {self.root / package} "
                f"({shorten([spec.name for spec in missing], 3)}) and {self.because}. Run "
                "'isocortex fetch' with network, or 'isocortex fetch --from FOLDER' where the files are."
            )
        if missing:
            self.download(package, missing, what)
        digests = self.verify(package, specs)
        paths: dict[str, Path] = {}
        for spec in specs:
            path = self.path(package, spec)
            paths.update(members(path, spec.name, digests[spec]) if spec.unpack else {spec.name: path})
        return DataFiles(paths)

    def verify(self, package: str, specs: Sequence[FileSpec]) -> dict[FileSpec, str]:
        """Compare every file with its checksum; files that have not changed since the last time are not read again.

        Returns
        -------
        The SHA-256 of each file. Those whose publisher states none are recorded at their first use.

        Raises
        ------
        FilesError
            A file differs from its published checksum (it is removed, so that the next fetch brings it anew) or from
            what was recorded (it is left alone).
        StoreError
            What is used for the first time cannot be recorded.
        """
        by_path = digest_files(self.path(package, spec) for spec in specs)
        digests = {spec: by_path[self.path(package, spec)] for spec in specs}
        recorded = read_record(self.root / package) if any(spec.sha256 is None for spec in specs) else {}
        for spec, digest in digests.items():
            if (spec.sha256 or recorded.get(spec.name)) not in (None, digest):
                digests[spec] = digest_file(self.path(package, spec))  # what is remembered is no reason to blame a file
        wrong = [spec for spec, digest in digests.items() if self._is_wrong(package, spec, digest, recorded)]
        for spec in wrong:
            with contextlib.suppress(OSError):
                self.path(package, spec).unlink()
        if wrong:
            kept = [spec for spec in wrong if self.path(package, spec).exists()]
            done = "were removed" if not kept else "could not be removed (do it yourself)"
            raise FilesError(
                f"{len(wrong)} of {len(specs)} files in {self.root / package} had another checksum than expected and "
                f"{done}: {shorten([spec.name for spec in wrong])}. Run 'isocortex fetch' to bring them again."
            )
        self._hold(package, {spec: digest for spec, digest in digests.items() if spec.sha256 is None})
        return digests

    def _is_wrong(self, package: str, spec: FileSpec, digest: str, recorded: Mapping[str, str]) -> bool:
        """Whether a file is not what was published; a SHA-1 is made only of files that are not recorded."""
        if spec.sha256 is not None or spec.sha1 is None:
            return spec.sha256 not in (None, digest)
        return recorded.get(spec.name) != digest and digest_file(self.path(package, spec), "sha1") != spec.sha1

    def _hold(self, package: str, digests: Mapping[FileSpec, str]) -> None:
        """Hold files without a published SHA-256 to what they were at first use, and say so that once."""
        from isocortex.progress import Reporter

        if not digests:
            return
        folder, paths = self.root / package, {spec.name: self.path(package, spec) for spec in digests}
        new = hold_to_record(folder, paths, {spec.name: digest for spec, digest in digests.items()})
        known = {spec.name for spec in digests if spec.sha1 is not None}
        for names, what in (
            ([name for name in new if name not in known], "No checksum is published for {}."),
            ([name for name in new if name in known], "Only a SHA-1 is published for {}, and it is right."),
        ):
            if names:
                (self.reporter or Reporter()).line(
                    f"{what.format(shorten(names, 3))} The SHA-256 of the {len(names)} files as they are now "
                    f"is recorded in {folder / RECORD}, and every later use is compared with it."
                )

    def adopt(self, package: str, specs: Sequence[FileSpec], folder: Path) -> list[FileSpec]:
        """Copy files from anywhere below a folder; returns those that are not there.

        A file is found by its name and checksum. Where no checksum is published, its path must end with the whole name
        (``session1/data.csv``), and one that is there already must be the same.

        Raises
        ------
        FilesError
            The folder does not exist, or holds different files of one name without a published checksum, or another
            one than is there or was recorded.
        """
        if not folder.is_dir():
            raise FilesError(f"{folder} is not a folder. --from takes a folder that holds the files at any depth.")
        wanted = set(self.missing(package, specs))
        names = {PurePosixPath(spec.name).name for spec in specs if spec in wanted or spec.published is None}
        by_name: dict[str, list[Path]] = {}
        for path in sorted(folder.rglob("*")):
            if path.name in names and path.is_file():
                by_name.setdefault(path.name, []).append(path)
        found = {spec: by_name.get(PurePosixPath(spec.name).name, []) for spec in specs}
        unlisted = {spec: one for spec, paths in found.items() if spec.published is None and (one := _one(spec, paths))}
        self._adopt_unlisted(package, unlisted)
        listed = [spec for spec in specs if spec in wanted and spec.published is not None]
        adopted = {spec for spec in listed if self._adopt_listed(package, spec, found[spec])}
        return [spec for spec in specs if spec in wanted and spec not in adopted and spec not in unlisted]

    def _adopt_listed(self, package: str, spec: FileSpec, candidates: Sequence[Path]) -> bool:
        for path in candidates:
            algorithm, _, digits = (spec.published or "").partition(":")
            if _has_size(path, spec.n_bytes) and digest_file(path, algorithm) == digits:
                copy_file(path, self.path(package, spec))
                return True
        return False

    def _adopt_unlisted(self, package: str, found: Mapping[FileSpec, Path]) -> None:
        """Copy all or none: everything is compared with what is there, and with the record, before the first copy."""
        digests = {spec.name: digest_file(path) for spec, path in found.items()}
        refuse_others(self.root / package, {spec.name: path for spec, path in found.items()}, digests)
        absent = set(self.missing(package, list(found)))
        for spec, path in found.items():
            here = self.path(package, spec)
            if spec not in absent and digest_file(here) != digests[spec.name]:
                raise FilesError(f"{here} is there already and differs from {path}. Delete it to take the other one.")
        for spec in absent:
            copy_file(found[spec], self.path(package, spec))
        self.verify(package, list(found))

    def download(self, package: str, specs: Sequence[FileSpec], what: str) -> None:
        """Download files with retries, check their checksums, and put them in place atomically.

        Raises
        ------
        FilesError
            The network fails, or what came has another checksum (nothing of it is kept).
        """
        check_space(self.root, sum(spec.n_bytes or 0 for spec in specs), f"Downloading {what}")
        check_writable(self.root / package)
        say = None if self.reporter is None else self.reporter.line
        with locked(self.root / package / ".download.lock", f"the download of {what}", say):
            missing = self.missing(package, specs)
            for number, spec in enumerate(missing, start=1):
                self._download_one(package, spec)
                if self.reporter is not None:
                    self.reporter.step(f"{what}: downloading", number, len(missing))

    def _download_one(self, package: str, spec: FileSpec) -> None:
        recorded = None if spec.published else read_record(self.root / package).get(spec.name)
        checksum = spec.published or (f"sha256:{recorded}" if recorded else None)
        expected = "expected" if spec.published else f"was recorded in {self.root / package / RECORD}"
        retrieve(spec.url, self.path(package, spec), n_bytes=spec.n_bytes, checksum=checksum, expected=expected)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that it is there whole or not at all.

    Raises
    ------
    FilesError
        The source cannot be read.
    StoreError
        The target cannot be written.
    """
    try:
        opened = source.open("rb")
    except OSError as error:
        raise FilesError(f"{source} cannot be read ({error.strerror}).") from error
    with opened:
        check_space(target.parent, source.stat().st_size, f"Copying {source.name}")
        write_atomic(target, lambda file: shutil.copyfileobj(opened, file))


def _one(spec: FileSpec, candidates: Sequence[Path]) -> Path | None:
    """The file that a name without checksum stands for: its path ends with the whole name."""
    ending = f"/{PurePosixPath(spec.name)}"
    found = [path for path in candidates if path.absolute().as_posix().endswith(ending)]
    found = [path for path in found if _has_size(path, spec.n_bytes)]
    if len(found) > 1 and len({digest_file(path) for path in found}) > 1:
        raise FilesError(
            f"There are {len(found)} different files {spec.name}: {shorten(found)}. Name a folder with one of them."
        )
    return found[0] if found else None


def _has_size(path: Path, n_bytes: int | None) -> bool:
    """Whether a file is there, of that size where it is known."""
    try:
        return path.is_file() if n_bytes is None else path.stat().st_size == n_bytes
    except OSError:
        return False


class DataFiles(Mapping[str, "Path"]):
    """Files of a data set, present and verified: name → path."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)

    def __getitem__(self, name: str) -> Path:
        return self._paths[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def named(self, name: str) -> Path:
        """The path of a file by its name without folders.

        Raises
        ------
        DataError
            No file, or more than one, has that name.

        Examples
        --------
        >>> from pathlib import Path
        >>> files = DataFiles({"data/components.mat": Path("components.mat")})
        >>> files.named("components.mat") == files["data/components.mat"]
        True
        """
        from pathlib import PurePosixPath

        from isocortex.errors import DataError, shorten

        found = [path for listed, path in self._paths.items() if PurePosixPath(listed).name == name]
        if len(found) != 1:
            raise DataError(f"Expected one file {name}, found {len(found)} among {shorten(self._paths) or 'no files'}.")
        return found[0]
