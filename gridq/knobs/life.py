"""How long workers, tasks and GPUs are given."""

from __future__ import annotations

from gridq.knobs.knob import Knob
from gridq.knobs.parsers import count, seconds

LIFE: dict[str, Knob] = {
    "heartbeat": Knob(
        seconds(0.05, 60),
        "seconds",
        "0.05s to 60s, and less than half of lease",
        "2s",
        "How often a worker renews its lease. At 2s, four renewals in a row must fail before a lease ends.",
    ),
    "lease": Knob(
        seconds(1, 86400),
        "seconds",
        "1s to 24h, and more than twice heartbeat",
        "10s",
        "A worker silent for so long loses its tasks to others. Longer than a failover of Redis, short enough to wait.",
    ),
    "max_attempts": Knob(
        count(1, 1000),
        "times",
        "1 to 1000",
        "3",
        "A task that so many workers or processes died under goes to the dead letters: it may be what kills them.",
    ),
    "grace": Knob(
        seconds(0, 30 * 86400),
        "seconds",
        "0s to 720h",
        "1h",
        "How long running tasks may go on in a worker told to stop; then they go back to their queues. Most end in an "
        "hour, and who updates a node cannot wait for a week.",
    ),
    "probe_interval": Knob(
        seconds(0.05, 60),
        "seconds",
        "0.05s to 60s, and less than probe_deadline",
        "1s",
        "How often each GPU is read. A reading takes milliseconds, and a second is how old placement's data may be.",
    ),
    "probe_deadline": Knob(
        seconds(0.1, 300),
        "seconds",
        "0.1s to 5m, and more than probe_interval",
        "3s",
        "A GPU that says nothing for so long is unknown and takes no work. Drivers can hang; three reads may fail.",
    ),
    "recovery": Knob(
        seconds(0.05, 86400),
        "seconds",
        "0.05s to 24h",
        "1m",
        "How long a GPU that was hot or faulty must look well before it is checked and takes work again. A minute "
        "outlasts the swing of fans and the errors that follow a fault.",
    ),
}
