"""What pytest-celery takes for a container: a process, without Docker."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_celery import CeleryTestWorker


class Process:
    """A command in a session of its own, with its output in a file; as much of a container as a node asks for.

    Args:
        command: its arguments.
        environment: all of its environment.
        log: where its output goes.
        is_ready: waits until it is ready, or fails.
        config: what `celeryconfig` says.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        is_ready: Callable[[], bool] = lambda: True,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.command = list(command)
        self.environment = dict(environment)
        self.log = log
        self.is_ready = is_ready
        self.celeryconfig = dict(config or {})
        #: Set by a test that ends it: otherwise its end is a failure.
        self.may_end = False
        self._start()

    def _start(self) -> None:
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_the_tests,
            )

    @property
    def id(self) -> str:
        """Its process id."""
        return str(self.popen.pid)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.log.stem

    @property
    def status(self) -> str:
        """Docker's word for how it is."""
        return "running" if self.popen.poll() is None else "exited"

    def logs(self) -> str:
        """All of its output."""
        return self.log.read_text("utf-8", "replace")

    def ready(self) -> bool:
        """Wait until it is ready."""
        return self.is_ready()

    def reload(self) -> None:
        """Its status is always read anew."""

    def kill(self, signal: str | int = "SIGKILL") -> None:
        """Send a signal to the process itself; wait for its end if it cannot refuse."""
        number = _number(signal)
        with contextlib.suppress(ProcessLookupError):
            self.popen.send_signal(number)
        if number == 9:
            self.popen.wait(30)

    def kill_all(self) -> None:
        """End the process and whatever it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(30)

    def wait(self, timeout: float = 30) -> int:
        """Its exit status, once it has ended."""
        return self.popen.wait(timeout)

    def restart(self, timeout: float = 30) -> None:
        """End it as Docker does, kindly first, and start the same command again."""
        self.popen.terminate()
        try:
            self.popen.wait(timeout)
        finally:
            self.kill_all()
        self._start()
        self.ready()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.kill_all()

    def exec_run(self, command: str, **_: Any) -> tuple[int, bytes]:
        """Run a command beside it, in its environment."""
        done = subprocess.run(
            command, shell=True, env=self.environment, cwd=self.log.parent, capture_output=True, timeout=30
        )
        return done.returncode, done.stdout + done.stderr


#: Looked up before any fork: loading a library between fork and exec can deadlock.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _die_with_the_tests() -> None:
    """Also when pytest itself is killed and can tear nothing down."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _number(name: str | int) -> int:
    return int(signal.Signals[name]) if isinstance(name, str) else int(name)


class WorkerNode(CeleryTestWorker):
    """A Celery worker as pytest-celery knows it.

    Args:
        container: its process.
        app: the test's app.
        worker: the worker's name, `gpu0@node1`.
        queues: what it was told to consume.
    """

    def __init__(self, container: Process, app: Any, worker: str, queues: str) -> None:
        super().__init__(container, app)
        self._worker, self._queues = worker, queues

    @property
    def worker_name(self) -> str:
        """`gpu0@node1`."""
        return self._worker

    @property
    def worker_queue(self) -> str:
        """The queue that only this worker has."""
        return self._worker

    def called(self, worker: str) -> None:
        """The worker has said its name."""
        self._worker = worker

    def hostname(self) -> str:
        """As `inspect` calls it."""
        return self._worker
