"""A shop with GPUs: a Celery app of its own that gridq is installed in, and the tasks that the tests send.

Workers import `shop:app`; a test builds its own app of the same tasks for its own broker with `build`.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import structlog
import talk
from celery import Celery, signals
from celery.exceptions import Ignore
from celery.worker.control import control_command
from ledger import VARIABLE, Ledger

import gridq
from gridq.config import Settings

#: Set for beat, which then sends a task twice a second.
SCHEDULED = "SHOP_SCHEDULED"
#: Nothing here waits longer than this for a test.
PATIENCE = 60.0


def ledger() -> Ledger:
    """The ledger of the fleet that this worker belongs to."""
    return Ledger(Path(os.environ[VARIABLE]))


def place(task: Any) -> dict[str, Any]:
    """Where a task runs."""
    return {"worker": task.request.hostname, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "pid": os.getpid()}


def work(self: Any, seconds: float = 0.0) -> dict[str, Any]:
    """Takes its time."""
    with ledger().running(self):
        time.sleep(seconds)
    return place(self)


def wait_for(self: Any, signal: str) -> dict[str, Any]:
    """Runs until the file appears."""
    end = time.monotonic() + PATIENCE
    with ledger().running(self):
        while not Path(signal).exists() and time.monotonic() < end:
            time.sleep(0.005)
    return place(self)


def add(x: float, y: float) -> float:
    """A CPU task."""
    return x + y


def scale(self: Any, x: float, factor: float = 2) -> float:
    """A GPU task in the middle of a canvas."""
    with ledger().running(self):
        return x * factor


def total(self: Any, numbers: list[float]) -> float:
    """The end of a chord."""
    with ledger().running(self):
        return sum(numbers)


def flaky(self: Any, failures: int, countdown: float) -> dict[str, Any]:
    """Fails a few times, and says so by a retry."""
    with ledger().running(self):
        if self.request.retries < failures:
            raise self.retry(countdown=countdown, max_retries=failures)
    return place(self) | {"try": self.request.retries}


def broken() -> None:
    """Raises."""
    raise ValueError("out of stock")


def ignore(self: Any) -> None:
    """Stores its result itself."""
    self.update_state(state="SUCCESS", meta="mine")
    raise Ignore("told already")


def starve() -> None:
    """Asks for more memory than there is, as numpy and CuPy say it."""
    raise MemoryError("unable to allocate 9 EiB")


def use_cupy(self: Any, *, again: bool) -> None:
    """Fails with the exception of a library that the worker's main process must not import, at once or when it has
    been put off once."""
    import likecupy

    error = likecupy.LikeCupyError("no such device")
    if again and not self.request.retries:
        raise self.retry(exc=error, countdown=0)
    raise error


def crash_cuda(library: str, code: int, *, caught: bool = False) -> int:
    """A kernel of it fails with this CUresult, after which CUDA works no more in its process."""
    ctypes.CDLL(library).fake_fail(code)
    if not caught:
        raise RuntimeError(f"CUDA error {code}")
    return os.getpid()


def crash_cuda_and_abort(self: Any, library: str, code: int) -> None:
    """A kernel of it fails, and then its process is ended by what comes behind the task."""
    with ledger().running(self):
        ctypes.CDLL(library).fake_fail(code)
    raise RuntimeError(f"CUDA error {code}")


def abort_behind(task: Any, **_: Any) -> None:
    """As a receiver of task_postrun would that frees the GPU's memory."""
    if task.name == "shop.crash_cuda_and_abort":
        os.abort()


@signals.celeryd_after_setup.connect(weak=False)
def _connect_behind_gridq(**_: Any) -> None:
    signals.task_postrun.connect(abort_behind, weak=False)


def confess(self: Any, words: str) -> None:
    """Says it to every kind of logger, from a thread too, and fails with it."""
    logging.getLogger("shop").info("told: %s", words, extra={"words": words, "password": "swordfish"})
    structlog.get_logger("shop").warning("told", words=words)
    thread = threading.Thread(target=logging.getLogger("shop").info, args=("from a thread",))
    thread.start()
    thread.join()
    raise ValueError(words)


@control_command(args=[("until", str)])
def hang(state: Any, until: str) -> None:
    """Keeps the worker's main loop until the file appears."""
    end = time.monotonic() + PATIENCE
    while not Path(until).exists() and time.monotonic() < end:
        time.sleep(0.05)


def build(settings: Settings | None = None) -> Celery:
    """An app with all of these tasks."""
    app = Celery("shop")
    gridq.install(app, settings)
    # Not shared with the other apps of a process, as Celery would: each test has its own.
    cpu = {"shared": False}
    gpu = {"shared": False, "bind": True, "gpu": True}
    app.task(name="shop.work", **gpu)(work)
    app.task(name="shop.wait_for", **gpu)(wait_for)
    app.task(name="shop.scale", vram="8GiB", **gpu)(scale)
    app.task(name="shop.total", vram="20GiB", **gpu)(total)
    app.task(name="shop.flaky", vram="8GiB", **gpu)(flaky)
    app.task(name="shop.work_once", acks_late=False, **gpu)(work)
    app.task(name="shop.work_seldom", rate_limit="20/m", **gpu)(work)
    app.task(name="shop.work_on_cpu", bind=True, **cpu)(work)
    app.task(name="shop.add", **cpu)(add)
    app.task(name="shop.confess", **gpu)(confess)
    app.task(name="shop.broken", gpu=True, **cpu)(broken)
    app.task(name="shop.ignore", **gpu)(ignore)
    app.task(name="shop.starve", gpu=True, **cpu)(starve)
    app.task(name="shop.crash_cuda", gpu=True, **cpu)(crash_cuda)
    app.task(name="shop.use_cupy", **gpu)(use_cupy)
    app.task(name="shop.crash_cuda_and_abort", **gpu)(crash_cuda_and_abort)
    talk.register(app)
    if SCHEDULED in os.environ:
        options = {"vram": "20GiB"}
        app.conf.beat_schedule = {"restock": {"task": "shop.work", "schedule": 0.5, "options": options}}
    return app


app = build()
