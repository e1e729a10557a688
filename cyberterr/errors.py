"""Errors a person can act on: what happened, what is accepted, what to try."""

from __future__ import annotations

USAGE = 2
SOURCE_UNREADABLE = 3
PART_MISSING = 4
STORE_UNREACHABLE = 5
REFUSED_BY_GATE = 6
FOUND = 10
OUR_OWN_ERROR = 70

SEVEREST_FIRST = (
    OUR_OWN_ERROR,
    REFUSED_BY_GATE,
    STORE_UNREACHABLE,
    PART_MISSING,
    SOURCE_UNREADABLE,
    FOUND,
    0,
)
"""Which exit code wins when several apply (USAGE ends the program before anything else can)."""


class CyberterrError(Exception):
    """Something a person can mend; never a defect of ours.

    Args:
        message: what happened, with the value that was met.
        hint: what is accepted, or the command to try next.
        exit_code: one of the codes above.
        where: the file, line or setting it happened in.
    """

    def __init__(
        self, message: str, *, hint: str = "", exit_code: int = OUR_OWN_ERROR, where: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{place}{self.message}{hint}"


class UsageError(CyberterrError):
    """The call or the settings are wrong (exit code 2)."""

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint, exit_code=USAGE, where=where)


class SourceError(CyberterrError):
    """A source cannot be read; the others are still judged (exit code 3)."""

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint, exit_code=SOURCE_UNREADABLE, where=where)


class MissingPartError(CyberterrError):
    """A program or package that this work needs is not installed (exit code 4)."""

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint, exit_code=PART_MISSING, where=where)


class StoreError(CyberterrError):
    """The store cannot be reached or written (exit code 5)."""

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint, exit_code=STORE_UNREACHABLE, where=where)
