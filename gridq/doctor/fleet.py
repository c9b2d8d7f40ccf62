"""Does every task find a worker, and every GPU its work? Each check is a function of what workers and queues said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gridq.config import Settings
from gridq.doctor.finding import Finding, error, note, ok, warning
from gridq.gpu.health import State
from gridq.queues import CPU, is_gpu, vram_floor
from gridq.store.dead import Extent
from gridq.store.queues import Queue, looks_into
from gridq.store.workers import GpuStatus, WorkerStatus
from gridq.units import GIB, format_bytes, format_seconds
from gridq.version import VERSION

#: Seconds. A free worker looks at least once a second; ten looks in vain are no accident.
LEFT_LYING = 10.0
#: Seconds. Long waits are no fault, but somebody may not know of them.
LONG = 3600.0
#: Seconds after which a dead letter has been forgotten by whoever should decide about it.
STALE = 86400.0
#: Seconds that the broker may take to answer a heartbeat.
FAR = 0.1
#: Bytes that an idle CUDA context of a worker's own may well hold.
_LITTLE = GIB


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the checks of the fleet look at.

    Attributes:
        living: the workers whose lease holds.
        queues: those into which somebody looks or in which something waits.
        dead: how many dead letters there are, and how old the oldest is.
        settings: gridq's, of whoever asks.
        now: seconds of Redis' clock.
    """

    living: Sequence[WorkerStatus]
    queues: Sequence[Queue]
    dead: Extent
    settings: Settings
    now: float = 0.0

    @property
    def gpus(self) -> list[tuple[WorkerStatus, GpuStatus]]:
        """Every GPU with the worker that holds it."""
        return [(worker, gpu) for worker in self.living for gpu in worker.gpus]


def examine(fleet: Fleet) -> Iterator[Finding]:
    """Every check of the fleet."""
    yield from workers(fleet)
    yield from versions(fleet)
    yield from heartbeats(fleet)
    yield from round_trips(fleet)
    yield from verdicts(fleet)
    yield from held_twice(fleet)
    yield from held_unused(fleet)
    yield from draining(fleet)
    yield from unheard(fleet)
    yield from idle(fleet)
    yield from oldest(fleet)
    yield from dead_letters(fleet)


def workers(fleet: Fleet) -> Iterator[Finding]:
    """Whether there are any."""
    if not fleet.living:
        mend = "gridq up starts all of this machine; celery -A gridq worker -Q gpu starts one"
        yield error("workers", "none is alive", "one or more", mend)
        return
    nodes = len({worker.node for worker in fleet.living})
    yield ok("workers", f"{len(fleet.living)} on {nodes} node{'s' * (nodes > 1)}, {len(fleet.gpus)} GPUs")


def versions(fleet: Fleet) -> Iterator[Finding]:
    """Whether all run the same gridq as whoever asks."""
    others = defaultdict(list)
    for worker in fleet.living:
        if worker.version != VERSION:
            others[f"gridq {worker.version}" if worker.version else "an older gridq"].append(worker.name)
    for other, names in sorted(others.items()):
        seen = f"{_some(names)} run{'s' * (len(names) == 1)} {other}"
        mend = f"pip install gridq=={VERSION} there; gridq drain NODE lets running tasks end first"
        yield warning("versions", seen, f"gridq {VERSION}, as here", mend)
    if fleet.living and not others:
        yield ok("versions", f"all workers run gridq {VERSION}")


def heartbeats(fleet: Fleet) -> Iterator[Finding]:
    """Whether leases are renewed in time."""
    late = [worker for worker in fleet.living if worker.age > fleet.settings.lease / 2]
    for worker in late:
        left = format_seconds(max(0.0, worker.expires_at - fleet.now))
        seen = f"{worker.name} last beat {format_seconds(worker.age)} ago; it loses its tasks in {left}"
        wanted = f"a heartbeat every {format_seconds(fleet.settings.heartbeat)}"
        yield warning("heartbeats", seen, wanted, f"look at its log, and at the load and the network of {worker.node}")
    if fleet.living and not late:
        yield ok("heartbeats", f"the oldest is {format_seconds(max(worker.age for worker in fleet.living))} old")


def round_trips(fleet: Fleet) -> Iterator[Finding]:
    """Whether workers are as near to the broker as whoever asks."""
    for worker in fleet.living:
        if worker.round_trip is not None and worker.round_trip > FAR:
            seen = f"the broker answers {worker.name} in {format_seconds(worker.round_trip)}"
            mend = f"look at the network between {worker.node} and the broker, and at the load of both"
            yield warning("round trips", seen, f"less than {format_seconds(FAR)}", mend)


def verdicts(fleet: Fleet) -> Iterator[Finding]:
    """Whether every GPU may take work."""
    for worker, gpu in fleet.gpus:
        state = gpu.verdict.state
        reasons = ", ".join(gpu.verdict.reasons) or "no reason given"
        seen = f"GPU {gpu.device.index} of {worker.name} is {state.value}: {reasons}"
        if not gpu.verdict.takes_work:
            mend = f"nvidia-smi and dmesg on {worker.node}; it comes back by itself once it looks well"
            yield error("GPUs", seen, "healthy", mend)
        elif state is State.DEGRADED:
            yield note("GPUs", f"{seen}; it takes work")
    if fleet.gpus and all(gpu.verdict.takes_work for _, gpu in fleet.gpus):
        yield ok("GPUs", f"all {len(fleet.gpus)} take work" if len(fleet.gpus) > 1 else "the GPU takes work")


