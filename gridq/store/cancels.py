"""Cancelling tasks: what waits is taken out of its list, what runs is marked so that it never runs again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridq.store.client import Client
from gridq.store.keys import PREFIX

#: Cancelled tasks whose callers may not know yet: whoever cancelled them may have died before telling.
UNTOLD = PREFIX + "cancels:untold"

#: Tasks per script: Redis does nothing else meanwhile.
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of one task that was to be cancelled.

    Attributes:
        id: the task's id.
        state: in which it was, as in store/tasks.py; `unknown` without a record.
        ended: whether it waited and has ended by this.
        worker: who holds or held it; empty while nobody did.
        message: as published; empty where the record has none.
    """

    id: str
    state: str
    ended: bool
    worker: str
    message: str


def cancel(
    client: Client, tasks: Iterable[str], suffixes: Sequence[str], *, life: float, running: bool
) -> list[Cancelled]:
    """Cancel these tasks as far as that can be done in Redis.

    Args:
        tasks: their ids.
        suffixes: what stands behind a queue's name for each priority step.
        life: seconds for which the record of a cancelled task is kept.
        running: whether those that run shall end too. Their workers must be told; should a worker be lost before it
            hears, they end as cancelled all the same.
    """
    wanted, found = list(tasks), list[Cancelled]()
    for start in range(0, len(wanted), _AT_ONCE):
        ids = wanted[start : start + _AT_ONCE]
        reply = client.run("cancel", int(life * 1000), "1" if running else "0", len(suffixes), *suffixes, *ids)
        texts = [bytes(text).decode() for text in reply]
        found += [
            Cancelled(id, state, ended == "1", worker, message)
            for id, state, ended, worker, message in zip(
                ids, texts[::4], texts[1::4], texts[2::4], texts[3::4], strict=True
            )
        ]
    return found
