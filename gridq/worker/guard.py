"""`python -m gridq.worker.guard`: a process beside each worker that ends its tasks when they may no longer run.

It is small and does nothing else, so that a task which keeps Python's lock, a hung main thread or a stopped worker
cannot keep it from its work. It kills a worker's children

- when the lease is about to end (store/leases.py), whatever the worker itself does;
- when the worker is gone: the kernel kills the children then, the guard what these had started;
- and what a child that ended has left behind in its process group: it would go on holding memory of the GPU.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gridq.worker.deadline import SharedEnd, margin, now

#: Seconds between looks.
TICK = 0.1
#: Seconds that killed processes get to be gone, at the end; one that is stuck in a driver may take for ever.
_LAST_SWEEP = 5.0


class Guard:
    """Starts the guard's process for this worker, and starts it again should it die.

    Args:
        end: of the lease that it watches.
        lease: seconds that a lease lasts.
        whole: whether tasks run in the worker's own process, which then is what has to be killed.
    """

    def __init__(self, end: SharedEnd, lease: float, *, whole: bool) -> None:
        self._end = end
        self._lease = lease
        self._whole = whole
        self._process: subprocess.Popen[bytes] | None = None

    def tend(self) -> None:
        """Make sure that the process runs; called at every heartbeat."""
        if self._process is not None and self._process.poll() is None:
            return
        file = self._end.file
        lead = str(margin(self._lease))
        arguments = [str(os.getpid()), str(file), lead, "whole" if self._whole else "children"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gridq.worker.guard", *arguments],
            stdin=subprocess.PIPE,
            pass_fds=(file,),
            # Who kills the worker's group or session must not kill the one that cleans up after it.
            start_new_session=True,
        )

    @property
    def pid(self) -> int | None:
        """The process's pid; None before it was started."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """Let the process end all tasks that are left, and what they started, and go. Calling it twice is fine."""
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(OSError):
            self._process.stdin.write(b"!")
            self._process.stdin.close()
        try:
            self._process.wait(_LAST_SWEEP + 1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@dataclass(slots=True)
class Watched:
    """What the guard knows: the worker, the groups of its children, and the lease that it ended last."""

    worker: int
    end: SharedEnd
    lead: float
    whole: bool
    groups: set[int] = field(default_factory=set)
    #: The end of the lease that it acted on. Before the first lease, which ends at 0, there is nothing to act on.
    fenced: float | None = 0.0


def look(watched: Watched) -> None:
    """One look: learn of new children, clean up after old ones, and kill all if the lease is about to end."""
    # The guard leads a group of its own too.
    living = set(children(watched.worker)) - {os.getpid()}
    for group in watched.groups - living:
        kill_group(group)
    watched.groups = living
    ends = watched.end.ends
    if now() < ends - watched.lead:
        watched.fenced = None
    elif watched.fenced != ends:
        # Once for each lease: the children that the worker starts in their place have nothing to do, and may live.
        watched.fenced = ends
        watched.end.fenced_at = now()
        for group in living:
            kill_group(group)
        if watched.whole:
            os.kill(watched.worker, signal.SIGKILL)


def children(worker: int) -> Iterator[int]:
    """The pids of a process's children that lead a group of their own, as those that run tasks do."""
    for thread in Path(f"/proc/{worker}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for pid in map(int, thread.read_text().split()):
                with contextlib.suppress(OSError):
                    if os.getpgid(pid) == pid:
                        yield pid


def kill_group(group: int) -> None:
    """Kill a process and all that it started and that did not leave its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def runs(pid: int) -> bool:
    """Whether a process has not ended; one that only waits for its parent's notice has."""
    return _state_and_group(Path(f"/proc/{pid}/stat"))[0] not in "ZX"


def lives(group: int) -> bool:
    """Whether a process of the group has not ended."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    found = (_state_and_group(file) for file in Path("/proc").glob("[0-9]*/stat"))
    return any(its_group == group and state not in "ZX" for state, its_group in found)


def _state_and_group(file: Path) -> tuple[str, int]:
    try:
        # A program's name is any bytes: one that is no UTF-8 must not make its process look dead.
        state, _, group = file.read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return "X", 0
    return state, int(group)


def main(arguments: list[str]) -> None:
    """Look until the worker is gone, and once more then."""
    worker, file, lead, what = arguments
    # Only the worker decides when it ends: Ctrl-C in its terminal, or a stop of its service, starts a drain.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    watched = Watched(int(worker), SharedEnd(int(file)), float(lead), what == "whole")
    while os.getppid() == watched.worker:
        look(watched)
        if _told_to_stop():
            look(watched)
            break
    for group in watched.groups:
        kill_group(group)
    end = now() + _LAST_SWEEP
    while any(lives(group) for group in watched.groups) and now() < end:
        time.sleep(TICK / 10)


def _told_to_stop() -> bool:
    """Wait for a tick, or until the worker says that it ends."""
    ready, _, _ = select.select([sys.stdin.fileno()], [], [], TICK)
    return bool(ready) and bool(os.read(sys.stdin.fileno(), 1))


if __name__ == "__main__":
    main(sys.argv[1:])
