"""Which GPU a task gets, and what its sender waits for."""

from __future__ import annotations

from gridq.knobs.knob import Knob
from gridq.knobs.parsers import one_of, seconds, weight

PLACING: dict[str, Knob] = {
    "strategy": Knob(
        one_of("least-loaded"), "", "least-loaded", "least-loaded", "How a task's GPU is chosen among those that fit."
    ),
    "cpu_weight": Knob(
        weight, "", "0 to 100, not 0 together with gpu_weight", "1", "What the host's CPU load counts in a GPU's load."
    ),
    "gpu_weight": Knob(
        weight,
        "",
        "0 to 100, not 0 together with cpu_weight",
        "3",
        "What the GPU's own load counts. Three times the CPU's: a GPU task mostly waits for its GPU.",
    ),
    "snapshot_age": Knob(
        seconds(0, 0.5),
        "seconds",
        "0s to 0.5s",
        "0.5s",
        "How old the picture of the fleet may be that a task is placed by. It saves a read of Redis per publish; "
        "the reservation is checked against the present anyway.",
    ),
    "confirm": Knob(
        one_of("none", "replica", "aof"),
        "",
        "none, replica or aof",
        "none",
        "What delay() waits for: Redis itself, a replica of it, or its disk. What was confirmed survives its loss.",
    ),
    "confirm_timeout": Knob(
        seconds(0.01, 60),
        "seconds",
        "0.01s to 60s",
        "1s",
        "How long delay() waits for that. A replica or a disk that is well answers within milliseconds.",
    ),
    "impossible_needs": Knob(
        one_of("wait", "refuse"),
        "",
        "wait or refuse",
        "wait",
        "A task that no GPU seen so far could ever run waits with a warning, since a node may join, or is refused.",
    ),
}
