"""From a child to the worker's main process: how a task failed, in words.

What a child raises is pickled, and to read it the main process would import the libraries whose exceptions it is made
of. An exception of CuPy's asks CUDA for its text, and no process that is forked after that can use CUDA: a child that
replaces another would fail each of its tasks.
"""

from __future__ import annotations

import os
from typing import Any

from celery import signals
from kombu.utils.encoding import safe_repr

#: Packages that the main process has imported anyway, and whose exceptions mean something to it.
_KNOWN = {"builtins", "celery", "billiard", "kombu", "gridq"}
_PLAIN = (str, bytes, int, float, bool, type(None))


class Told(Exception):  # noqa: N818 (it stands for one of any name)
    """An exception of another process, of which nothing has to be imported.

    Attributes:
        name: of its class.
        words: what `str` says of it.
        shown: what `repr` says of it.
    """

    def __init__(self, name: str, words: str, shown: str) -> None:
        super().__init__(name, words, shown)
        self.name, self.words, self.shown = name, words, shown

    def __str__(self) -> str:
        return self.words

    def __repr__(self) -> str:
        return self.shown


def tell(error: BaseException) -> BaseException:
    """The exception itself, if it can be read with what the main process has; else in words."""
    kind = type(error)
    is_plain = not vars(error) and all(isinstance(argument, _PLAIN) for argument in error.args)
    if is_plain and kind.__module__.partition(".")[0] in _KNOWN:
        return error
    return Told(kind.__name__, _words(error), safe_repr(error))


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a task's own class may do anything there, and must still be told of.
        return f"{type(error).__name__} that cannot be shown"


def line(error: BaseException) -> str:
    """What a record says of it: the name of its class, and what it says."""
    return f"{error.name if isinstance(error, Told) else type(error).__name__}: {error}"


def follow() -> None:
    """In each child, after its results are stored and everybody there has seen the exception itself."""
    parent = os.getpid()
    failures: dict[str, Any] = {}
    retries: dict[str, Any] = {}

    def failed(task_id: str, einfo: Any, **_: Any) -> None:
        # Where the pool has no children nothing is pickled.
        if os.getpid() != parent:
            failures[task_id] = einfo

    def put_off(request: Any, reason: Any, **_: Any) -> None:
        if os.getpid() != parent:
            retries[request.id] = reason

    def end(task_id: str, **_: Any) -> None:
        einfo, retry = failures.pop(task_id, None), retries.pop(task_id, None)
        if einfo is not None:
            error = getattr(einfo.exception, "exc", einfo.exception)
            einfo.exception = tell(error)
            einfo.type = type(einfo.exception)
        if retry is not None and retry.exc is not None:
            retry.exc = tell(retry.exc)

    signals.task_failure.connect(failed, weak=False)
    signals.task_retry.connect(put_off, weak=False)
    signals.task_postrun.connect(end, weak=False)
