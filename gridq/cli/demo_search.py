"""The demo's search: submitted in parts, followed by their records, checked against what is known."""

from __future__ import annotations

from collections import Counter
from typing import Any

from gridq.cli.interrupts import Interrupts
from gridq.cli.machine import TICK, StoppedError
from gridq.errors import GridqError
from gridq.store import tasks
from gridq.store.client import Client
from gridq.store.tasks import TaskRecord

#: The known answers: limit → (number, steps), https://oeis.org/A284668 and https://oeis.org/A284669.
KNOWN = {
    10**2: (97, 118),
    10**3: (871, 178),
    10**4: (6171, 261),
    10**5: (77031, 350),
    10**6: (837799, 524),
    10**7: (8400511, 685),
    10**8: (63728127, 949),
}
_ENDED = ("done", "failed", "cancelled", "dead")


class Search:
    """One search for the longest chain below a limit.

    Args:
        app: whose workers do it.
        client: where the tasks' records are.
        example: the module examples/collatz.py.
        limit: the numbers below it are searched.
    """

    def __init__(self, app: Any, client: Client, example: Any, limit: int) -> None:
        self.limit = limit
        self._app = app
        self._client = client
        self._example = example
        self._ranges: dict[str, tuple[int, int]] = {}
        self._records: dict[str, TaskRecord] = {}
        self.answer: dict[str, Any] = {}

    def submit(self, parts: int) -> None:
        """Send one task per part; each goes to a GPU that is free, or waits for the first to become so."""
        words = self._example.search.needs.to_message()
        for start, stop in self._example.ranges(self.limit, parts):
            sent = self._app.send_task(self._example.search.name, (start, stop), **words)
            self._ranges[sent.id] = (start, stop)

    def refresh(self) -> None:
        """Read the records of the tasks that have not ended.

        Raises:
            GridqError: when one failed.
        """
        for task_id, (start, stop) in self._ranges.items():
            before = self._records.get(task_id)
            if before is not None and before.state in _ENDED:
                continue
            record = tasks.find(self._client, task_id)
            if record is None:
                continue
            self._records[task_id] = record
            if record.state in _ENDED and record.state != "done":
                raise GridqError(f"the search from {start} to {stop} ended as {record.state}: {record.reason}")

    @property
    def total(self) -> int:
        """How many parts there are."""
        return len(self._ranges)

    @property
    def done(self) -> int:
        """How many of them are done."""
        return sum(record.state == "done" for record in self._records.values())

    @property
    def finished(self) -> bool:
        """Whether all are."""
        return self.done == self.total

    @property
    def done_by(self) -> Counter[str]:
        """Worker → how many parts it did."""
        return Counter(str(record.worker) for record in self._records.values() if record.state == "done")

    @property
    def running_on(self) -> dict[str, str]:
        """Worker → what it searches now."""
        return {
            str(record.worker): f"from {self._ranges[task_id][0]:,}"
            for task_id, record in self._records.items()
            if record.state == "running"
        }

    def check(self, interrupts: Interrupts) -> bool:
        """The best of all parts becomes the answer; whether a CPU worker and the books agree with it."""
        found = [self._app.AsyncResult(task_id).result for task_id in self._ranges]
        self.answer = self._example.best(found)
        asked = self._app.send_task(self._example.check.name, (self.answer,))
        while not asked.ready():
            if interrupts.wait(TICK):
                raise StoppedError
        return bool(asked.successful() and asked.result) and self.known in (None, self.pair)

    @property
    def pair(self) -> tuple[int, int]:
        """The answer as (number, steps)."""
        return self.answer["start"], self.answer["steps"]

    @property
    def known(self) -> tuple[int, int] | None:
        """The answer that the books have for this limit, None where they have none."""
        return KNOWN.get(self.limit)
