"""Which versions of NeMo a row can be loaded with, and which one is installed; NeMo is not imported for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isocortex.errors import PluginError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from isocortex.interfaces import ModelCard

DISTRIBUTION = "nemo_toolkit"
#: what any checkpoint needs, where its row says nothing more
ANY_VERSION = "nemo_toolkit[asr]>=2.7.3,<4"


def installed_version() -> str | None:
    """Version of NeMo that is installed; None: it is not."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return None


def requirement_of(card: ModelCard) -> Requirement:
    """What a row requires of NeMo."""
    from packaging.requirements import Requirement

    parsed = [Requirement(line) for line in card.requires]
    ours = [one for one in parsed if one.name.replace("-", "_").lower() == DISTRIBUTION]
    return ours[0] if ours else Requirement(ANY_VERSION)


def refuse_other_version(card: ModelCard) -> None:
    """Refuse a version of NeMo that is installed and cannot load a row.

    Raises
    ------
    PluginError
        It is another than the row requires.
    """
    found, needed = installed_version(), requirement_of(card)
    if found is not None and not needed.specifier.contains(found, prereleases=True):
        raise PluginError(f"{card.id} needs {needed}; nemo_toolkit {found} is installed. {_advice(needed)}")


def refuse_absent(card: ModelCard) -> None:
    """Refuse where NeMo is not installed.

    Raises
    ------
    PluginError
        It is not.
    """
    if installed_version() is None:
        needed = requirement_of(card)
        raise PluginError(f"{card.id} needs {needed}, which is not installed. {_advice(needed)}")


def state_of(card: ModelCard) -> str:
    """One clause: what a row needs, and what is installed."""
    found, needed = installed_version(), requirement_of(card)
    if found is None:
        return f"it needs {needed}, which is not installed"
    fits = needed.specifier.contains(found, prereleases=True)
    return f"nemo_toolkit {found} is installed and can{'' if fits else 'not'} load it (needs {needed.specifier})"


def _advice(needed: Requirement) -> str:
    return f"pip install '{needed}', in an environment of its own where something else needs another version."
