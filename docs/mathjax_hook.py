"""A hook of mkdocs: MathJax of one version comes from npm while the documentation is built, and goes into the site.

It is kept in ``build/docs`` and asked for once. Where npm is absent or has no network the site is built all the same,
its formulas are shown as TeX, and one line says so.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

VERSION = "3.2.2"
#: checksums of the two files that are taken out of the package of that version
MEMBERS = {
    "tex-svg.js": ("package/es5/tex-svg.js", "d4295dc33744836935c1399feece5159577b34c5c8ffb9f1c6324cd82e03a882"),
    "LICENSE": ("package/LICENSE", "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"),
}
FOLDER = Path(__file__).parents[1] / "build" / "docs" / "mathjax"
_TIMEOUT_S = 120


def on_config(config: Any) -> Any:
    """Have the script that sets formulas in every page, if MathJax is here."""
    if not _is_here():
        _fetch()
    if _is_here():
        config.extra_javascript.append("assets/formulas.js")
    else:
        print("MathJax could not be had from npm: formulas of this site are shown as TeX.", file=sys.stderr)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Copy MathJax and its licence into the site."""
    from mkdocs.structure.files import File

    for name in MEMBERS if _is_here() else ():
        files.append(File.generated(config, f"assets/mathjax/{name}", abs_src_path=str(FOLDER / name)))
    return files


def _is_here() -> bool:
    return all(
        (FOLDER / name).is_file() and hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
        for name, (_, digest) in MEMBERS.items()
    )


def _fetch() -> None:
    """Ask npm for the package of that version, and keep the files whose checksums are right."""
    npm = shutil.which("npm")
    if npm is None:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", f"mathjax@{VERSION}", "--silent", "--pack-destination", str(FOLDER)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, cwd=FOLDER)  # noqa: S603
    except subprocess.TimeoutExpired:
        return
    package = FOLDER / f"mathjax-{VERSION}.tgz"
    if done.returncode or not package.is_file():
        return
    with tarfile.open(package) as archive:
        for name, (member, digest) in MEMBERS.items():
            content = archive.extractfile(member)
            data = content.read() if content else b""
            if hashlib.sha256(data).hexdigest() == digest:
                (FOLDER / name).write_bytes(data)
    package.unlink()
