"""How the values of settings are read: from what a person wrote to the typed value; ValueError says what is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from gridq.knobs.knob import written
from gridq.units import format_bytes, parse_bytes, parse_seconds

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def seconds(low: float, high: float) -> Callable[[object], float]:
    """A time within these bounds."""

    def parse(value: object) -> float:
        amount = parse_seconds(value)
        if not low <= amount <= high:
            raise ValueError(f"expected a time from {written(low)} to {written(high)}, got {value!r}")
        return amount

    return parse


def amount(low: int, high: int) -> Callable[[object], int]:
    """Bytes within these bounds."""

    def parse(value: object) -> int:
        number = parse_bytes(value)
        if not low <= number <= high:
            raise ValueError(f"expected from {format_bytes(low)} to {format_bytes(high)}, got {value!r}")
        return number

    return parse


def count(low: int, high: int) -> Callable[[object], int]:
    """A whole number within these bounds."""

    def parse(value: object) -> int:
        text = value if isinstance(value, int) and not isinstance(value, bool) else str(value)
        number = int(text) if str(text).isdigit() else low - 1
        if not low <= number <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, got {value!r}")
        return number

    return parse


def weight(value: object) -> float:
    """A number from 0 to 100."""
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise ValueError(f"expected a number from 0 to 100, got {value!r}")
    return number


def one_of(*words: str) -> Callable[[object], str]:
    """One of these words."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"expected {' or '.join(words)}, got {value!r}")
        return value

    return parse


def modules(value: object) -> tuple[str, ...]:
    """Names of Python modules."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) and _MODULE.fullmatch(n) for n in names):
        raise ValueError(f"expected names of modules such as shop.tasks, several joined by commas, got {value!r}")
    return tuple(names)


def word(value: object) -> str:
    """Any word."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a word, got {value!r}")
    return value.strip()


def node(value: object) -> str:
    """A host's name."""
    if not isinstance(value, str) or not re.fullmatch(r"[^\s@\0]{1,255}", value):
        raise ValueError(f"expected a host's name without spaces or '@', got {value!r}")
    return value


def path(of: str) -> Callable[[object], Path]:
    """The path of `a file` or `a directory`, made absolute."""

    def parse(value: object) -> Path:
        if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
            raise ValueError(f"expected the path of {of}, got {value!r}")
        try:
            return Path(value).expanduser().absolute()
        except RuntimeError as error:
            raise ValueError(f"expected the path of {of}, got {value!r}: {error}") from None

    return parse
