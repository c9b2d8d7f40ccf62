"""Who tells a caller how its task ended where no worker did: one at a time, and again later if it failed."""

from __future__ import annotations

from gridq.store.client import Client
from gridq.store.keys import PREFIX

_TELLING = PREFIX + "telling:"

#: Milliseconds that one teller has for one task. What could not be told is left alone for so long.
TERM = 30_000


def waiting(client: Client, untold: str) -> list[str]:
    """The tasks of an `untold` set, whose callers do not know yet."""
    return [bytes(task).decode(errors="replace") for task in client.command("SMEMBERS", untold)]


def begin(client: Client, untold: str, task_id: str) -> bool:
    """Whether this task's end is ours to tell now."""
    if not client.command("SET", _TELLING + task_id, "1", "NX", "PX", TERM):
        return False
    if client.command("SISMEMBER", untold, task_id):
        return True
    # Somebody told it between our look and our turn; if it ends so again, that is to be told at once.
    client.command("DEL", _TELLING + task_id)
    return False


def end(client: Client, untold: str, task_id: str) -> None:
    """The caller knows. After a failure this is not called: the turn ends by itself, and somebody tries again."""
    client.command("SREM", untold, task_id)
    client.command("DEL", _TELLING + task_id)
