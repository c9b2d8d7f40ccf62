"""`python -m gridq.gpu.canary UUID STATE_DIR`: does this GPU still allocate, compute and remember?

It runs in a process of its own, pinned to the GPU by its UUID, since a GPU that is not well can hang or kill whoever
touches it, and since a worker's main process must never touch CUDA. It prints one line of JSON, a `Check`.

It computes with CuPy or PyTorch, whichever is installed where the worker runs. With neither it says so: nothing was
checked. A simulated GPU does as the `Simulator` says: it fails while `canary_fails`, `lost` or `hang` is set.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gridq.gpu.course import Check, Outcome
from gridq.gpu.sim import Simulator
from gridq.units import MIB, format_seconds

DEADLINE = 60.0
"""Seconds. Importing PyTorch from a cold disk takes ten or more, waking a machine's cards up several."""
_LIBRARIES = {"cupy": "CuPy", "torch": "PyTorch"}
_PATTERN_BYTES = 64 * MIB
_SIDE = 1024
_HANG_CHECK = 0.02


class Canary:
    """At most one canary at a time on one GPU; nothing here ever waits.

    Args:
        uuid: the GPU.
        state_dir: where the state of simulated GPUs lies.
        deadline: seconds after which a canary without an answer has failed.
    """

    def __init__(self, uuid: str, state_dir: Path, *, deadline: float = DEADLINE) -> None:
        self._uuid = uuid
        self._state_dir = state_dir
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0.0

    def start(self) -> None:
        """Start one, unless one runs, or one that was killed is still stuck inside the driver."""
        if self._process is not None:
            return
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gridq.gpu.canary", self._uuid, str(self._state_dir), str(self._deadline)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # As in gpu/watch.py: a child that is forked meanwhile must not make this wait.
            close_fds=False,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": self._uuid, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"},
        )

    def poll(self) -> Check | None:
        """What it found; None while it runs, or none does."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            if time.monotonic() - self.started > self._deadline:
                process.kill()
            return None
        self._process = None
        assert process.stdout is not None
        with process.stdout as pipe:
            # What it started may have the pipe still open, and nobody here waits for that.
            os.set_blocking(pipe.fileno(), False)
            said = pipe.read() or b""
        return _understood(said.decode("utf-8", "replace"), process.returncode, self._deadline)

    def stop(self) -> None:
        """Kill it if it runs."""
        if self._process is not None:
            self._process.kill()


def _understood(said: str, status: int, deadline: float) -> Check:
    """The last line that is a check: libraries print there too."""
    for line in reversed(said.splitlines()):
        try:
            plain = json.loads(line)
            return Check(Outcome(plain["outcome"]), str(plain["reason"]))
        except (ValueError, TypeError, KeyError):
            continue
    if status in (-signal.SIGKILL, -signal.SIGALRM):
        return Check(Outcome.FAILED, f"expected an answer within {format_seconds(deadline)}, there was none")
    return Check(Outcome.FAILED, f"its process ended with {status}, which the driver may be the reason of")


def check(uuid: str, state_dir: Path) -> Check:
    """Check the GPU, here and now. May hang or die: only for a process of its own."""
    if uuid.startswith("SIM-"):
        return _simulated(uuid, state_dir)
    library = next((name for name in _LIBRARIES if importlib.util.find_spec(name)), None)
    if library is None:
        wanted = " or ".join(_LIBRARIES.values())
        return Check(Outcome.ABSENT, f"unchecked after a fault, as there is no {wanted} here: its readings are good")
    try:
        wrong = _cupy() if library == "cupy" else _torch()
    except Exception as error:  # noqa: BLE001 (whatever CUDA raises is what was looked for)
        return Check(Outcome.FAILED, f"{_LIBRARIES[library]} says {type(error).__name__}: {error}"[:300])
    return Check(Outcome.FAILED, wrong) if wrong else Check(Outcome.PASSED)


def _simulated(uuid: str, state_dir: Path) -> Check:
    simulator = Simulator(state_dir)
    while simulator.state(uuid).hang:
        time.sleep(_HANG_CHECK)
    state = simulator.state(uuid)
    if state.lost:
        return Check(Outcome.FAILED, "the simulated card has fallen off the bus")
    return Check(Outcome.FAILED, "the simulated card computes wrongly") if state.canary_fails else Check(Outcome.PASSED)


def _cupy() -> str:
    cupy: Any = importlib.import_module("cupy")
    pattern = cupy.arange(_PATTERN_BYTES // 8, dtype=cupy.int64)
    expected = _PATTERN_BYTES // 8
    if int(pattern.sum()) != expected * (expected - 1) // 2:
        return _forgot()
    row = cupy.arange(_SIDE, dtype=cupy.float32) % 7
    product = cupy.matmul(cupy.tile(row, (_SIDE, 1)), cupy.tile(row, (_SIDE, 1)).T)
    return _wrong(float(product.min()), float(product.max()))


def _torch() -> str:
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        torch.cuda.init()  # Raises, and says why.
    pattern = torch.arange(_PATTERN_BYTES // 8, dtype=torch.int64, device="cuda")
    expected = _PATTERN_BYTES // 8
    if int(pattern.sum()) != expected * (expected - 1) // 2:
        return _forgot()
    row = torch.arange(_SIDE, device="cuda", dtype=torch.float32) % 7
    square = row.repeat(_SIDE, 1)
    product = square @ square.T
    return _wrong(float(product.min()), float(product.max()))


def _forgot() -> str:
    return f"{_PATTERN_BYTES // MIB} MiB of its memory did not keep what was written there"


def _wrong(least: float, most: float) -> str:
    """Small whole numbers: a product of matrices must be exact, however it is rounded and in whatever order."""
    expected = float(sum((number % 7) ** 2 for number in range(_SIDE)))
    if least == most == expected:
        return ""
    return f"it computes wrongly: expected {expected:g} everywhere, got {least:g} to {most:g}"


def main(arguments: list[str]) -> int:
    """The canary's process."""
    uuid, state_dir, deadline = arguments
    # Also when the worker that would have killed it is gone; not even a hanging library can put this off.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, float(deadline))
    found = check(uuid, Path(state_dir))
    print(json.dumps({"outcome": found.outcome, "reason": found.reason}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
