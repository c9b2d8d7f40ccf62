"""What the pool keeps when a worker stops or its connection breaks: tasks that a child has got but not begun.

Celery discards all that no child has accepted yet, since its broker would deliver it again. Here a claim outlives the
connection, and a child that has read the message runs it all the same: what it came to would reach nobody, and the task
would run twice, or be held for ever.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.concurrency.asynpool import AsynPool

from gridq.broker.holder import Holder


class Handover(bootsteps.StartStopStep):
    """The bootstep that puts our flush of the pool in the place of Celery's."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Celery's hook."""
        holder = getattr(worker.app.amqp, "holder", None)
        children = getattr(worker.pool, "_pool", None)
        if holder is not None and isinstance(children, AsynPool):
            worker.pool.flush = lambda: flush(children, holder)

    def stop(self, worker: Any) -> None:
        """Celery's hook: the pool is flushed after this."""


def flush(pool: AsynPool, holder: Holder) -> None:
    """Let the pool forget what no child has got; that goes back to its queue. Whatever a child has got stays."""
    begun = [job for job in pool._cache.values() if job._write_to is not None and not job.accepted()]
    for job in begun:
        job.discard = _stay
    try:
        pool.flush()
    finally:
        for job in begun:
            del job.discard
    for job in begun:
        if job.accepted() or job._write_to._is_alive():
            pool._busy_workers.add(job._write_to.inqW_fd)
        else:
            job.discard()
    kept = {job.correlation_id for job in pool._cache.values()}
    for claim, task in list(holder.held.items()):
        if task.pid is None and task.task_id not in kept:
            holder.drop(claim)


def _stay() -> None:
    """The job stays in the pool."""
