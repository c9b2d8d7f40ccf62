"""What a worker's tasks have used of its GPUs: seen in the readings while they run, and written into their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gridq.broker.holder import Held
from gridq.gpu.reading import Reading
from gridq.gpu.watch import Observation
from gridq.worker.deadline import now
from gridq.worker.kin import is_descendant


@dataclass(slots=True)
class _Seen:
    """What readings have shown of one task so far."""

    looks: int = 0
    utilization: float = 0.0
    peak: int | None = None
    #: The newest reading of each GPU that was taken into account: each counts once, however often it is looked at.
    last: dict[str, Reading] = field(default_factory=dict)


class Usage:
    """Watches the readings while tasks run. A task that ends between two readings leaves no trace: None, not 0.

    Args:
        uuids: of the worker's GPUs.
        latest: the newest observation of one of them.
        held: the tasks on them now, by claim.
    """

    def __init__(
        self,
        uuids: Sequence[str],
        latest: Callable[[str], Observation],
        held: Callable[[], Mapping[str, Held]],
    ) -> None:
        self._uuids = tuple(uuids)
        self._latest = latest
        self._held = held
        self._seen: dict[str, _Seen] = {}

    def look(self) -> None:
        """Take the newest readings into account; called several times a second, by one thread."""
        held = self._held()
        self._seen = {claim: self._seen.get(claim, _Seen()) for claim in held}
        for claim, task in held.items():
            self._take(self._seen[claim], task)

    def measured(self, claim: str) -> dict[str, str]:
        """What is known of a task that ends, as fields of its record; called by any thread."""
        task = self._held().get(claim)
        if task is None:
            return {}  # A worker of both kinds runs CPU tasks too.
        fields = {"gpus": ",".join(self._uuids)}
        # The last reading may have come since the last look.
        seen = self._seen.get(claim, _Seen())
        seen = replace(seen, last=dict(seen.last))
        self._take(seen, task)
        if seen.looks:
            fields["mean_utilization"] = f"{seen.utilization / seen.looks:.4f}"
        if seen.peak is not None:
            fields["peak_memory"] = str(seen.peak)
        return fields

    def _take(self, seen: _Seen, task: Held) -> None:
        for uuid in self._uuids:
            observation = self._latest(uuid)
            reading = observation.reading
            # An older reading is of what ran there before.
            if task.pid is None or reading is None or observation.age >= now() - task.since:
                continue
            if seen.last.get(uuid) is not reading:
                seen.last[uuid] = reading
                _add(seen, task.pid, reading)


def _add(seen: _Seen, pid: int, reading: Reading) -> None:
    if reading.utilization is not None:
        seen.looks += 1
        seen.utilization += reading.utilization
    ours = [process for process in reading.processes or () if is_descendant(process.pid, pid)]
    known = [process.memory for process in ours if process.memory is not None]
    if known:
        seen.peak = max(seen.peak or 0, sum(known))
