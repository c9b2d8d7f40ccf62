"""One look at the store: all that a scrape shows, read in a few round trips."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gridq.store import counters, queues, tasks, workers
from gridq.store.client import Client
from gridq.store.counters import Counters
from gridq.store.queues import Queue
from gridq.store.workers import WorkerStatus


@dataclass(frozen=True, slots=True)
class Look:
    """What the store said.

    Attributes:
        workers: the living ones.
        queues: those into which somebody looks, or in which something waits.
        counters: what has been counted since the broker's memory began.
        states: how many tasks are in a state now, by its name: running, delayed, dead.
        round_trip: seconds that the broker took to answer a plain question.
        seconds: that all of it took.
    """

    workers: tuple[WorkerStatus, ...]
    queues: tuple[Queue, ...]
    counters: Counters
    states: dict[str, int]
    round_trip: float
    seconds: float


def look(client: Client) -> Look:
    """Ask the store for everything once.

    Raises:
        ServerError: when the broker does not answer.
    """
    began = time.perf_counter()
    client.now()
    round_trip = time.perf_counter() - began
    living = workers.living(client)
    return Look(
        workers=tuple(living),
        queues=tuple(queues.look(client, living)),
        counters=counters.read(client),
        states=tasks.counts(client),
        round_trip=round_trip,
        seconds=time.perf_counter() - began,
    )
