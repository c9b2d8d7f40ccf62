"""What the pool keeps when a worker stops or its connection breaks, and what goes back to its queue.

Celery discards all that no child has accepted yet, since its broker would deliver it again. Here a claim outlives the
connection, and a child that has read the message runs it all the same: what it came to would reach nobody, and the task
would run twice, or be held for ever. So would one that the pool was never given.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps
from celery.concurrency.asynpool import AsynPool, _get_job_writer

from gridq.broker.holder import Holder


class Handover(bootsteps.StartStopStep):
    """The bootstep that puts our flush of the pool in the place of Celery's."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Celery's hook."""
        holder = getattr(worker.app.amqp, "holder", None)
        children = getattr(worker.pool, "_pool", None)
        if holder is None:
            return
        if isinstance(children, AsynPool):
            worker.pool.flush = lambda: flush(children, holder)
        else:
            worker.pool.flush = lambda: give_back(holder)

    def stop(self, worker: Any) -> None:
        """Celery's hook: the pool is flushed after this."""


def flush(pool: AsynPool, holder: Holder) -> None:
    """Let the pool forget what no child has got; that goes back to its queue. Whatever a child has got stays."""
    got = _got(pool)
    for job, child in got.items():
        writer = _get_job_writer(job)
        if writer in pool._active_writers:
            # Half of it is in the child's pipe, and Celery writes the rest only where the worker goes on.
            pool._flush_writer(child, writer)
        job.discard = _stay
    try:
        pool.flush()
    finally:
        for job in got:
            del job.discard
    for job, child in got.items():
        if child._is_alive():
            pool._busy_workers.add(child.inqW_fd)
        elif not job.accepted():
            job.discard()
    _bury(pool)
    _give_back(pool, holder)


def give_back(holder: Holder) -> None:
    """A pool without children runs all that it was given; what it was not given goes back to its queue: tasks that
    waited for their rate limit, which Celery forgets."""
    for claim, task in list(holder.held.items()):
        if not task.pooled:
            holder.drop(claim)


def _got(pool: AsynPool) -> dict[Any, Any]:
    """The jobs that a child has got and not begun, and that child: a job itself may point at the one that came in its
    place, which has the same pipe. Those in the buffer were in the pipe of a child that has died since."""
    return {
        job: job._write_to
        for job in pool._cache.values()
        if job._write_to is not None and not job.accepted() and job not in pool.outbound_buffer
    }


def _bury(pool: AsynPool) -> None:
    """Of a child that has ended and is not cleared away yet Celery would follow a closed pipe, and end by that."""
    for child in pool._pool:
        if getattr(child, "_sentinel_poll", 0) is None:
            del child._sentinel_poll


def _give_back(pool: AsynPool, holder: Holder) -> None:
    """What is held and neither runs nor is the pool's goes back. Claims tell which: a task's id may be there twice, or,
    from another program, be none."""
    requests = [getattr(job._accept_callback, "__self__", None) for job in pool._cache.values()]
    kept = {request.delivery_info["claim"] for request in requests if request is not None}
    for claim, task in list(holder.held.items()):
        if task.pid is None and claim not in kept:
            holder.drop(claim)


def _stay() -> None:
    """The job stays in the pool."""
