"""What `gridq top` shows at one moment, as plain rows."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from gridq.cli.look import Row, count
from gridq.cli.tasks import task_rows
from gridq.store import tasks, workers
from gridq.store.client import Client
from gridq.store.gpus import gpu_rows
from gridq.store.tasks import TaskRecord

#: What the list of tasks can show: tasks of these states, in this order.
VIEWS = {
    "waiting": ("placed", "waiting", "delayed"),
    "running": ("running",),
    "ended": ("done", "failed", "cancelled", "dead", "dropped"),
}
#: Nobody reads more; and more would cost the broker every second.
_MOST_TASKS = 200
_MOST_RUNNING = 4000
_VERDICTS = ("healthy", "degraded", "unhealthy", "unknown")


@dataclass(frozen=True, slots=True)
class Picture:
    """The fleet at one moment.

    Attributes:
        gpus: as `gridq gpus --json` has them, and under `tasks` the rows of what runs there.
        tasks: as `gridq tasks --json` has them, those of the view.
        view: one of VIEWS.
        totals: how many tasks are in each state.
        workers: how many live.
        nodes: on how many nodes.
        latency: seconds that the broker took for all of it.
        taken_at: seconds of this machine's monotonic clock.
    """

    gpus: list[Row]
    tasks: list[Row]
    view: str
    totals: dict[str, int]
    workers: int
    nodes: int
    latency: float
    taken_at: float

    def to_dict(self) -> Row:
        """Plain JSON types; the keys are stable."""
        names = ("gpus", "tasks", "totals", "workers", "nodes")
        return {name: getattr(self, name) for name in names} | {"latency": round(self.latency, 6)}

    @property
    def shown_of(self) -> tuple[int, int]:
        """How many tasks of the view are in the picture, and how many there are."""
        return len(self.tasks), max(len(self.tasks), sum(self.totals.get(state, 0) for state in VIEWS[self.view]))

    def fleet(self) -> str:
        """`on 1 node, 3 healthy, 1 unhealthy, 1 draining`."""
        verdicts = Counter(row["verdict"] for row in self.gpus)
        told = [f"{verdicts[verdict]:,} {verdict}" for verdict in _VERDICTS if verdicts[verdict]]
        if len(told) == 1:
            told = [f"all {told[0].partition(' ')[2]}"]
        drained = sum(row["draining"] for row in self.gpus)
        return ", ".join([f"on {count(self.nodes, 'node')}", *told, *([f"{drained:,} draining"] if drained else [])])


def take(client: Client, view: str = "waiting") -> Picture:
    """Ask the store for everything once."""
    began = time.perf_counter()
    now, living, totals = client.now(), workers.living(client), tasks.counts(client)
    running = tasks.listing(client, "running", limit=_MOST_RUNNING)
    of_view = running if view == "running" else _listed(client, view)
    latency = time.perf_counter() - began
    here: dict[str | None, list[Row]] = defaultdict(list)
    for row in task_rows(running, living, now):
        here[row["worker"]].append(row)
    return Picture(
        gpus=[row | {"tasks": here[row["worker"]]} for row in gpu_rows(living)],
        tasks=task_rows(of_view[:_MOST_TASKS], living, now),
        view=view,
        totals=totals,
        workers=len(living),
        nodes=len({worker.node for worker in living}),
        latency=latency,
        taken_at=time.monotonic(),
    )


def _listed(client: Client, view: str) -> list[TaskRecord]:
    """The tasks of a view: those that wait longest first, those that ended last first."""
    if view == "ended":
        found = [record for state in VIEWS[view] for record in tasks.listing(client, state, limit=_MOST_TASKS)]
        return sorted(found, key=lambda record: -record.times.get("finished_at", 0.0))[:_MOST_TASKS]
    found = [
        record for state in VIEWS[view] for record in tasks.listing(client, state, first="oldest", limit=_MOST_TASKS)
    ]
    return found[:_MOST_TASKS]
