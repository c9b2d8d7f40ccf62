"""The worker processes of one machine: started together, started again when they die, stopped together."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridq.cli.children import Child, adopt_orphans
from gridq.private import private_dir
from gridq.units import format_seconds


@dataclass(frozen=True, slots=True)
class Command:
    """A process to keep running: what people call it, and its command line."""

    label: str
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended by itself."""

    label: str
    status: int
    last_words: str
    log: Path


def leashed(label: str, program: str, *arguments: str) -> Command:
    """A command of `celery` or `gridq` that dies with this process."""
    return Command(label, (sys.executable, "-m", "gridq.cli.leashed", str(os.getpid()), program, *arguments))


class Supervisor:
    """Keeps processes running, from `start()` to `stop()`; those that die are started again once `keep()` was called.

    It has no thread of its own: whoever uses it calls `tick()` often, from the main thread.

    Args:
        commands: what to run.
        log_dir: where each one's output goes, to LABEL.log; made when needed.
        environment: what is added to this process's own.
        say: told what people should know, one line at a time.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        *,
        log_dir: Path,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._say = say
        self._log_dir = log_dir
        self._keeping = False
        merged = os.environ | dict(environment or {})
        self._children = [
            Child(command.label, command.arguments, log_dir / f"{command.label}.log", merged) for command in commands
        ]

    @property
    def pids(self) -> dict[str, int]:
        """The pid of each process that lives, by label."""
        return {child.label: child.pid for child in self._children if child.pid is not None}

    @property
    def labels(self) -> list[str]:
        """Of every process, whether it lives or not."""
        return [child.label for child in self._children]

    def start(self) -> None:
        """Start them all; none waits for another."""
        private_dir(self._log_dir.parent)
        private_dir(self._log_dir)
        adopt_orphans()
        for child in self._children:
            child.log.unlink(missing_ok=True)
            child.start()

    def keep(self) -> None:
        """From now on start again what ends. What cannot start at all should be told, not tried for ever."""
        self._keeping = True

    def tick(self) -> list[Ended]:
        """Notice who ended, start again whose pause is over; returns who ended since the last call."""
        gone = []
        for child in self._children:
            child.trim()
            status = child.ended()
            if status is not None:
                gone.append(Ended(child.label, status, child.last_words(), child.log))
                if self._keeping:
                    pause = format_seconds(child.pause)
                    self._say(f"{child.label} {describe(status)}; starting it again in {pause} (output: {child.log})")
            if child.pid is None and self._keeping and time.monotonic() >= child.starts_at:
                child.start()
        return gone

    def last_words(self, label: str) -> str:
        """The end of what a process printed."""
        return next((child.last_words() for child in self._children if child.label == label), "")

    def new_output(self) -> list[tuple[str, str]]:
        """(label, line) for what was written since the last call."""
        return [(child.label, line) for child in self._children for line in child.new_lines()]

    def drain(self) -> None:
        """Ask every worker to end its tasks, take no new ones, and go; from now on none is started again."""
        self._signal(signal.SIGTERM)

    def quit(self) -> None:
        """Ask every worker to go at once; what it ran goes back to its queue."""
        self._signal(signal.SIGQUIT)

    def _signal(self, number: signal.Signals) -> None:
        self._keeping = False
        for child in self._children:
            child.send(number)

    def stop(self) -> None:
        """End by force whatever is left, children of children included. Calling it twice is fine."""
        self._keeping = False
        for child in self._children:
            child.kill()


def describe(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
