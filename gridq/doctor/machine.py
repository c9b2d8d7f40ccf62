"""Can workers run on this machine? Each check is a function of what the machine was found to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridq.doctor.finding import Finding, error, note, ok, warning
from gridq.gpu.device import Device
from gridq.units import GIB, MIB, format_bytes

#: A worker has about 40 files open, and a few more for each further child and connection.
FILES, FILES_BARELY = 1024, 256
ROOM, ROOM_BARELY = GIB, 100 * MIB


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory as it was found.

    Attributes:
        path: where.
        trouble: why it cannot be used; None where it can, or can be made.
        free: bytes that are free there; None where that is not known.
    """

    path: Path
    trouble: str | None = None
    free: int | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What the checks of this machine look at.

    Attributes:
        spec: the setting `gpus`.
        has_driver: whether the machine has an NVIDIA device or driver.
        devices: the GPUs that NVML lists; empty where it was not asked.
        driver_trouble: what NVML says is wrong, and its hint; None where nothing is.
        can_check: whether CuPy or PyTorch is installed, which the check of a sick GPU needs.
        held: uuids of the GPUs that living workers hold.
        has_workers: whether a living worker is on this node.
        files: how many files a process may have open.
        files_most: to which that can be raised without root.
        runtime_dir: the setting's.
        lock_dir: the setting's.
    """

    spec: str
    has_driver: bool
    devices: Sequence[Device]
    driver_trouble: tuple[str, str] | None
    can_check: bool
    held: frozenset[str]
    has_workers: bool
    files: int
    files_most: int
    runtime_dir: Folder
    lock_dir: Folder


def examine(machine: Machine) -> Iterator[Finding]:
    """Every check of this machine."""
    yield from driver(machine)
    yield from unheld(machine)
    yield from canary(machine)
    yield from files(machine)
    yield from runtime_dir(machine)
    yield from lock_dir(machine)
    yield from disk(machine)


def driver(machine: Machine) -> Iterator[Finding]:
    """Whether NVML answers, where there is an NVIDIA device."""
    if machine.spec.startswith("sim:"):
        yield note("driver", f"GPUs are simulated here: gpus = {machine.spec}")
    if machine.driver_trouble is not None:
        seen, hint = machine.driver_trouble
        yield error("driver", seen, "a driver that lists its GPUs", hint)
    elif machine.devices:
        first = machine.devices[0]
        more = f" and {len(machine.devices) - 1} more" if len(machine.devices) > 1 else ""
        yield ok("driver", f"NVIDIA {first.driver}: {first.model}{more}")
    elif machine.has_driver:
        seen = "the driver is loaded and lists no GPU"
        yield warning("driver", seen, "one or more", "nvidia-smi and dmesg may say why; in a container: --gpus all")
    else:
        yield ok("driver", "no NVIDIA device on this machine")


def unheld(machine: Machine) -> Iterator[Finding]:
    """GPUs that nobody works on, where workers run."""
    free = [device for device in machine.devices if device.uuid not in machine.held]
    if machine.has_workers and free and not machine.spec.startswith("sim:"):
        listed = ", ".join(str(device.index) for device in free)
        yield note(
            "unheld", f"no worker holds GPU {listed}", hint="celery -A gridq worker -Q gpu takes the first free one"
        )


def canary(machine: Machine) -> Iterator[Finding]:
    """Whether a GPU that was sick can be checked before it takes work again."""
    if machine.devices and not machine.can_check:
        seen = "neither CuPy nor PyTorch is installed: a GPU that was sick comes back unchecked, as degraded"
        yield note("canary", seen, "one of them", "pip install cupy-cuda12x, or torch")


def files(machine: Machine) -> Iterator[Finding]:
    """How many files may be open."""
    seen, most = f"a process may have {machine.files} open", min(max(FILES, machine.files_most), 65536)
    mend = f"ulimit -n {most}; LimitNOFILE={most} in a unit of systemd"
    if machine.files < FILES_BARELY:
        yield error("open files", seen, f"{FILES} or more", mend)
    elif machine.files < FILES:
        yield warning("open files", seen, f"{FILES} or more", mend)
    else:
        yield ok("open files", seen)


def runtime_dir(machine: Machine) -> Iterator[Finding]:
    """Whether it is ours alone."""
    folder = machine.runtime_dir
    if folder.trouble:
        mend = "set runtime_dir to a directory of your own, mode 0700"
        yield error("runtime_dir", f"{folder.path}: {folder.trouble}", "a directory that only you can write to", mend)
    else:
        yield ok("runtime_dir", str(folder.path))


def lock_dir(machine: Machine) -> Iterator[Finding]:
    """Whether everybody can lock GPUs there."""
    folder = machine.lock_dir
    if folder.trouble:
        mend = f"chmod 1777 {folder.path}, or set lock_dir to a directory that all users of the machine share"
        yield error("lock_dir", f"{folder.path}: {folder.trouble}", "a directory that every user can write to", mend)
    else:
        yield ok("lock_dir", str(folder.path))


def disk(machine: Machine) -> Iterator[Finding]:
    """Whether logs and the local broker have room."""
    free = machine.runtime_dir.free
    if free is None:
        return
    seen = f"{format_bytes(free)} free for runtime_dir"
    mend = f"make room, or set runtime_dir to another file system than that of {machine.runtime_dir.path}"
    if free < ROOM_BARELY:
        yield error("disk", seen, f"{format_bytes(ROOM)} or more", mend)
    elif free < ROOM:
        yield warning("disk", seen, f"{format_bytes(ROOM)} or more", mend)
    else:
        yield ok("disk", seen)
