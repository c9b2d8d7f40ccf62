"""Every worker's watch over all the others: whose lease has ended loses what it held, and callers learn of losses."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from celery import bootsteps

from gridq.broker import control
from gridq.broker.connection import open_client
from gridq.broker.context import context_of
from gridq.config import Settings
from gridq.errors import BrokerError, TaskLost
from gridq.store import cancels, dead, leases, tasks, telling
from gridq.store.client import Client, ServerError
from gridq.store.dead import DeadLetter
from gridq.worker.sampler import Sampler

logger = logging.getLogger(__name__)

#: Seconds between looks.
TICK = 1.0
#: Seconds between looks for records that are too many: at a thousand tasks a second, ten thousand too many. In every
#: minute there are several, so that no minute's sample is missed.
KEEP_TICK = 10.0
#: Seconds that a round in progress gets to end when the worker stops; one that tells may wait for a result backend.
_LAST_ROUND = 5.0


class Reaper(bootsteps.StartStopStep):
    """The bootstep that starts and stops the looking, and the telling, which a slow result backend may hold up."""

    requires = ("gridq.worker.heartbeat:Heartbeat",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, worker: Any) -> None:
        """Celery's hook."""
        terms, settings = worker.gridq.lease.terms, worker.gridq.settings
        sampler = Sampler(settings.samples_ttl)
        rounds: dict[str, tuple[float, Callable[[Client], None]]] = {
            "gridq-reaper": (TICK, lambda client: run_once(client, terms)),
            "gridq-teller": (TICK, lambda client: tell_all(client, worker.app)),
            "gridq-keeper": (KEEP_TICK, lambda client: keep(client, settings, sampler)),
        }
        for name, (pause, each) in rounds.items():
            thread = threading.Thread(target=self._look, args=(worker.app, pause, each), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, worker: Any) -> None:
        """Celery's hook."""
        self._stopping.set()
        end = time.monotonic() + _LAST_ROUND
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    terminate = stop

    def _look(self, app: Any, pause: float, each: Callable[[Client], None]) -> None:
        client: Client | None = None
        while not self._stopping.wait(pause):
            try:
                client = client or open_client(app)
                each(client)
            except (ServerError, OSError, BrokerError) as error:
                logger.debug("%s waits for Redis: %s", threading.current_thread().name, error)
            except Exception:  # A fleet whose looks end silently never takes anything back.
                logger.exception("%s failed, and goes on", threading.current_thread().name)
        if client is not None:
            client.close()


def run_once(client: Client, terms: leases.Terms) -> None:
    """One look: take back what ended leases held."""
    for reaped in leases.reap(client, terms):
        logger.warning(
            "%s was lost: %d task(s) went back to their queues, %d to the dead letters",
            reaped.worker,
            reaped.back,
            reaped.dead,
        )


def keep(client: Client, settings: Settings, sampler: Sampler) -> None:
    """Forget ended tasks that are too many, and take the fleet's sample if it is this worker's turn."""
    tasks.trim(client, life=settings.records_ttl, limit=settings.records_limit)
    sampler.tick(client)


def tell_all(client: Client, app: Any) -> None:
    """Tell the callers of what was buried or cancelled without them, each once, and as many as can be told."""
    for letter in dead.untold(client):
        if telling.begin(client, dead.UNTOLD, letter.id):
            with _going_on(letter.id):
                tell(app, letter)
                # Told twice is told the same; told never is a caller who waits for ever. So: first tell, then forget.
                telling.end(client, dead.UNTOLD, letter.id)
    for task_id in telling.waiting(client, cancels.UNTOLD):
        with _going_on(task_id):
            record = tasks.find(client, task_id)
            control.tell(app, client, task_id, record.message or "" if record else "")


@contextmanager
def _going_on(task_id: str) -> Iterator[None]:
    try:
        yield
    except Exception:  # Celery's backends and callbacks raise anything; the others are told all the same.
        logger.exception(
            "the caller of task %s could not be told how it ended; again later", task_id, extra={"task_id": task_id}
        )


def tell(app: Any, letter: DeadLetter) -> None:
    """Give the caller TaskLost as its result, and what waits for it its end: chord, chain, error callbacks."""
    error = TaskLost(f"{letter.id} was lost: {letter.reason}; held last by {letter.worker}")
    app.backend.mark_as_failure(letter.id, error, request=context_of(app, letter.id, letter.message))
