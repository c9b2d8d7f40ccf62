"""Waiting for what happens in another process, and processes that never outlive their test."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """The first true value of a condition, asked again and again; fails the test when none comes in time."""

    def wait(condition: Callable[[], Any], timeout: float = 15.0) -> Any:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.01)
        return pytest.fail(f"nothing true within {timeout:g}s")

    return wait


@pytest.fixture
def python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Run a Python program, with its output as a pipe; killed at the end of the test."""
    running: list[subprocess.Popen[str]] = []

    def run(program: str, *arguments: object, close_fds: bool = True) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        pipe = subprocess.PIPE
        running.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, close_fds=close_fds))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()
