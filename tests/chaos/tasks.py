"""The app of both sides: the same tasks, on gridq or on stock Celery, as the environment says."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celery import Celery

from .ledger import BEAT, Entry, now

#: Variable with the app's side, configuration and ledger, as JSON.
PLAN = "CHAOS_PLAN"


def _entry(task: Any) -> Entry:
    request = task.request
    head = {"task": request.id, "number": request.retries, "worker": request.hostname}
    return Entry(Path(task.app.chaos_ledger), {**head, "parent": os.getppid(), "pid": os.getpid()})


def _live(entry: Entry, seconds: float) -> None:
    until = now() + seconds
    while now() < until:
        entry.beat()
        time.sleep(min(BEAT, max(0.0, until - now())))


def work(self: Any, seconds: float) -> str:
    """Take this long."""
    entry = _entry(self)
    _live(entry, seconds)
    entry.finish()
    return str(self.request.id)


def try_again(self: Any, seconds: float, countdown: float) -> str:
    """Take this long, and fail at the first try."""
    entry = _entry(self)
    _live(entry, seconds)
    entry.finish()
    if self.request.retries < 1:
        raise self.retry(countdown=countdown, max_retries=3)
    return str(self.request.id)


def poison(self: Any, seconds: float) -> None:
    """Kill the process that runs it."""
    entry = _entry(self)
    _live(entry, seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def build(environ: Mapping[str, str], **options: Any) -> Celery:
    """An app by the plan in the environment."""
    plan = json.loads(environ[PLAN])
    app = Celery("chaos", **options)
    needs: dict[str, Any] = {}
    if plan["side"] == "gridq":
        import gridq
        from gridq import config

        gridq.install(app, config.load(environ=environ))
        needs = {"gpu": True}
    app.config_from_object(plan["configuration"])
    app.chaos_ledger = plan["ledger"]
    for body in (work, try_again, poison):
        app.task(name=f"chaos.{body.__name__}", bind=True, shared=False, **needs)(body)
    return app


if PLAN in os.environ:
    app = build(os.environ)
