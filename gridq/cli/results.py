"""What a task returned or raised, as Celery's result backend says, within a time that a person waits."""

from __future__ import annotations

import threading
from typing import Any

from gridq.cli.look import Row

#: Seconds that a result backend may take. Celery's own time-out for Redis is two minutes.
PATIENCE = 3.0
#: Characters of a result that are shown, and lines of a traceback, of which the last say most.
_LONGEST, _MOST_LINES = 500, 40


def result_of(app: Any, task_id: str) -> Row:
    """The state, the result (cut) and the traceback (cut) of a task, each None where there is none.

    `unknown` is why the backend does not say; None when it does.
    """
    said: list[Row] = []

    def ask() -> None:
        try:
            said.append(_read(app, task_id))
        except Exception as error:  # noqa: BLE001 (a backend of any kind; its failure is an answer, not our end)
            said.append(_unknown(f"{type(error).__name__}: {error}"))

    # A daemon, since nobody can stop a call into a library that waits for a silent server.
    asking = threading.Thread(target=ask, name="gridq-result", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return said[0] if said else _unknown(f"the result backend did not answer within {PATIENCE:g}s")


def _read(app: Any, task_id: str) -> Row:
    from celery.backends.base import DisabledBackend
    from celery.utils.saferepr import saferepr

    if isinstance(app.backend, DisabledBackend):
        return _unknown("no result backend is configured")
    meta = app.backend.get_task_meta(task_id)
    state = str(meta["status"])
    if state == "PENDING":
        return _unknown("the result backend knows nothing of it (any more)")
    trace = meta.get("traceback")
    return {
        "state": state,
        "result": None if meta.get("result") is None and trace else saferepr(meta.get("result"), maxlen=_LONGEST),
        "traceback": _last_lines(str(trace)) if trace else None,
        "unknown": None,
    }


def _last_lines(trace: str) -> str:
    lines = trace.rstrip().splitlines()
    left_out = len(lines) - _MOST_LINES
    return "\n".join([f"… {left_out} lines", *lines[left_out:]] if left_out > 0 else lines)


def _unknown(why: str) -> Row:
    return {"state": None, "result": None, "traceback": None, "unknown": why}
