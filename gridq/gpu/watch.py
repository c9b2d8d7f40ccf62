"""A probe in a process of its own, with a deadline: a driver that hangs must not hang its worker.

The worker's side is `Watch`. The probe's side is `main` (`python -m gridq.gpu.watch …`): it prints one line of JSON per
reading on a pipe, `{"at": …, "reading": {…}}`, or why there is none, `{"error": "…"}`. `at` is when the reading began
by the monotonic clock, which all processes of a machine share: a line that lay in the pipe does not look fresh.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gridq.errors import GridqError, ProbeError
from gridq.gpu import open_probe
from gridq.gpu.health import Verdict, judge
from gridq.gpu.probe import Probe
from gridq.gpu.reading import Reading

logger = logging.getLogger(__name__)

_TICK = 0.1
_PARENT_CHECK = 0.5
_FIRST_PATIENCE, _MOST_PATIENCE = 10.0, 60.0
"""Seconds for a new probe's first reading: a driver that no process has open takes seconds to start."""
_FIRST_PAUSE, _MOST_PAUSE = 0.25, 10.0
"""Seconds before a probe is started again; each failure in a row doubles both."""
_LASTING = 30.0
"""Seconds that a probe must have lived for its end to count as the first failure again."""
_END_PATIENCE = 2.0
_MOST_XIDS = 32
"""How many XID errors of a GPU are remembered: a burst is heard in full, a storm in part."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The newest reading of a GPU (None before the first), its age in seconds, and the verdict on both.

    The reading's `xids` are the last few that the watch has seen, oldest first, so that nobody has to catch the one
    reading that carried an event. The verdict is on this one reading; `gpu.course` has the one that counts.
    """

    reading: Reading | None
    age: float
    verdict: Verdict


