"""From the beginning of a task to its end, what it prints and reports goes to its worker's desk."""

from __future__ import annotations

import os
from typing import Any

from celery import signals

from gridq import reporter
from gridq.config import Settings
from gridq.reporter import Reporter
from gridq.worker.capture import Capture
from gridq.worker.desk import Desk, file_name
from gridq.worker.pad import Pad


def follow(desk: Desk, settings: Settings) -> None:
    """In whatever process runs this worker's tasks, lead what they print and report to the desk."""
    parent = os.getpid()
    captures: list[Capture] = []
    running: dict[str, Reporter] = {}

    def child_begins(**_: Any) -> None:
        # The pool that runs tasks in the worker itself sends this signal too.
        if os.getpid() != parent and settings.output_limit:
            captures.append(Capture(Pad(desk.pads, desk.printed)))

    def start(task_id: str, task: Any, **_: Any) -> None:
        claim = (task.request.delivery_info or {}).get("claim")
        if claim is None:
            # Another task runs this one as a part of itself.
            return
        name = file_name(claim, task_id)
        running[claim] = Reporter(desk.reported / name)
        reporter.follow(running[claim], alone=os.getpid() != parent)
        for capture in captures:
            capture.begin(name)

    def end(task_id: str, task: Any, **_: Any) -> None:
        ended = running.pop((task.request.delivery_info or {}).get("claim", ""), None)
        if ended is None:
            return
        reporter.follow(None, alone=os.getpid() != parent)
        ended.close()
        for capture in captures:
            capture.end()

    signals.worker_process_init.connect(child_begins, weak=False)
    signals.task_prerun.connect(start, weak=False)
    signals.task_postrun.connect(end, weak=False)
