"""What a check is, how it fails or is skipped, and the record of its outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from isocortex.errors import IsocortexError

Status = Literal["passed", "failed", "skipped", "known"]


class CheckFailed(IsocortexError):  # noqa: N818 - it says what happened, as pytest's own outcomes do
    """A plugin does not keep a part of its contract; the message says what was expected and what was found."""


class CheckSkipped(IsocortexError):  # noqa: N818
    """A check cannot be made here; the message says why."""


@dataclass(frozen=True)
class CheckOutcome:
    """How one check ended.

    Attributes
    ----------
    id
        ``kind:ID:check``, for example ``model:pixels:determinism``.
    status
        "passed", "failed", "skipped", or "known" for a failure that was declared with a reason.
    message
        What was expected and found, or why the check was skipped; empty where it passed.
    seconds
        How long it took.
    """

    id: str
    status: Status
    message: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Check:
    """One named check of one row of a manifest."""

    id: str
    function: Callable[[], None]

    def __call__(self) -> None:
        """Run the check.

        Raises
        ------
        CheckFailed
            The contract is broken, or the plugin raised what it should not.
        CheckSkipped
            The check cannot be made here.
        """
        try:
            self.function()
        except (CheckFailed, CheckSkipped):
            raise
        except (Exception, SystemExit) as error:  # whatever a third party's code raises
            raise CheckFailed(f"Expected no error, found {described(error)}") from error

    def outcome(self, known_failures: Mapping[str, str] | None = None) -> CheckOutcome:
        """Run the check and record how it ended; a declared failure that passes is itself a failure."""
        reason = (known_failures or {}).get(self.id)
        started = time.perf_counter()
        status, message = self._ended()
        if reason is not None:
            status, message = _against_declared(status, message, reason)
        return CheckOutcome(self.id, status, message, time.perf_counter() - started)

    def _ended(self) -> tuple[Status, str]:
        try:
            self()
        except CheckFailed as error:
            return "failed", str(error)
        except CheckSkipped as error:
            return "skipped", str(error)
        return "passed", ""


def _against_declared(status: Status, message: str, reason: str) -> tuple[Status, str]:
    if status == "failed":
        return "known", f"{reason} ({message})"
    if status == "passed":
        return "failed", f"Declared as a known failure ({reason}), but it passes. Remove it from the known failures."
    return status, message


def expect(condition: object, message: str) -> None:
    """Fail the check with a message unless the condition holds.

    Raises
    ------
    CheckFailed
        The condition is false.

    Examples
    --------
    >>> expect(2 > 1, "never shown")
    """
    if not condition:
        raise CheckFailed(message)


def described(error: BaseException) -> str:
    """An exception as one line: its type and message.

    Examples
    --------
    >>> described(ValueError("no rows"))
    'ValueError: no rows'
    """
    return f"{type(error).__name__}: {error}"