class Watch:
    """A probe in a process of its own that reads the given GPUs over and over.

    Args:
        spec: which probe, see `gpu.open_probe`.
        uuids: whose readings to take.
        interval: seconds between readings.
        deadline: seconds after which a GPU without a new reading is `unknown`.
        state_dir: where the state of simulated GPUs lies.

    Raises:
        GridqError: when no reading could ever be in time.
    """

    def __init__(self, spec: str, uuids: list[str], *, interval: float, deadline: float, state_dir: Path) -> None:
        if not 0 < interval < deadline:
            message = f"expected an interval of readings above 0s and below the deadline of {deadline:g}s"
            raise GridqError(f"{message}, got {interval:g}s")
        self._arguments = [spec, str(state_dir), str(interval), *uuids]
        self._deadline = deadline
        self._since = time.monotonic()
        self._seen: dict[str, tuple[Reading, float]] = {}
        self._error: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the probe's process. It ends by itself when this process dies. Calling it twice is fine."""
        if self._thread is None:
            self._since = time.monotonic()
            self._thread = threading.Thread(target=self._supervise, name="gridq-watch", daemon=True)
            self._thread.start()

    def latest(self, uuid: str) -> Observation:
        """The newest observation; never blocks, whatever the probe does."""
        # No lock: each of these is replaced whole, and a lock could stay taken for ever in a forked child.
        reading, at = self._seen.get(uuid, (None, self._since))
        age, error = max(0.0, time.monotonic() - at), self._error
        verdict = judge(reading, age, self._deadline)
        if error is not None and (reading is None or age > self._deadline):
            verdict = replace(verdict, reasons=(*verdict.reasons, error))
        return Observation(reading, age, verdict)

    def stop(self) -> None:
        """End the probe's process, also when it hangs. Calling it twice is fine."""
        self._stopping.set()
        if self._process is not None:
            self._process.kill()
        if self._thread is not None:
            self._thread.join(_END_PATIENCE)

    def _supervise(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                reason = self._run_once(min(_FIRST_PATIENCE * 2**failures, _MOST_PATIENCE))
            except Exception as error:  # Whatever it is: without this thread the GPU is silent for good.
                logger.exception("watching the GPU probe failed")
                reason = f"could not be watched: {error!r}"
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - started > _LASTING else failures + 1
            pause = min(_FIRST_PAUSE * 2**failures, _MOST_PAUSE)
            logger.warning("the GPU probe %s; starting it again in %gs", reason, pause)
            self._stopping.wait(pause)

    def _run_once(self, patience: float) -> str:
        """One process of the probe, from its start to its end; says why it ended."""
        process = self._process = self._spawn()
        try:
            return self._follow(process, patience)
        finally:
            self._end(process)

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Python's descriptors close on exec anyway. With close_fds, Popen would wait on a pipe that a child, forked at
        # the same moment by another thread, keeps open for as long as it lives.
        return subprocess.Popen(
            [sys.executable, "-m", "gridq.gpu.watch", str(os.getpid()), *self._arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            close_fds=False,
        )

    def _follow(self, process: subprocess.Popen[bytes], patience: float) -> str:
        """Take in what the probe says until it ends or is overdue; says which."""
        heard = time.monotonic()
        for line in _lines(process):
            if self._stopping.is_set():
                break
            if line and self._take_in(line):
                heard, patience = time.monotonic(), self._deadline
            if time.monotonic() - heard > patience:
                return f"gave no reading for {patience:g}s"
        return "ended"

    def _take_in(self, line: bytes) -> bool:
        """Keep a reading, or the error in place of one; True for a reading."""
        try:
            said = json.loads(line)
            if "error" in said:
                self._error = str(said["error"])
                return False
            reading, at = Reading.from_dict(said["reading"]), float(said["at"])
        except (ValueError, TypeError, KeyError, AttributeError):
            # Whatever else the driver's library prints there.
            return False
        before = self._seen.get(reading.uuid)
        known = before[0].xids if before else ()
        # A simulated GPU's new probe reports again what the last one did.
        new = [event for event in reading.xids if not known or event.id > known[-1].id]
        self._seen[reading.uuid] = replace(reading, xids=(*known, *new)[-_MOST_XIDS:]), at
        self._error = None
        return True

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill and reap. One stuck inside the driver cannot be killed: another would get stuck too, so wait for it."""
        process.kill()
        while True:
            try:
                process.wait(timeout=_END_PATIENCE / 2)
                break
            except subprocess.TimeoutExpired:
                if self._stopping.is_set():
                    break
        if process.stdout is not None:
            process.stdout.close()


def _lines(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Each line that a process prints, and an empty one whenever it says nothing for a moment, until it ends."""
    assert process.stdout is not None
    pipe, rest = process.stdout.fileno(), b""
    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    while True:
        if not poller.poll(_TICK * 1000):
            # Asked as well as the pipe, whose end a forked child may have inherited and keep open.
            if process.poll() is not None:
                return
            yield b""
            continue
        chunk = os.read(pipe, 65536)
        if not chunk:
            return
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole


def main(arguments: list[str]) -> int:
    """The probe's process: PARENT_PID SPEC STATE_DIR INTERVAL UUID…"""
    parent, spec, state_dir, interval, *uuids = arguments
    # Ctrl-C and a service's stop go to the whole group; a draining worker still needs its probe, and ends it itself.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(int(parent),), daemon=True).start()
    try:
        _read_forever(open_probe(spec, Path(state_dir)), uuids, float(interval))
    except ProbeError as error:
        _say({"error": error.message})
    except BrokenPipeError:
        pass
    return 1


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    # The main thread may hang inside the driver, so the ways out that ask it are of no use.
    os._exit(0)


def _read_forever(probe: Probe, uuids: list[str], interval: float) -> None:
    while True:
        started = time.monotonic()
        for uuid in uuids:
            at = time.monotonic()
            try:
                _say({"at": at, "reading": probe.read(uuid).to_dict()})
            except ProbeError as error:
                _say({"error": error.message})
        time.sleep(max(0.0, started + interval - time.monotonic()))


def _say(line: dict[str, object]) -> None:
    os.write(1, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
