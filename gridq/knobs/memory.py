"""What is remembered, and for how long."""

from __future__ import annotations

from gridq.knobs.knob import Knob
from gridq.knobs.parsers import amount, count, one_of, seconds
from gridq.units import GIB, MIB

MEMORY: dict[str, Knob] = {
    "records_ttl": Knob(
        seconds(1, 30 * 86400),
        "seconds",
        "1s to 720h",
        "24h",
        "How long the record of a finished task is kept for `gridq show`. A day, as long as Celery keeps results.",
    ),
    "records_limit": Knob(
        count(100, 10_000_000),
        "tasks",
        "100 to 10000000",
        "100000",
        "How many ended tasks are kept of each kind of end (done, failed, cancelled), however young. It bounds the "
        "memory that a flood of tasks takes of Redis, about 2 KB each.",
    ),
    "output_limit": Knob(
        amount(0, 64 * MIB),
        "bytes",
        "0 to 64MiB",
        "1MiB",
        "How much is kept of what one task prints, the latest; 0 keeps nothing. Enough for the log of a long training.",
    ),
    "output_total": Knob(
        amount(1 * MIB, 64 * GIB),
        "bytes",
        "1MiB to 64GiB",
        "256MiB",
        "How much is kept of what all tasks print; the output of those that ended first goes first.",
    ),
    "samples_ttl": Knob(
        seconds(0, 90 * 86400),
        "seconds",
        "0s to 2160h",
        "168h",
        "How long the fleet's samples are kept, one a minute; 0 takes none. A week, to see the same day a week ago.",
    ),
    "log_format": Knob(
        one_of("console", "json"),
        "",
        "console or json",
        "console",
        "How log lines look: for people, or one JSON object a line for programs that collect them.",
    ),
}
