"""Every setting by name: how its value is read, its unit, range and default, and the reason for that default."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridq.units import parse_seconds
from gridq.urls import checked_url

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Knob:
    """What is known of one setting before anyone sets it.

    Attributes:
        parse: from what a person wrote to the typed value; ValueError says what was expected and what came.
        unit: `seconds`, or empty where the value has none.
        range: the values that are taken, in words.
        default: the default, in words.
        reason: what it is for, and why the default is what it is.
    """

    parse: Callable[[object], Any]
    unit: str
    range: str
    default: str
    reason: str


def written(seconds: float) -> str:
    """Seconds as a person writes them in a setting: `24h`, `10m`, `0.5s`."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        seconds = parse_seconds(value)
        if not low <= seconds <= high:
            raise ValueError(f"expected a time from {written(low)} to {written(high)}, got {value!r}")
        return seconds

    return parse


def _count(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        text = value if isinstance(value, int) and not isinstance(value, bool) else str(value)
        number = int(text) if str(text).isdigit() else low - 1
        if not low <= number <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, got {value!r}")
        return number

    return parse


def _weight(value: object) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else -1.0
    except ValueError:
        number = -1.0
    if not 0 <= number <= 100:
        raise ValueError(f"expected a number from 0 to 100, got {value!r}")
    return number


def _one_of(*words: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"expected {' or '.join(words)}, got {value!r}")
        return value

    return parse


def _modules(value: object) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(n, str) and _MODULE.fullmatch(n) for n in names):
        raise ValueError(f"expected names of modules such as shop.tasks, several joined by commas, got {value!r}")
    return tuple(names)


def _word(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a word, got {value!r}")
    return value.strip()


def _node(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[^\s@\0]{1,255}", value):
        raise ValueError(f"expected a host's name without spaces or '@', got {value!r}")
    return value


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError(f"expected the path of a directory, got {value!r}")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError(f"expected the path of a directory, got {value!r}: {error}") from None


KNOBS: dict[str, Knob] = {
    "broker_url": Knob(
        checked_url,
        "",
        "redis://…, rediss://…, or sentinel://…;sentinel://…",
        "none",
        "The Redis that carries the tasks and gridq's records. Without one, `gridq up` starts a server of its own.",
    ),
    "result_backend": Knob(
        checked_url,
        "",
        "as broker_url",
        "the broker's server, next database",
        "Where results go. A database of its own, so that results can be flushed without losing a task.",
    ),
    "sentinel_master": Knob(
        _word, "", "a word", "none", "What the sentinels call the primary; needed with sentinel:// and only there."
    ),
    "tasks": Knob(
        _modules, "", "names of modules", "none", "The modules that define tasks; workers import them at their start."
    ),
    "node": Knob(
        _node, "", "a name without spaces or '@'", "the host's name", "This machine's name in queues and in listings."
    ),
    "gpus": Knob(
        _word,
        "",
        "auto, nvml, or sim:… such as sim:4x24GiB",
        "auto",
        "Where GPUs are looked for. `auto` is NVML where a driver answers, else no GPU.",
    ),
    "runtime_dir": Knob(
        _path,
        "",
        "the path of a directory of yours, mode 0700",
        "$XDG_RUNTIME_DIR/gridq, else /tmp/gridq-UID",
        "The local broker's address and data. They hold its password, so no other user may enter.",
    ),
    "lock_dir": Knob(
        _path,
        "",
        "the path of a directory that all users of the machine share",
        "/tmp/gridq-locks",
        "One lock file per GPU. Who does not see the others' locks takes their GPUs, so it is not under $TMPDIR.",
    ),
    "heartbeat": Knob(
        _seconds(0.05, 60),
        "seconds",
        "0.05s to 60s, and less than half of lease",
        "2s",
        "How often a worker renews its lease. At 2s, four renewals in a row must fail before a lease ends.",
    ),
    "lease": Knob(
        _seconds(1, 86400),
        "seconds",
        "1s to 24h, and more than twice heartbeat",
        "10s",
        "A worker silent for so long loses its tasks to others. Longer than a failover of Redis, short enough to wait.",
    ),
    "max_attempts": Knob(
        _count(1, 1000),
        "times",
        "1 to 1000",
        "3",
        "A task that so many workers or processes died under goes to the dead letters: it may be what kills them.",
    ),
    "grace": Knob(
        _seconds(0, 30 * 86400),
        "seconds",
        "0s to 720h",
        "1h",
        "How long running tasks may go on in a worker told to stop; then they go back to their queues. Most end in an "
        "hour, and who updates a node cannot wait for a week.",
    ),
    "probe_interval": Knob(
        _seconds(0.05, 60),
        "seconds",
        "0.05s to 60s, and less than probe_deadline",
        "1s",
        "How often each GPU is read. A reading takes milliseconds, and a second is how old placement's data may be.",
    ),
    "probe_deadline": Knob(
        _seconds(0.1, 300),
        "seconds",
        "0.1s to 5m, and more than probe_interval",
        "3s",
        "A GPU that says nothing for so long is unknown and takes no work. Drivers can hang; three reads may fail.",
    ),
    "recovery": Knob(
        _seconds(0.05, 86400),
        "seconds",
        "0.05s to 24h",
        "1m",
        "How long a GPU that was hot or faulty must look well before it is checked and takes work again. A minute "
        "outlasts the swing of fans and the errors that follow a fault.",
    ),
    "strategy": Knob(
        _one_of("least-loaded"), "", "least-loaded", "least-loaded", "How a task's GPU is chosen among those that fit."
    ),
    "cpu_weight": Knob(
        _weight, "", "0 to 100, not 0 together with gpu_weight", "1", "What the host's CPU load counts in a GPU's load."
    ),
    "gpu_weight": Knob(
        _weight,
        "",
        "0 to 100, not 0 together with cpu_weight",
        "3",
        "What the GPU's own load counts. Three times the CPU's: a GPU task mostly waits for its GPU.",
    ),
    "snapshot_age": Knob(
        _seconds(0, 0.5),
        "seconds",
        "0s to 0.5s",
        "0.5s",
        "How old the picture of the fleet may be that a task is placed by. It saves a read of Redis per publish; "
        "the reservation is checked against the present anyway.",
    ),
    "records_ttl": Knob(
        _seconds(1, 30 * 86400),
        "seconds",
        "1s to 720h",
        "24h",
        "How long the record of a finished task is kept for `gridq show`. A day, as long as Celery keeps results.",
    ),
    "confirm": Knob(
        _one_of("none", "replica", "aof"),
        "",
        "none, replica or aof",
        "none",
        "What delay() waits for: Redis itself, a replica of it, or its disk. What was confirmed survives its loss.",
    ),
    "confirm_timeout": Knob(
        _seconds(0.01, 60),
        "seconds",
        "0.01s to 60s",
        "1s",
        "How long delay() waits for that. A replica or a disk that is well answers within milliseconds.",
    ),
    "impossible_needs": Knob(
        _one_of("wait", "refuse"),
        "",
        "wait or refuse",
        "wait",
        "A task that no GPU seen so far could ever run waits with a warning, since a node may join, or is refused.",
    ),
}


@dataclass(frozen=True, slots=True)
class Described:
    """One setting as `gridq config show` tells it; passwords are masked."""

    name: str
    value: str
    source: str
    unit: str
    range: str
    default: str
    reason: str


def described(name: str, value: str, source: str) -> Described:
    """The setting with its value and where that came from."""
    knob = KNOBS[name]
    return Described(name, value, source, knob.unit, knob.range, knob.default, knob.reason)
