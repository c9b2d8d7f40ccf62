"""The same no-op task in a stock Celery app and in one with gridq; which one, the environment says."""

from __future__ import annotations

import os

from celery import Celery

import gridq

app = Celery("bench", broker=os.environ["BENCH_BROKER"], backend=os.environ["BENCH_BACKEND"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)
if os.environ["BENCH_APP"] == "gridq":
    gridq.install(app)
else:
    app.conf.task_default_queue = "stock"


@app.task
def noop(value: int) -> int:
    """Nothing, with a result."""
    return value
