"""A worker's heartbeat: every few seconds it renews its lease and says what its GPUs say.

In a thread of its own, since the main thread may be busy; it blocks on nothing but Redis, and on that not for long.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import replace
from typing import Any

from celery import bootsteps

from gridq.broker.connection import open_client
from gridq.errors import BrokerError, NameTakenError
from gridq.gpu.health import State
from gridq.logs.complaint import complain
from gridq.store import leases
from gridq.store.client import Client, ServerError
from gridq.store.leases import Refused
from gridq.store.workers import WorkerStatus
from gridq.version import VERSION
from gridq.worker.deadline import now
from gridq.worker.guard import Guard, children, kill_group
from gridq.worker.life import UNAVAILABLE, Life
from gridq.worker.pulse import Pulse
from gridq.worker.summary import summary

logger = logging.getLogger(__name__)

#: Seconds between looks for children that have died.
RESPAWN = 0.2

#: Seconds between looks at whether a name that was taken has become free.
_RETRY = 0.5


class Heartbeat(bootsteps.StartStopStep):
    """The bootstep that starts and stops the heartbeat."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stopping = threading.Event()
        self._soon = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: Client | None = None
        self._guard: Guard | None = None
        self._pulse: Pulse | None = None
        self._stalled = False

    def start(self, worker: Any) -> None:
        """Celery's hook. The pool has forked by now: threads and forks do not go well together."""
        life: Life = worker.gridq
        whole = "prefork" not in worker.pool_cls.__module__
        self._guard = Guard(life.lease.end, life.lease.terms.lease, whole=whole)
        # Where tasks run in the worker's own process, one of them may keep the main loop for as long as it runs.
        self._pulse = None if whole else Pulse(life.lease.terms.lease)
        self._guard.tend()
        if life.watch is not None:
            life.watch.start()
        try:
            self._register(worker)
        except NameTakenError as error:
            complain(error, life.settings.log_format)
            raise SystemExit(UNAVAILABLE) from error
        except (ServerError, OSError, BrokerError) as error:
            logger.warning("%s has no lease yet, Redis does not answer: %s", life.place.name, error)
        self._thread = threading.Thread(target=self._beat, args=(worker,), name="gridq-heartbeat", daemon=True)
        self._thread.start()

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Celery's hook. By itself Celery replaces a dead child within five seconds, for which a GPU would idle."""
        if hasattr(worker.pool, "maintain_pool"):
            hub.call_repeatedly(RESPAWN, worker.pool.maintain_pool)
        if self._pulse is not None:
            self._pulse.follow(hub)

    def stop(self, worker: Any) -> None:
        """Celery's hook. It comes before the pool's, whose tasks may go on for hours: their lease must hold so long."""
        worker.gridq.drain.stop(worker.gridq.settings.grace)
        # The next heartbeat comes at once, and says so.
        self._soon.set()

    def finish(self, worker: Any) -> None:
        """The last task has ended: no more heartbeats, and whatever is still claimed goes back."""
        self._stopping.set()
        self._soon.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        life: Life = worker.gridq
        # Whatever tasks have left of their processes is gone before another worker may start them.
        if self._guard is not None:
            self._guard.stop()
        self._tell_ends(worker)
        try:
            leases.give_up(self._connected(worker), life.lease.claimant, life.lease.terms)
        except (ServerError, OSError, BrokerError) as error:
            logger.warning("%s could not say goodbye to Redis; its lease ends by itself: %s", life.place.name, error)
        if life.watch is not None:
            life.watch.stop()
        if self._client is not None:
            self._client.close()

    def _tell_ends(self, worker: Any) -> None:
        """Tell Redis which tasks have ended, or they would run again when the lease is given back. While it does not
        answer the worker stays, for as long as its lease lasts."""
        life: Life = worker.gridq
        while True:
            try:
                told = life.holder.tell_all(self._connected(worker))
            except (ServerError, OSError, BrokerError) as error:
                told = False
                logger.warning("%s stops when Redis knows which of its tasks have ended: %s", life.place.name, error)
            if told or not life.lease.holds:
                return
            time.sleep(_RETRY)

    def info(self, worker: Any) -> dict[str, Any]:
        """What `inspect stats` and Flower show; from memory, since Flower waits a second at most."""
        return summary(_status(worker)) if hasattr(worker, "gridq") else {}

    def _connected(self, worker: Any) -> Client:
        if self._client is None:
            self._client = open_client(worker.app)
        return self._client

    def _beat(self, worker: Any) -> None:
        life: Life = worker.gridq
        while not self._stopping.is_set():
            try:
                self._soon.wait(self._pause(life))
                self._soon.clear()
                if self._stopping.is_set():
                    return
                life.drain.enforce()
                if self._guard is not None:
                    self._guard.tend()
                if self._turns(worker):
                    self._renew(worker)
            except (ServerError, OSError, BrokerError) as error:
                logger.warning("heartbeat of %s did not reach Redis: %s", life.place.name, error)
            except NameTakenError as error:
                logger.critical("%s stops: %s", life.place.name, error)
                worker.stop(exitcode=UNAVAILABLE)
                return
            except Exception:  # A heartbeat that ends silently costs all that runs here.
                logger.exception("heartbeat of %s failed, and goes on", life.place.name)
                self._stopping.wait(_RETRY)

    def _turns(self, worker: Any) -> bool:
        """Whether the main loop turns. While the worker stops it does not have to: the pool ends its tasks then."""
        stopping = worker.blueprint.state != bootsteps.RUN
        silence = None if self._pulse is None or stopping else self._pulse.silence
        if silence is not None and not self._stalled:
            logger.critical(
                "the main loop of %s has hung for %.1fs: its lease is not renewed until it goes on, "
                "and its tasks run elsewhere when it ends",
                worker.gridq.place.name,
                silence,
            )
        elif silence is None and self._stalled:
            logger.warning("the main loop of %s goes on", worker.gridq.place.name)
        self._stalled = silence is not None
        return not self._stalled

    def _pause(self, life: Life) -> float:
        """Seconds until the next heartbeat: soon while nothing is known of a GPU, so that the first verdict is seen."""
        unknown = any(seen.verdict.state is State.UNKNOWN for seen in life.gate.observations)
        waiting = unknown or not life.lease.holds or self._stalled
        pause = min(0.2, life.settings.heartbeat) if waiting else float(life.settings.heartbeat)
        return min(pause, life.drain.pause)

    def _renew(self, worker: Any) -> None:
        life: Life = worker.gridq
        lease, holder = life.lease, life.holder
        if lease.epoch is None:
            self._register(worker)
            return
        offer = life.gate.opening(_queues(worker), held=holder.running, found=holder.constrained)
        status = _status(worker)
        sent_at = now()
        answer = leases.renew(self._connected(worker), lease.claimant, lease.terms, status, offer)
        if answer.ours:
            lease.renewed(sent_at)
            ran_at = holder.recent[-1][1] if holder.recent else 0.0
            life.tally.renewed(sent_at, now(), starving=answer.work_waits, ran_at=ran_at)
            if life.drain.learn(answer.drain):
                self._soon.set()
            holder.settle(self._connected(worker))
        elif answer.epoch != lease.epoch:
            logger.warning("Redis lost its memory: %s registers again and says what it holds", life.place.name)
            self._register(worker)
            holder.reassert(self._connected(worker))
        else:
            logger.error("%s lost its lease: its tasks are ended here and run elsewhere", life.place.name)
            lease.lost()
            lease.end.fenced_at = now()
            for child in set(children(os.getpid())) - {self._guard.pid if self._guard else None}:
                kill_group(child)
            lease.reincarnate()
            self._register(worker)

    def _register(self, worker: Any) -> None:
        """Get a lease; wait for a former holder of the name, whose end is not known here, to lose his.

        Raises:
            NameTakenError: when that holder lives on.
        """
        life: Life = worker.gridq
        lease, until = life.lease, time.monotonic() + 2 * life.lease.terms.lease
        client = self._connected(worker)
        while True:
            sent_at = now()
            answer = leases.register(client, lease.claimant, lease.terms, again=lease.epoch is not None)
            if not isinstance(answer, Refused):
                break
            if time.monotonic() > until or self._stopping.wait(min(_RETRY, answer.seconds)):
                raise NameTakenError(
                    f"expected a name that no living worker has, got {lease.name}",
                    hint="give this worker another one with -n, or this node another one with GRIDQ_NODE",
                )
        # Before the lease: without it nothing is claimed, and a drained worker shall claim nothing.
        life.drain.learn(answer.drain)
        lease.epoch = answer.epoch
        lease.renewed(sent_at)
        if answer.back or answer.dead:
            logger.warning("%s: %d task(s) of its former self went back", lease.name, answer.back + answer.dead)


def _status(worker: Any) -> WorkerStatus:
    life: Life = worker.gridq
    place, gate, holder = life.place, life.gate, life.holder
    held = holder.running
    slots = worker.max_concurrency or worker.concurrency
    gpus = tuple(replace(gpu, xids=life.tally.xids(gpu.device.uuid)) for gpu in gate.statuses())
    return WorkerStatus(
        name=place.name,
        node=place.node,
        token=life.lease.claimant.token,
        pid=os.getpid(),
        gpus=gpus,
        slots=slots,
        running=tuple(task.task_id for task in held.values()),
        free=gate.free(held) if gpus else None,
        cpu_load=round(os.getloadavg()[0] / (os.cpu_count() or 1), 3),
        score=round(gate.score(held, slots), 3),
        queues=_queues(worker),
        version=VERSION,
        round_trip=life.tally.round_trip,
        idle_while_waiting=round(life.tally.idle_while_waiting, 3),
        shut=gate.shut,
    )


def _queues(worker: Any) -> tuple[str, ...]:
    return tuple(worker.app.amqp.queues.consume_from)
