"""The last thing that a worker does: it gives its lease back, when its pool has ended its tasks."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from gridq.worker.heartbeat import Heartbeat
from gridq.worker.output import Output
from gridq.worker.triage import Triage


class Farewell(bootsteps.StartStopStep):
    """A step of Celery's consumer, since these are called once more after all steps of the worker have stopped."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def start(self, consumer: Any) -> None:
        """Nothing to start."""

    def stop(self, consumer: Any) -> None:
        """Nothing to stop: this comes before the pool has ended."""

    def shutdown(self, consumer: Any) -> None:
        """Celery's hook."""
        worker = consumer.controller
        for step in worker.steps:
            if isinstance(step, Triage | Output):
                step.finish()
        for step in worker.steps:
            if isinstance(step, Heartbeat):
                step.finish(worker)
