"""Where a worker sits: the GPUs it took, its name, and the queues that come with them.

It is taken before any child exists, so that every child sees these GPUs and no others.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gridq.config import Settings
from gridq.errors import NameTakenError
from gridq.gpu.device import Device
from gridq.gpu.listing import list_devices
from gridq.gpu.lock import GpuLock, take
from gridq.queues import CPU, GPU, Seat, class_queues, gpu_count


@dataclass(frozen=True, slots=True)
class Wish:
    """What a worker was started with.

    Attributes:
        queues: of `-Q`; empty for Celery's default queue.
        name: of `-n`; None for gridq to choose.
        gpu: index or UUID of the GPU to take, None for the first free one.
        gpus: how many to take.
    """

    queues: Sequence[str]
    name: str | None = None
    gpu: str | None = None
    gpus: int = 1

    @property
    def wants_gpu(self) -> bool:
        """Whether it asks for a queue that only GPU workers have."""
        return any(queue == GPU or queue.startswith((GPU + ".", GPU + ":", GPU + "@")) for queue in self.queues)


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker got.

    Attributes:
        name: the worker's name, `gpu0@node1`, which is also its own queue.
        devices: its GPUs; empty for a CPU worker.
        lock: what keeps the GPUs its own.
        name_lock: what keeps the name its own on this machine.
        takes_cpu_tasks: whether tasks without GPU needs run there too.
    """

    name: str
    node: str
    devices: tuple[Device, ...]
    lock: GpuLock | None
    name_lock: IO[str]
    takes_cpu_tasks: bool = True

    @property
    def seat(self) -> Seat | None:
        """What queue names can ask of this worker; None for a CPU worker."""
        if not self.devices:
            return None
        return Seat.of([(device.memory_total, device.model) for device in self.devices], self.node)

    def declines(self, queue: str) -> bool:
        """Whether tasks wait there that ask for more or fewer GPUs than the place has."""
        return self.seat is not None and gpu_count(queue) not in (None, self.seat.gpus)

    @property
    def queues(self) -> list[str]:
        """The queues that come with the place, the worker's own first."""
        shared = [] if self.seat is None else class_queues(self.seat)
        pinned = [f"{CPU}@{self.node}"] if self.takes_cpu_tasks else []
        return list(dict.fromkeys([self.name, *shared, *pinned]))


def take_place(wish: Wish, settings: Settings, probe: str) -> Place:
    """Take GPUs, if the wish asks for any, and a name; both are held until this process and its children end.

    Raises:
        NoGpuError: when no GPU is free, or there is none.
        NameTakenError: when a living worker on this machine has the name that was wished for.
    """
    if not wish.wants_gpu:
        numbers = ("", *map(str, range(2, 1000)))
        names = [wish.name] if wish.name else [f"{CPU}{number}@{settings.node}" for number in numbers]
        name, name_lock = _take_name(names, settings.runtime_dir)
        return Place(name, settings.node, (), None, name_lock)
    devices = list_devices(probe, settings.runtime_dir / "sim")
    if probe.startswith("sim:"):
        lock_dir = settings.runtime_dir / "locks"  # Simulated GPUs are this runtime directory's own.
    else:
        lock_dir = settings.lock_dir
    lock = take(devices, lock_dir, wanted=wish.gpu, count=wish.gpus)
    held = tuple(lock.devices)
    chosen = wish.name or f"{GPU}{'-'.join(str(device.index) for device in held)}@{settings.node}"
    try:
        name, name_lock = _take_name([chosen], settings.runtime_dir)
    except NameTakenError:
        lock.release()
        raise
    lock.sign(name)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(device.uuid for device in held)
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    return Place(name, settings.node, held, lock, name_lock, takes_cpu_tasks=CPU in wish.queues)


def is_taken(name: str, runtime_dir: Path) -> bool:
    """Whether a living worker of this machine has the name."""
    try:
        _take_name([name], runtime_dir)[1].close()
    except NameTakenError:
        return True
    return False


def _take_name(names: Iterable[str], runtime_dir: Path) -> tuple[str, IO[str]]:
    """The first of the names that no living process holds, and the file whose lock holds it."""
    folder = runtime_dir / "workers"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    tried = []
    for name in names:
        file = (folder / f"{name.replace('/', '_')}.lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return name, file
        except BlockingIOError:
            file.close()
            tried.append(name)
    raise NameTakenError(
        f"expected a name that no worker on this machine has, got {tried[0]}",
        hint="give this worker another one with -n, or stop the other",
    )
