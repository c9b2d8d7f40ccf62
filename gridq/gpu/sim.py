"""Simulated GPUs: for laptops, continuous integration and the demo.

Their state lies in a directory, so that any process can change it while a probe reads it:

    UUID.json                     what `Simulator.set` and `Simulator.raise_xid` wrote; absent = an idle, healthy GPU
    UUID.PID.START.SERIAL.hold    bytes of simulated memory that a process holds, see `hold`; counts while it lives
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from gridq.errors import ProbeError
from gridq.gpu.device import Device
from gridq.gpu.reading import Process, Reading
from gridq.gpu.xid import XidEvent
from gridq.units import MIB, format_bytes, parse_bytes

TEMPERATURE_LIMIT = 90.0
POWER_LIMIT = 300.0
_IDLE_TEMPERATURE, _BUSY_TEMPERATURE = 35.0, 70.0
_IDLE_POWER, _BUSY_POWER = 30.0, 240.0
_HANG_CHECK = 0.02
_MOST_DEVICES = 1024
_PART = re.compile(r"(?:(\d+)x)?(\S+)")
_serials = itertools.count()


@dataclass(frozen=True, slots=True)
class SimState:
    """What can be set on a simulated GPU. None means: as it follows from the load.

    Attributes:
        foreign: bytes of memory in use by nobody in particular.
        utilization: 0 to 1.
        temperature: degrees Celsius.
        power: watts.
        ecc_uncorrected: double-bit memory errors.
        remap_failed: whether a bad memory row could not be replaced.
        lost: whether the card has fallen off the bus.
        hang: whether every reading blocks until this is unset.
        canary_fails: whether a check (gpu/canary.py) finds that the GPU computes wrongly.
        xids: (serial, number, pid) of the XIDs raised, serials being nanoseconds since 1970 and pids 0 for nobody's;
            use `Simulator.raise_xid`. A probe reports each of them once.
    """

    foreign: int = 0
    utilization: float | None = None
    temperature: float | None = None
    power: float | None = None
    ecc_uncorrected: int = 0
    remap_failed: bool = False
    lost: bool = False
    hang: bool = False
    canary_fails: bool = False
    xids: tuple[tuple[int, int, int], ...] = ()


class Simulator:
    """Changes the state of simulated GPUs from outside; whoever reads never sees half a change.

    Args:
        state_dir: the directory that the probe was opened with; made when needed.
    """

    def __init__(self, state_dir: Path) -> None:
        self._dir = state_dir

    def set(self, uuid: str, **changes: object) -> None:
        """Change some of a GPU's state: `set(uuid, temperature=95, hang=True)`. The rest stays.

        Raises:
            ProbeError: for a name that is not in `SimState`, or a value of another type.
        """
        with self._changing():
            _write(self._dir, uuid, _checked({**asdict(_load(self._dir, uuid)), **changes}, uuid))

    def raise_xid(self, uuid: str, *numbers: int, pid: int = 0) -> None:
        """Let XID errors happen, one after the other, to the process `pid`; 0 for nobody in particular."""
        with self._changing():
            state = _load(self._dir, uuid)
            # Serials go on after `reset`, so that a probe takes no new XID for one that it has reported.
            serial = max(time.time_ns(), *(last + 1 for last, _, _ in state.xids), 0)
            raised = tuple((serial + place, number, pid) for place, number in enumerate(numbers))
            _write(self._dir, uuid, replace(state, xids=state.xids + raised))

    def state(self, uuid: str) -> SimState:
        """The GPU's state as it is now."""
        return _load(self._dir, uuid)

    def reset(self, uuid: str) -> None:
        """Back to an idle, healthy GPU; memory that processes hold stays theirs."""
        with self._changing():
            _path(self._dir, uuid).unlink(missing_ok=True)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._dir.mkdir(parents=True, exist_ok=True)
        with (self._dir / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@contextmanager
def hold(state_dir: Path, uuid: str, amount: int) -> Iterator[None]:
    """Hold simulated memory in this process, as a task does that has tensors on a GPU.

    It shows in the GPU's readings with this process's pid, and is gone at the end of the block or of the process,
    however that dies.

    Args:
        state_dir: the directory that the probe was opened with.
        uuid: the GPU.
        amount: bytes.
    """
    pid = os.getpid()
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / f"{uuid}.{pid}.{_start_time(pid)}.{next(_serials)}.hold"
    _replace(path, str(amount))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


class SimProbe:
    """The probe of simulated GPUs. See `Probe`.

    Args:
        spec: `sim:4x24GiB,2x80GiB` is six GPUs; their uuids follow from their place and size.
        state_dir: where their state lies.

    Raises:
        ProbeError: for a spec that is not of this form.
    """

    def __init__(self, spec: str, state_dir: Path) -> None:
        self._dir = state_dir
        self._devices = {device.uuid: device for device in _parse(spec)}
        self._reported: dict[str, int] = {}

    def devices(self) -> list[Device]:
        """Every simulated GPU by index."""
        return list(self._devices.values())

    def read(self, uuid: str) -> Reading:
        """What the GPU says now; blocks while it is set to hang."""
        if uuid not in self._devices:
            known = ", ".join(self._devices)
            raise ProbeError(f"expected a simulated GPU, got {uuid!r}", hint=f"there are: {known}")
        state = _load(self._dir, uuid)
        while state.hang:
            time.sleep(_HANG_CHECK)
            state = _load(self._dir, uuid)
        reading = Reading(uuid, lost=True) if state.lost else self._look(uuid, state)
        return replace(reading, xids=self._new_xids(uuid, state))

    def close(self) -> None:
        """Nothing to let go of."""

    def _look(self, uuid: str, state: SimState) -> Reading:
        held = tuple(_holders(self._dir, uuid))
        used = state.foreign + sum(process.memory or 0 for process in held)
        busy = _or(state.utilization, 1.0 if held else 0.0)
        return Reading(
            uuid,
            # Nothing stops a simulated process from holding more than there is.
            memory_used=min(used, self._devices[uuid].memory_total),
            utilization=busy,
            temperature=_or(state.temperature, _IDLE_TEMPERATURE + busy * (_BUSY_TEMPERATURE - _IDLE_TEMPERATURE)),
            temperature_limit=TEMPERATURE_LIMIT,
            power=_or(state.power, _IDLE_POWER + busy * (_BUSY_POWER - _IDLE_POWER)),
            power_limit=POWER_LIMIT,
            processes=held,
            ecc_uncorrected=state.ecc_uncorrected,
            remap_failed=state.remap_failed,
        )

    def _new_xids(self, uuid: str, state: SimState) -> tuple[XidEvent, ...]:
        last = self._reported.get(uuid, -1)
        self._reported[uuid] = max((serial for serial, _, _ in state.xids), default=last)
        since_boot = time.time() - time.monotonic()
        new = (raised for raised in state.xids if raised[0] > last)
        return tuple(XidEvent(number, serial, serial / 1e9 - since_boot, pid or None) for serial, number, pid in new)


def _parse(spec: str) -> Iterator[Device]:
    sizes: list[int] = []
    for part in spec.removeprefix("sim:").split(","):
        match = _PART.fullmatch(part.strip())
        try:
            size = parse_bytes(match[2] if match else part)
        except ValueError as error:
            raise _bad_spec(spec, str(error)) from error
        count = int(match[1] or 1) if match else 0
        if not 1 <= count <= _MOST_DEVICES - len(sizes) or size < MIB:
            raise _bad_spec(spec, f"expected 1 to {_MOST_DEVICES} GPUs of 1MiB or more, got {part.strip()!r}")
        sizes += [size] * count
    for index, size in enumerate(sizes):
        label = format_bytes(size)
        yield Device(f"SIM-{index:04d}-{label.lower()}", index, f"Simulated {label}", size, "simulated")


def _bad_spec(spec: str, reason: str) -> ProbeError:
    return ProbeError(f"cannot simulate {spec!r}: {reason}", hint="write sim:24GiB, sim:2x24GiB or sim:4x24GiB,2x80GiB")


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _path(state_dir: Path, uuid: str) -> Path:
    return state_dir / f"{uuid}.json"


def _load(state_dir: Path, uuid: str) -> SimState:
    path = _path(state_dir, uuid)
    try:
        plain = json.loads(path.read_text())
    except FileNotFoundError:
        return SimState()
    except ValueError as error:
        raise ProbeError(f"expected JSON in {path}: {error}", hint="delete the file to reset the GPU") from error
    return _checked(plain, uuid)


def _checked(plain: Any, uuid: str) -> SimState:
    """A state from plain types, as a person may have written them."""
    known = {field.name: field for field in fields(SimState)}
    if not isinstance(plain, dict) or not plain.keys() <= known.keys():
        raise ProbeError(f"expected a state for {uuid}, got {plain!r}", hint=f"what can be set: {', '.join(known)}")
    for name, value in plain.items():
        optional = known[name].default is None
        if name != "xids" and not (isinstance(value, int | float) or (value is None and optional)):
            raise ProbeError(f"expected a number or true/false for {name} of {uuid}, got {value!r}")
    try:
        xids = tuple((int(at), int(number), sum(map(int, pid))) for at, number, *pid in plain.get("xids", ()))
        return SimState(**{**plain, "xids": xids})
    except (TypeError, ValueError) as error:
        hint = "let XIDs happen by Simulator.raise_xid(uuid, 79)"
        raise ProbeError(f"expected (serial, number, pid) as xids of {uuid}: {error}", hint=hint) from error


def _write(state_dir: Path, uuid: str, state: SimState) -> None:
    _replace(_path(state_dir, uuid), json.dumps(asdict(state)))


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new text, never half of one."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(text)
    new.replace(path)


def _holders(state_dir: Path, uuid: str) -> Iterator[Process]:
    """The living processes that hold memory, each once; what dead ones left is cleared away."""
    held: dict[int, int] = {}
    for path in sorted(state_dir.glob(f"{uuid}.*.hold")):
        pid, started = path.name.removeprefix(f"{uuid}.").split(".")[:2]
        try:
            if _start_time(int(pid)) == started:
                held[int(pid)] = held.get(int(pid), 0) + int(path.read_text())
            else:
                path.unlink(missing_ok=True)
        except (OSError, ValueError):
            continue
    return (Process(pid, amount) for pid, amount in held.items())


def _start_time(pid: int) -> str | None:
    """When a process started, in the kernel's ticks, which tells it from a later one with its pid. None: it is dead."""
    try:
        # The name, in parentheses, may hold spaces; the state follows it, the start time 19 fields on.
        state, *rest = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _alive(pid)
    return None if state in "ZX" else rest[18]


def _alive(pid: int) -> str | None:
    """The best that can be said where there is no /proc."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "0"
