"""Makes packages importable and visible to ``importlib.metadata``.

``fake_site`` does so without pip, by copied sources and a ``dist-info``: a folder that it fills behaves like
site-packages once it is on ``PYTHONPATH`` (``environment``) or on ``sys.path`` (``monkeypatch.syspath_prepend``).
``own_environment`` builds a package and installs it into a virtual environment of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).parent
NAMES = tuple(sorted(path.parent.name for path in SOURCES.glob("*/pyproject.toml")))


def fake_site(folder: Path, names: Iterable[str] = NAMES, sources: Path = SOURCES) -> Path:
    """Install packages of this folder, or of ``sources``, below ``folder``.

    Parameters
    ----------
    folder
        Where the folder ``site`` is made, or filled where it exists.
    names
        Names of distributions, such as "isocortex-twin-a"; default: all of this folder.
    sources
        The folder of their folders.

    Returns
    -------
    The folder to put on the path.
    """
    site = folder / "site"
    for name in names:
        project = tomllib.loads((sources / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for source in sorted((sources / name / "src").iterdir()):
            shutil.copytree(
                source, site / source.name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
            )
        write_dist_info(site, project)
    return site


def write_package(
    site: Path, name: str, files: Mapping[str, str], *, version: str = "0.1.0", requires: Iterable[str] = ()
) -> Path:
    """Write a package from text: ``files`` maps paths within the import package to their contents.

    The import package is the name with underscores; its entry point in the group ``isocortex`` is added.

    Returns
    -------
    The import package's folder.
    """
    module = name.replace("-", "_")
    for path, content in files.items():
        target = site / module / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    (site / module / "__init__.py").touch()
    entry = {"isocortex": {name.removeprefix("isocortex-"): module}}
    write_dist_info(site, {"name": name, "version": version, "dependencies": list(requires), "entry-points": entry})
    return site / module


def write_dist_info(site: Path, project: Mapping[str, Any]) -> None:
    """Write METADATA, entry_points.txt and RECORD for the ``[project]`` table of a pyproject.toml."""
    stem = f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    folder = site / stem
    folder.mkdir(parents=True, exist_ok=True)
    metadata = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    metadata += [f"Requires-Dist: {requirement}" for requirement in project.get("dependencies", [])]
    entries: list[str] = []
    for group, points in project.get("entry-points", {}).items():
        entries += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items()), ""]
    (folder / "METADATA").write_text("\n".join(metadata) + "\n", encoding="utf-8")
    (folder / "entry_points.txt").write_text("\n".join(entries), encoding="utf-8")
    (folder / "RECORD").write_text("".join(f"{stem}/{name},,\n" for name in ("METADATA", "entry_points.txt", "RECORD")))


def environment(site: Path) -> dict[str, str]:
    """Variables for a process that shall see the packages of a site."""
    inherited = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([str(site), *([inherited] if inherited else [])])}


def own_environment(folder: Path, name: str) -> Path:
    """Build a package of this folder and install it into a new virtual environment, in which ours is visible too.

    Nothing is downloaded: what builds the package (pip, and the backend that its pyproject.toml names) must be here.

    Parameters
    ----------
    folder
        Where the environment and a copy of the source are made.
    name
        Name of a distribution, such as "isocortex-yamnet".

    Returns
    -------
    The environment's interpreter; ``folder / name`` is the copy of the source.
    """
    source, place = folder / name, folder / "environment"
    shutil.copytree(SOURCES / name, source, ignore=shutil.ignore_patterns("__pycache__"))
    builder = venv.EnvBuilder(symlinks=os.name != "nt", with_pip=False)
    builder.create(place)
    site = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(place)}))
    # not a bare path: editable packages of ours are found through .pth files of their own
    ours = sysconfig.get_path("purelib")
    (site / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n", encoding="utf-8")
    python = Path(builder.ensure_directories(place).env_exe)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    done = subprocess.run(
        [*install, "--no-build-isolation", source],
        env={key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHONPATH"))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(f"{name} cannot be installed with {sys.executable}:\n{done.stdout}\n{done.stderr}")
    return python
