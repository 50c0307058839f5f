"""Every error that isocortex raises on purpose.

    IsocortexError
    ├── UsageError              what was asked for cannot be done as asked; exit code 2
    │   ├── UnknownIDError      no plugin offers that ID
    │   ├── AmbiguousIDError    two packages offer that ID
    │   ├── SettingsError       a setting that the metric, benchmark or model does not know
    │   ├── ModalityError       a model for sounds on images, or the like
    │   └── LayerError          a layer pattern that matches nothing
    ├── PluginError             a plugin does not load, or breaks its contract
    ├── DataError               stimuli, responses or activations that cannot be scored
    │   └── AlignmentError      IDs that do not meet
    ├── FilesError              a file that is absent, damaged or unsafe
    ├── StoreError              results or activations that cannot be written or read
    └── TaskError               a task that an executor ran has ended without a result

Each message says what was expected, what was found and what to do next.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable
from typing import Final

#: exit codes of the command line: some cells failed, and what was asked for cannot be done as asked
EXIT_FAILED, EXIT_USAGE = 1, 2


#: what a terminal obeys, or shows elsewhere than it stands: controls but tab and end of line, and marks of direction
_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_ADDRESS: Final = re.compile(
    r"\b([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s/?#'\"]*@|[^\s/@'\"]*:(?!\d+/)[^\s'\"]*@)?([^\s?#'\"]*)(\?[^\s#'\"]*)?"
)


def without_credentials(text: str) -> str:
    """A text without user names, passwords and keys in addresses: what stands before ``@`` and behind ``?``.

    Examples
    --------
    >>> without_credentials("https://me:secret@example.org/a.wav?token=1 failed")
    'https://…@example.org/a.wav?… failed'
    """
    return _ADDRESS.sub(lambda found: f"{found[1]}{'…@' * bool(found[2])}{found[3]}{'?…' * bool(found[4])}", text)


def printable(text: str) -> str:
    """A text as it may be printed, whatever file or server it comes from: no controls, no credentials.

    Controls become ``\\x1b`` and the like; tabs and ends of lines stay.

    Examples
    --------
    >>> printable("layer\\x1b[2J"), printable("a\\tb")
    ('layer\\\\x1b[2J', 'a\\tb')
    """
    return without_credentials(_CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text))


class IsocortexError(Exception):
    """Base of all errors that are shown to a user as one message, without a traceback."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


class UsageError(IsocortexError):
    """What was asked for cannot be done as asked."""


class UnknownIDError(UsageError):
    """No installed plugin offers the ID."""


class AmbiguousIDError(UsageError):
    """More than one installed package offers the ID."""


class SettingsError(UsageError):
    """A setting has an unknown name or a value outside its range."""


class ModalityError(UsageError):
    """Model and stimuli are of different modalities."""


class LayerError(UsageError):
    """A layer pattern matches nothing, or a layer is not produced."""


class PluginError(IsocortexError):
    """A plugin cannot be loaded or breaks the contract of its interface."""


class DataError(IsocortexError):
    """Stimuli, responses or activations cannot be scored."""


class AlignmentError(DataError):
    """Stimulus or neuroid IDs do not meet."""


class FilesError(IsocortexError):
    """A file is absent, damaged or unsafe to unpack."""


class StoreError(IsocortexError):
    """Activations or results cannot be written or read."""


class TaskError(IsocortexError):
    """A task that an executor ran has ended without a result: it was killed, or had too little memory or time."""


@contextlib.contextmanager
def said_of_a_plugin(what: str) -> Generator[None]:
    """Whatever a third party's code raises inside becomes one message that begins with ``what``.

    Raises
    ------
    IsocortexError
        What is raised on purpose, and trouble with writing the output, pass on.
    PluginError
        Anything else.

    Examples
    --------
    >>> with said_of_a_plugin("a/b on Lab cannot be extracted"):
    ...     raise ZeroDivisionError("division by zero")
    Traceback (most recent call last):
    isocortex.errors.PluginError: a/b on Lab cannot be extracted: ZeroDivisionError: division by zero
    """
    try:
        yield
    except (IsocortexError, BrokenPipeError):
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"{what}: {type(error).__name__}: {error}") from error


#: letters of one name in a message; longer ones are cut
_LONG_NAME = 300


def shorten(names: Iterable[object], limit: int = 5) -> str:
    """Join names for a message, cut long ones, and count those beyond the limit.

    Examples
    --------
    >>> shorten(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    >>> len(shorten(["a" * 100_000]))
    301
    """
    listed = [text if len(text := str(name)) <= _LONG_NAME else f"{text[:_LONG_NAME]}…" for name in names]
    if len(listed) <= limit:
        return ", ".join(listed)
    return f"{', '.join(listed[:limit])} and {len(listed) - limit} more"


def suggest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """Return ' Did you mean …?' with the closest known names, or an empty string.

    Examples
    --------
    >>> suggest("rigde", ["ridge", "rsa"])
    ' Did you mean ridge?'
    """
    import difflib

    close = difflib.get_close_matches(name, list(known), n=limit, cutoff=0.6)
    return f" Did you mean {' or '.join(close)}?" if close else ""
