"""Who takes no more tasks until somebody undrains it: workers by name, and whole nodes.

Kept here and not in the worker, so that it survives the worker's restart. Each worker learns it when it registers and
with every heartbeat (store/leases.py); routing ignores it at once (`WorkerStatus.draining`).
"""

from __future__ import annotations

from gridq.store.client import Client
from gridq.store.keys import DRAINS


def drain(client: Client, name: str, seconds: float | None = None) -> None:
    """Let a worker or a node take no more tasks; what still runs after so many seconds is ended and goes back."""
    ends = 0 if seconds is None else max(1, int((client.now() + seconds) * 1000))
    client.command("HSET", DRAINS, name, ends)


def undrain(client: Client, name: str) -> bool:
    """Let it take tasks again; returns whether it was drained."""
    return bool(client.command("HDEL", DRAINS, name))


def drained(client: Client) -> dict[str, float | None]:
    """Every worker or node that is drained, and the seconds until what runs there is ended; None for never."""
    found = client.command("HGETALL", DRAINS)
    now = client.now() if found else 0.0
    ends = {bytes(name).decode(): int(value) / 1000 for name, value in found.items()}
    return {name: max(0.0, at - now) if at else None for name, at in sorted(ends.items())}
