"""Tasks that start processes of their own, and whether these live; workers take them with `-I family`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shop
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from click.testing import CliRunner, Result
from fleet import Fleet, eventually

from gridq.cli import main
from gridq.cli.session import Session

OPTIONS = ("-I", "family")


def raise_family(self: Any, file: str, stubborn: bool = False) -> dict[str, Any]:
    """Starts a process that starts another; the file then tells who they are. With `stubborn` nobody heeds SIGTERM."""
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with shop.ledger().running(self):
        trap = "trap '' TERM; " if stubborn else ""
        shell = f"{trap}sleep {shop.PATIENCE} & echo $!; wait"
        with subprocess.Popen(["sh", "-c", shell], stdout=subprocess.PIPE, text=True) as started:
            assert started.stdout is not None
            grandchild = int(started.stdout.readline())
            whole = json.dumps([os.getpid(), started.pid, grandchild])
            Path(file + ".new").write_text(whole)
            Path(file + ".new").rename(file)
            started.wait()
    return shop.place(self)


def tidy(self: Any) -> str:
    """Takes too long, and cleans up when it is told so."""
    try:
        time.sleep(shop.PATIENCE)
    except SoftTimeLimitExceeded:
        return "tidied up"
    return "had the time"


def add_to(app: Celery) -> None:
    """Let an app know these tasks."""
    app.task(name="family.raise_family", shared=False, bind=True, gpu=True)(raise_family)
    app.task(name="family.tidy", shared=False, bind=True, gpu=True)(tidy)


def await_family(file: Path) -> list[int]:
    """The processes of the task that was given this file, the child of the worker first, once all of them live."""
    eventually(file.exists, f"{file} tells who was started")
    found: list[int] = json.loads(file.read_text())
    return found


def living(pids: list[int]) -> list[int]:
    """Those that have not ended; one that its parent has not noticed yet has."""
    return [pid for pid in pids if _state(pid) not in "ZX"]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "X"


def terminal(fleet: Fleet, patch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a gridq command with the fleet's app."""
    patch.setattr(Session, "_find", lambda session: fleet.app)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


add_to(shop.app)
