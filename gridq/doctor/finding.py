"""What a check says: evidence, and where something is not well what was expected and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How bad it is: errors lose tasks or stop them, warnings may, notes are good to know."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    Attributes:
        check: what was looked at, in a word or two; the same word at each run.
        evidence: what was seen, with numbers.
        severity: how bad it is.
        expected: what should have been seen; empty where all is well.
        hint: the command or setting that mends it; empty where there is none.
    """

    check: str
    evidence: str
    severity: Severity = Severity.OK
    expected: str = ""
    hint: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; None for what there is not."""
        return {name: str(getattr(self, name)) or None for name in self.__slots__}


def ok(check: str, evidence: str) -> Finding:
    """All is well there."""
    return Finding(check, evidence)


def note(check: str, evidence: str, expected: str = "", hint: str = "") -> Finding:
    """Good to know; nothing has to be done."""
    return Finding(check, evidence, Severity.NOTE, expected, hint)


def warning(check: str, evidence: str, expected: str, hint: str) -> Finding:
    """Tasks may be lost or held up."""
    return Finding(check, evidence, Severity.WARNING, expected, hint)


def error(check: str, evidence: str, expected: str, hint: str) -> Finding:
    """Tasks are lost or held up, or will be."""
    return Finding(check, evidence, Severity.ERROR, expected, hint)
