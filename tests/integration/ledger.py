"""What really ran, where and when: one line per event in a file, written by the tasks themselves, outside of Redis."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "SHOP_LEDGER"


@dataclass(frozen=True)
class Run:
    """One start of a task. Times are seconds of this machine's monotonic clock; `end` is None while it runs."""

    task: str
    worker: str
    gpu: str
    pid: int
    vram: int
    start: float
    end: float | None


class Ledger:
    """The file. Any process may write to it: a short line is appended in one piece.

    Args:
        path: where it lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, task: str, **facts: Any) -> None:
        """Append one event."""
        line = {"event": event, "task": task, "at": time.monotonic(), "time_ns": time.time_ns(), **facts}
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, json.dumps(line).encode() + b"\n")
        finally:
            os.close(file)

    @contextmanager
    def running(self, task: Any) -> Iterator[None]:
        """Around the body of a bound task."""
        request = task.request
        needs = (request.headers or {}).get("gridq") or getattr(request, "gridq", None) or {}
        facts = {
            "worker": request.hostname,
            "gpu": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
            "pid": os.getpid(),
            "vram": int(needs.get("vram", 0)),
            "try": request.retries,
        }
        self.write("start", request.id, **facts)
        try:
            yield
        finally:
            self.write("end", request.id, **facts)

    def events(self, tasks: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """All events, or those of the given tasks, in the order in which they were written."""
        wanted = None if tasks is None else set(tasks)
        if not self.path.exists():
            return []
        lines = (json.loads(line) for line in self.path.read_text().splitlines())
        return [line for line in lines if wanted is None or line["task"] in wanted]

    def runs(self, tasks: Iterable[str] | None = None) -> list[Run]:
        """Every start with its end, by start."""
        runs, ends = [], dict[tuple[str, int, int], float]()
        events = self.events(tasks)
        for event in events:
            if event["event"] == "end":
                ends[event["task"], event["pid"], event["try"]] = event["at"]
        for event in events:
            if event["event"] == "start":
                end = ends.get((event["task"], event["pid"], event["try"]))
                place = (event["worker"], event["gpu"], event["pid"], event["vram"])
                runs.append(Run(event["task"], *place, event["at"], end))
        return sorted(runs, key=lambda run: run.start)

    def published(self) -> dict[str, float]:
        """When the client had published each task."""
        return {event["task"]: event["at"] for event in self.events() if event["event"] == "published"}


def most_at_once(runs: Iterable[Run], weight: Any) -> int:
    """The largest sum of `weight(run)` over the runs that overlap at some moment."""
    steps = [(run.start, weight(run)) for run in runs] + [(run.end, -weight(run)) for run in runs]
    most = now = 0
    for _, change in sorted(steps):
        now += change
        most = max(most, now)
    return most
