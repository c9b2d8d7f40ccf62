"""Bytes and seconds, as people write them and as the code keeps them: `8GiB` ↔ 8589934592, `15s` ↔ 15.0."""

from __future__ import annotations

import math
import re

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40

_BYTES = {"b": 1, "kib": KIB, "mib": MIB, "gib": GIB, "tib": TIB, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_bytes(text: object) -> int:
    """Bytes from `8GiB`, `512 MiB`, `24GB` or a whole number of bytes.

    Raises:
        ValueError: with one sentence that says what was expected and what came.
    """
    expected = "an amount of memory such as 8GiB, 512MiB or a whole number of bytes"
    if isinstance(text, int) and not isinstance(text, bool):
        amount = float(text)
    else:
        amount = _amount(text, _BYTES, expected, default="b")
    if amount < 0 or amount > 2**50:
        raise ValueError(f"expected {expected} from 0 to 1024 TiB, got {text!r}")
    return int(amount)


def parse_seconds(text: object) -> float:
    """Seconds from `15s`, `500ms`, `2h`, or a number of seconds.

    Raises:
        ValueError: with one sentence that says what was expected and what came.
    """
    expected = "a time such as 15s, 500ms, 2h or a number of seconds"
    if isinstance(text, int | float) and not isinstance(text, bool):
        if not math.isfinite(text) or text < 0:
            raise ValueError(f"expected {expected}, got {text!r}")
        return float(text)
    return _amount(text, _SECONDS, expected, default="s")


def _amount(text: object, units: dict[str, float] | dict[str, int], expected: str, default: str) -> float:
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    unit = (match[2].lower() or default) if match else ""
    if match is None or unit not in units:
        raise ValueError(f"expected {expected}, got {text!r}")
    return float(match[1]) * units[unit]


def format_bytes(amount: int) -> str:
    """`8GiB`, `512MiB`, `1.5GiB`: exact where it can be, one decimal where not."""
    for name, size in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        # What would round up to 1024 of a unit is one of the next.
        if amount >= size - size / KIB / 20:
            return f"{amount / size:.1f}".removesuffix(".0") + name
    return f"{amount}B"


def format_seconds(seconds: float) -> str:
    """`850ms`, `12s`, `3m 20s`, `2h 05m`, `3d 04h`."""
    # The bounds are where rounding would show 1000ms or 60s.
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    minutes, rest = divmod(int(seconds + 0.05), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes:02d}m"
    return f"{hours // 24}d {hours % 24:02d}h"