def held_twice(fleet: Fleet) -> Iterator[Finding]:
    """Whether two workers have taken the same GPU: then they do not see each other's locks."""
    holders = defaultdict(list)
    for worker, gpu in fleet.gpus:
        # Simulated GPUs have the same uuids on every node.
        simulated = gpu.device.uuid.startswith("SIM-")
        holders[gpu.device.uuid, worker.node if simulated else ""].append(worker.name)
    for (uuid, _), names in holders.items():
        if len(names) > 1:
            mend = "mount the same lock_dir into all containers of the machine"
            yield error("locks", f"{uuid} is held by {_some(names)}", "one holder", mend)


def held_unused(fleet: Fleet) -> Iterator[Finding]:
    """Whether a worker's GPU serves others, or keeps memory that nothing uses."""
    for worker, gpu in fleet.gpus:
        foreign, reading = gpu.foreign or 0, gpu.reading
        used = (reading.memory_used if reading else None) or 0
        load = "" if reading is None or reading.utilization is None else f", utilization {reading.utilization:.0%}"
        where, rests = f"GPU {gpu.device.index} of {worker.name}", not worker.running
        if foreign > _LITTLE and rests:
            seen = f"{where} runs no task, and other programs hold {format_bytes(foreign)} of it{load}"
            mend = f"nvidia-smi on {worker.node} names them; end them, or gridq drain {worker.name}"
            yield warning("held unused", seen, "a GPU of its own", mend)
        elif foreign > _LITTLE:
            yield note("shared", f"{where}: other programs hold {format_bytes(foreign)}; tasks get what is left")
        elif used > _LITTLE and rests and not worker.draining:
            seen = f"{where} runs no task, and {format_bytes(used)} of it are in use{load}"
            mend = "torch.cuda.empty_cache() at the end of tasks, or worker_max_tasks_per_child = 1"
            yield note("held unused", seen, "memory that is free between tasks", mend)


def draining(fleet: Fleet) -> Iterator[Finding]:
    """Who takes no tasks because somebody said so."""
    names = [worker.name for worker in fleet.living if worker.draining]
    if names:
        yield note(
            "draining", f"{_some(names)} take{'s' * (len(names) == 1)} no tasks", hint="gridq undrain NAME ends it"
        )


def unheard(fleet: Fleet) -> Iterator[Finding]:
    """Queues in which tasks wait and into which nobody looks."""
    lost = [queue for queue in fleet.queues if queue.waiting and not queue.consumers]
    for queue in lost:
        there = [worker for worker in fleet.living if looks_into(worker, queue.name)]
        seen = f"{queue.name} has {queue.waiting} waiting, and no worker looks into it"
        yield error("queues", seen, "a worker that does", _who_could(queue.name, there))
    if fleet.queues and not lost:
        waiting = sum(queue.waiting for queue in fleet.queues)
        yield ok("queues", f"{waiting} waiting, and somebody looks into each queue with tasks")


def _who_could(queue: str, drained: Sequence[WorkerStatus]) -> str:
    if drained:
        return f"gridq undrain {drained[0].name}"
    if queue == CPU or queue.startswith(CPU + "@"):
        return "celery -A gridq worker -Q cpu" + (f", on {queue.partition('@')[2]}" if "@" in queue else "")
    if is_gpu(queue):
        return "celery -A gridq worker -Q gpu where a GPU fits; gridq explain ID says what its tasks need"
    if "@" in queue:
        return f"start {queue} again: its tasks were pinned to it"
    return f"celery -A gridq worker -Q {queue}"


def idle(fleet: Fleet) -> Iterator[Finding]:
    """Workers with room for what has waited for a while."""
    left = [queue for queue in fleet.queues if queue.waiting and (queue.oldest or 0.0) > LEFT_LYING]
    for worker in fleet.living:
        room = len(worker.running) < worker.slots and worker.takes_work and not worker.draining
        fitting = [queue for queue in left if room and looks_into(worker, queue.name) and _fits(worker, queue)]
        if fitting:
            queue = max(fitting, key=lambda queue: queue.oldest or 0.0)
            free = "" if worker.free is None else f" and {format_bytes(worker.free)}"
            waited = format_seconds(queue.oldest or 0.0)
            seen = f"{worker.name} has a free slot{free}, and in {queue.name} a task has waited for {waited}"
            mend = "gridq explain ID says what the task needs; the worker's log, what keeps it"
            yield warning("idle", seen, "the task on that worker, if it fits", mend)


def _fits(worker: WorkerStatus, queue: Queue) -> bool:
    return worker.free is None or vram_floor(queue.name) < worker.free


def oldest(fleet: Fleet) -> Iterator[Finding]:
    """What has waited longest."""
    waiting = [queue for queue in fleet.queues if queue.waiting and queue.consumers and queue.oldest is not None]
    if not waiting:
        return
    queue = max(waiting, key=lambda queue: queue.oldest or 0.0)
    seen = f"the longest wait is {format_seconds(queue.oldest or 0.0)}, in {queue.name}"
    if (queue.oldest or 0.0) > LONG:
        yield note(
            "waiting", seen, f"less than {format_seconds(LONG)}", "gridq health: are all GPUs busy, or draining?"
        )
    else:
        yield ok("waiting", seen)


def dead_letters(fleet: Fleet) -> Iterator[Finding]:
    """Tasks that wait for a person."""
    count = fleet.dead.count
    if not count:
        yield ok("dead letters", "none")
        return
    age = fleet.dead.age or 0.0
    seen = f"{count}, the oldest {format_seconds(age)} old" + (", forgotten?" if age > STALE else "")
    yield warning("dead letters", seen, "none", "gridq dead list says why; then gridq dead retry ID, or drop ID")


def _some(names: Sequence[str], most: int = 5) -> str:
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
