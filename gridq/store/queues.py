"""The queues as they are now: how many tasks wait in each, for how long, and how many workers look into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridq.queues import CLASSES, CPU, GPU, admits, is_constrained
from gridq.store.claims import constrained_queues
from gridq.store.client import Client
from gridq.store.keys import PRIORITY_SEPARATOR
from gridq.store.workers import WorkerStatus

#: kombu's steps: a message's priority is rounded down to one of them; the first has no suffix.
_STEPS = (0, 3, 6, 9)
_SUFFIXES = tuple(f"{PRIORITY_SEPARATOR}{step}" if step else "" for step in _STEPS)

#: So many GPUs at a time tasks may ask for; what waits for a number that no living worker has is to be seen too.
_COUNTS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Queue:
    """One queue.

    Attributes:
        name: as in gridq.queues.
        waiting: its messages, of all priorities.
        oldest: seconds for which the first in line has waited; None where nothing waits, or no record says it.
        consumers: workers that look into it and are not drained.
    """

    name: str
    waiting: int
    oldest: float | None
    consumers: int


def look(client: Client, living: Sequence[WorkerStatus]) -> list[Queue]:
    """Every queue that a worker looks into or in which something waits, by name."""
    constrained = constrained_queues(client)
    names = {CPU, GPU, *constrained, *_class_names(living)}
    names.update(queue for worker in living for queue in worker.queues)
    ordered = sorted(names)
    consumers = _consumers([worker for worker in living if not worker.draining], constrained)
    reply = client.run("queues", len(_SUFFIXES), *_SUFFIXES, *ordered)
    queues = [
        Queue(name, int(waiting), int(age) / 1000 if age >= 0 else None, consumers[name])
        for name, waiting, age in zip(ordered, reply[::2], reply[1::2], strict=True)
    ]
    return [queue for queue in queues if queue.waiting or queue.consumers]


def looks_into(worker: WorkerStatus, queue: str) -> bool:
    """Whether the worker consumes the queue. Those that ask for a model or a node it finds by itself."""
    return queue in worker.queues or _finds(worker, queue)


def _finds(worker: WorkerStatus, queue: str) -> bool:
    return worker.seat is not None and is_constrained(queue) and admits(queue, worker.seat)


def _consumers(taking: Iterable[WorkerStatus], constrained: Iterable[str]) -> Counter[str]:
    """How many of these workers look into each queue, by name: `looks_into` for a whole fleet at once."""
    found = Counter[str]()
    for worker in taking:
        found.update(set(worker.queues))
        found.update(queue for queue in constrained if queue not in worker.queues and _finds(worker, queue))
    return found


def _class_names(living: Iterable[WorkerStatus]) -> Iterable[str]:
    for gpus in {len(worker.gpus) for worker in living if worker.gpus}.union(_COUNTS):
        many = f".x{gpus}" if gpus > 1 else ""
        yield GPU + many
        yield from (f"{GPU}.{size}g{many}" for size in CLASSES)
