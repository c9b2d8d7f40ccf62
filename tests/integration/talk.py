"""Tasks of the shop that print, in every way that there is, and say how far they are."""

from __future__ import annotations

import ctypes
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.utils.log import get_task_logger

import gridq

PATIENCE = 60.0


def _await(signal: str) -> None:
    end = time.monotonic() + PATIENCE
    while not Path(signal).exists() and time.monotonic() < end:
        time.sleep(0.005)


def say(*lines: str) -> None:
    """Prints."""
    for line in lines:
        print(line)


def say_in_every_way() -> None:
    """Prints by Python, by a descriptor, by C, by a subprocess and by logging."""
    print("python says hällo")
    print("python complains", file=sys.stderr)
    os.write(1, b"a descriptor says so\n")
    libc = ctypes.CDLL(None)
    libc.printf(b"c says %d\n", ctypes.c_int(42))
    subprocess.run(["sh", "-c", "echo a shell says so; echo a shell complains >&2"], check=True)
    get_task_logger("shop.talk").warning("a task's logger says %s", "so")
    logging.getLogger("shop.other").info("another logger says so")
    libc.printf(b"c says no newline")


def say_and_wait(line: str, signal: str) -> None:
    """Prints, waits for the file, and prints again."""
    print(line)
    _await(signal)
    print(f"{line} again")


def crash_once(path: str) -> str:
    """Dies of a segmentation fault right after its last words, unless it has done so before."""
    if Path(path).exists():
        print("this time it goes well")
        return "alive"
    Path(path).touch()
    print("about to crash")
    os.write(2, b"last words")
    ctypes.string_at(0)
    return "unreachable"


def flood(lines: int, width: int) -> None:
    """Prints a lot."""
    for number in range(lines):
        print(f"{number:0{width - 1}d}")


def misbehave() -> None:
    """Closes and moves what it prints to."""
    print("so far so good")
    sys.stdout.close()
    os.close(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)


def leave_behind(signal: str) -> int:
    """Ends before what it has started, which prints when the file appears; returns its pid."""
    print("I go")
    script = f"while [ ! -e {signal} ]; do sleep 0.05; done; echo left behind"
    return subprocess.Popen(["sh", "-c", script]).pid


def descriptors() -> list[str]:
    """Where its stdout leads to, and what kind of stream it is."""
    return [str(Path("/proc/self/fd/1").readlink()), type(sys.stdout).__name__]


def steps(count: int, signal: str) -> int:
    """Tells how far it is, and waits for the file after half of it."""
    for number in gridq.track(range(count), note="steps"):
        time.sleep(0.01)
        if number == count // 2 - 1:
            gridq.progress(number + 1, count, "half")
            _await(signal)
    return count


def register(app: Celery) -> None:
    """Make these tasks of the app, on CPU workers."""
    for function in (
        say,
        say_in_every_way,
        say_and_wait,
        crash_once,
        flood,
        misbehave,
        leave_behind,
        descriptors,
        steps,
    ):
        options: dict[str, Any] = {"shared": False}
        app.task(name=f"shop.{function.__name__}", **options)(function)
