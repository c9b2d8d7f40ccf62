"""A worker's heartbeat: every few seconds it renews its lease and says what its GPUs say.

In a thread of its own, since the main thread may be busy; it blocks on nothing but Redis, and on that not for long.
"""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from celery import bootsteps

from gridq.broker.connection import open_client
from gridq.errors import BrokerError
from gridq.store import workers
from gridq.store.client import Client, ServerError
from gridq.store.workers import GpuStatus, WorkerStatus

logger = logging.getLogger(__name__)


class Heartbeat(bootsteps.StartStopStep):
    """The bootstep that starts and stops the heartbeat."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, worker: Any) -> None:
        """Celery's hook. The pool has forked by now: threads and forks do not go well together."""
        if worker.gridq.watch is not None:
            worker.gridq.watch.start()
        self._thread = threading.Thread(target=self._beat, args=(worker,), name="gridq-heartbeat", daemon=True)
        self._thread.start()

    def stop(self, worker: Any) -> None:
        """Celery's hook, after the last task has ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if worker.gridq.watch is not None:
            worker.gridq.watch.stop()

    terminate = stop

    def info(self, worker: Any) -> dict[str, Any]:
        """What `inspect stats` and Flower show; from memory, since Flower waits a second at most."""
        return {"gridq": _status(worker).to_dict()} if hasattr(worker, "gridq") else {}

    def _beat(self, worker: Any) -> None:
        life, client = worker.gridq, None
        while True:
            try:
                client = client or open_client(worker.app)
                workers.write(client, _status(worker), life.settings.lease)
            except (ServerError, OSError, BrokerError) as error:
                logger.warning("heartbeat of %s did not reach Redis: %s", life.place.name, error)
            if self._stopping.wait(self._pause(worker)):
                break
        if client is not None:
            _say_goodbye(client, life.place.name, life.holder.token)

    def _pause(self, worker: Any) -> float:
        """Seconds until the next heartbeat: soon while the GPUs have not spoken yet, so that the first one is seen."""
        life = worker.gridq
        waiting = any(seen.reading is None for seen in life.gate.observations)
        return min(0.2, life.settings.heartbeat) if waiting else float(life.settings.heartbeat)


def _say_goodbye(client: Client, name: str, token: str) -> None:
    try:
        workers.forget(client, name, token)
        client.close()
    except (ServerError, OSError) as error:
        logger.warning("%s could not say goodbye to Redis; its lease ends by itself: %s", name, error)


def _status(worker: Any) -> WorkerStatus:
    life = worker.gridq
    place, gate, holder = life.place, life.gate, life.holder
    held = dict(holder.held)
    slots = worker.max_concurrency or worker.concurrency
    gpus = tuple(
        GpuStatus(device, verdict, seen.reading, round(seen.age, 3))
        for device, seen, verdict in zip(place.devices, gate.observations, gate.verdicts(), strict=True)
    )
    return WorkerStatus(
        name=place.name,
        node=place.node,
        token=holder.token,
        pid=os.getpid(),
        gpus=gpus,
        slots=slots,
        running=tuple(task.task_id for task in held.values()),
        free=gate.free(held) if gpus else None,
        cpu_load=round(os.getloadavg()[0] / (os.cpu_count() or 1), 3),
        score=round(gate.score(held, slots), 3),
        queues=tuple(worker.app.amqp.queues.consume_from),
    )
