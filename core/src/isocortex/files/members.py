"""Members of archives that data come in: unpacked once, and held to what they were then."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from isocortex.files.archives import unpack
from isocortex.files.digests import digest_files
from isocortex.files.sealed import believed, write_sealed
from isocortex.files.whole_folders import whole_folder


def members(archive: Path, listed: str, digest: str) -> dict[str, Path]:
    """Members of an archive, unpacked beside it and as they were when they were unpacked: name → path.

    Their checksums lie beside their folder. Where a member differs, is absent or was added, all are unpacked again.

    Parameters
    ----------
    archive
        The file.
    listed
        The name under which its package lists it; names of members are relative to its folder.
    digest
        SHA-256 of the archive.

    Raises
    ------
    FilesError
        It cannot be unpacked.
    StoreError
        There is no room for its members.
    """
    folder = archive.with_name(f"{archive.name}.{digest[:16]}")
    listing = folder.with_name(f"{folder.name}.json")
    known = believed(listing)
    found = _digests_below(folder)
    if not found or known.get("archive") != digest or known.get("members") != found:
        with whole_folder(folder) as new:
            new.rmdir()
            unpack(archive, new)
        found = _digests_below(folder)
        write_sealed(listing, {"archive": digest, "members": found})
    prefix = PurePosixPath(listed).parent
    return {(prefix / name).as_posix(): folder / name for name in found}


def _digests_below(folder: Path) -> dict[str, str]:
    """Name → SHA-256 of all files below a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest for path, digest in digest_files(paths).items()}
