"""What a cluster wants to know of a job: ``isocortex-slurm.toml``, checked before anything is submitted."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError, field_validator

from isocortex.errors import FilesError, SettingsError, suggest

#: the file in the working folder, and the variable that names another one
FILE, VARIABLE = "isocortex-slurm.toml", "ISOCORTEX_SLURM"

_MEMORY = re.compile(r"\d+[KMGT]")
_TIMES = (
    re.compile(r"(?P<minutes>\d+)"),
    re.compile(r"(?P<minutes>\d+):(?P<seconds>\d+)"),
    re.compile(r"(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>\d+)"),
    re.compile(r"(?P<days>\d+)-(?P<hours>\d+)(?::(?P<minutes>\d+)(?::(?P<seconds>\d+))?)?"),
)

#: options of sbatch that have a key of their own here
_HAVE_A_KEY = {
    "partition": "partition",
    "account": "account",
    "time": "time",
    "mem": "memory",
    "cpus-per-task": "cpus",
    "gpus-per-node": "gpus",
}
#: options of sbatch that the executor needs for itself
_OWN = ("array", "dependency", "error", "job-name", "no-requeue", "nodes", "ntasks", "open-mode", "output", "signal")


class Resources(BaseModel):
    """What one job of an array gets.

    Parameters
    ----------
    partition, account
        As sbatch takes them; None: the user's own.
    time
        Of one job, as sbatch takes it: "4:00:00", "1-12" or minutes.
    memory
        Of one job: "32G", "800M"; None: what the cluster gives by itself.
    cpus, gpus
        Of one job.
    parallel
        At most so many jobs at once; ``--jobs`` goes before it.
    tasks_per_job
        So many tasks one after the other in one job. Scores of one benchmark share what is prepared.
    options
        Further options of sbatch, without ``--``; ``true`` for one without a value.
    setup
        Lines of bash before the task, as ``module load cuda``.
    """

    model_config = ConfigDict(extra="forbid")

    partition: StrictStr | None = None
    account: StrictStr | None = None
    time: StrictStr | StrictInt = "4:00:00"
    memory: StrictStr | None = None
    cpus: StrictInt = Field(default=1, ge=1)
    gpus: StrictInt = Field(default=0, ge=0)
    parallel: StrictInt = Field(default=100, ge=1)
    tasks_per_job: StrictInt = Field(default=1, ge=1)
    options: dict[str, StrictBool | StrictInt | StrictStr] = {}
    setup: list[StrictStr] = []

    @field_validator("time")
    @classmethod
    def _has_minutes(cls, value: str | int) -> str | int:
        minutes(value)
        return value

    @field_validator("memory")
    @classmethod
    def _has_a_unit(cls, value: str | None) -> str | None:
        if value is not None and not _MEMORY.fullmatch(value):
            raise ValueError(f'expected a number with its unit, as "32G" or "800M", found {value!r}')
        return value

    @field_validator("options")
    @classmethod
    def _are_free(cls, value: dict[str, bool | int | str]) -> dict[str, bool | int | str]:
        for given, content in value.items():
            name = given.replace("_", "-")
            if name in _HAVE_A_KEY:
                raise ValueError(f"{given} has a key of its own: {_HAVE_A_KEY[name]} = …")
            if name in _OWN or name.startswith("-"):
                raise ValueError(
                    f"{given} is set by isocortex itself" if name in _OWN else f"{given}: leave out the --"
                )
            if content is False:
                raise ValueError(f"{given} = false says nothing to sbatch; leave it out")
        return value

    @property
    def minutes(self) -> int:
        """The time of one job in whole minutes, rounded up."""
        return minutes(self.time)


class Settings(BaseModel):
    """The whole file.

    Parameters
    ----------
    extract, score
        What jobs of the two kinds get; what stands above the sections holds for both.
    folder
        For files and logs of jobs, seen by all nodes; relative to the working folder.
    requeues
        How many times a job that reaches its time limit starts again, from what is finished.
    warning_s
        Seconds before the time limit at which a job is told to end.
    poll_s
        Seconds between two looks at the queue.
    """

    model_config = ConfigDict(extra="forbid")

    extract: Resources = Resources()
    score: Resources = Resources()
    folder: StrictStr = "isocortex-slurm"
    requeues: StrictInt = Field(default=3, ge=0)
    warning_s: StrictInt = Field(default=120, ge=10)
    poll_s: float = Field(default=5.0, gt=0)


def minutes(time: str | int) -> int:
    """A time limit of sbatch in whole minutes, rounded up.

    Examples
    --------
    >>> minutes("4:00:00"), minutes("1-12"), minutes("90"), minutes("0:30")
    (240, 2160, 90, 1)
    """
    for pattern in _TIMES:
        found = pattern.fullmatch(str(time).strip())
        if found:
            parts = {name: int(text or 0) for name, text in found.groupdict().items()}
            days, hours = parts.get("days", 0), parts.get("hours", 0)
            whole = (days * 24 + hours) * 60 + parts.get("minutes", 0) + math.ceil(parts.get("seconds", 0) / 60)
            if whole > 0:
                return whole
    raise ValueError(f'expected a time as "4:00:00", "1-12" (days-hours) or minutes, found {time!r}')


def read_settings(environment: Mapping[str, str] | None = None) -> tuple[Settings, Path | None]:
    """Settings of this cluster, and the file in which they stand; None: there is none, and the defaults hold.

    Raises
    ------
    FilesError
        A file that is named and not there, or cannot be read.
    SettingsError
        An unknown key, or a value out of range.
    """
    named = (os.environ if environment is None else environment).get(VARIABLE)
    path = Path(named).expanduser() if named else Path(FILE)
    if not named and not path.exists():
        return Settings(), None
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        wanted = f"{VARIABLE} names {path}, which" if named else str(path)
        raise FilesError(f"{wanted} cannot be read ({error.strerror}).") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML ({error}). Correct it.") from error
    return settings_of(content, path), path


def settings_of(content: Mapping[str, Any], path: Path) -> Settings:
    """Check what a file holds; keys above the sections are handed down to both."""
    above = {key: value for key, value in content.items() if key in Resources.model_fields}
    own = {key: value for key, value in content.items() if key not in above}
    known = [*Settings.model_fields, *Resources.model_fields]
    _refuse_unknown(own, list(Settings.model_fields), known, path)
    for section in ("extract", "score"):
        given = own.get(section, {})
        if not isinstance(given, dict):
            raise SettingsError(f"{path}: expected a section [{section}], found {given!r}.")
        _refuse_unknown(cast("dict[str, Any]", given), list(Resources.model_fields), list(Resources.model_fields), path)
        own[section] = {**above, **given}
    try:
        return Settings.model_validate(own)
    except ValidationError as error:
        problems = "; ".join(f"{_place(item['loc'])}: {item['msg']}" for item in error.errors())
        raise SettingsError(f"{path} is not valid: {problems}.") from error


def _refuse_unknown(given: Mapping[str, Any], taken: list[str], known: list[str], path: Path) -> None:
    for name in given:
        if name not in taken:
            raise SettingsError(f"{path} has no key {name!r}.{suggest(name, known)} It has {', '.join(known)}.")


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in parts if part not in ("str", "int", "bool"))
