"""One scenario on one stage: it sends, breaks, waits, and is counted."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kombu.exceptions import KombuError
from redis import RedisError

from .ledger import Execution, now
from .stage import Stage, Worker, until
from .tally import DONE, FAILED, Fault, Sent, Tally, count


class Play:
    """What a scenario can do.

    Args:
        stage: on which it is played.
        seed: of every choice.
        patience: seconds after the last fault, in which every task must have ended.
        grace: see `tally.count`.
    """

    def __init__(self, stage: Stage, seed: int, patience: float, grace: float = 0.0) -> None:
        self.stage = stage
        self.timing = stage.timing
        self.random = random.Random(seed)
        self.sent: list[Sent] = []
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.complaints: list[str] = []
        self._patience = patience
        self._grace = grace

    @property
    def on_gridq(self) -> bool:
        """Whether this is the side that has leases, GPUs and dead letters."""
        return self.stage.side.name == "gridq"

    # -- sending

    def send(self, name: str, *arguments: Any, number: int = 1, last: int = 0, **options: Any) -> list[str]:
        """Send a task so many times.

        Args:
            name: of `tasks`.
            arguments: of the task.
            number: how often.
            last: see `Sent`.
            options: of `apply_async`.
        """
        task = self.stage.app.tasks[f"chaos.{name}"]
        ids = []
        options.setdefault("queue", self._queue())
        for _ in range(number):
            result = task.apply_async(arguments, **options)
            due = now() + options.get("countdown", 0.0)
            self.sent.append(Sent(result.id, due, last, deadly=name == "poison"))
            ids.append(result.id)
        return ids

    def sent_since(self, start: float, end: float) -> int:
        """How many tasks the broker accepted between these times."""
        return sum(start <= each.at <= end for each in self.sent)

    def _queue(self) -> str | None:
        return None if self.on_gridq else self.stage.side.queue

    @contextlib.contextmanager
    def stream(self, rate: float, seconds: float) -> Iterator[None]:
        """Send tasks of `seconds` at this rate until the block ends. One that raises was not accepted."""
        stopping, refused = threading.Event(), []

        def publish() -> None:
            due = time.monotonic()
            while not stopping.wait(max(0.0, due - time.monotonic())):
                due = max(due + 1 / rate, time.monotonic() - 1)
                try:
                    self.send("work", seconds)
                except (RedisError, KombuError, OSError, RuntimeError, AttributeError) as error:
                    refused.append(error)

        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(60)
            if refused:
                kinds = sorted({type(error).__name__ for error in refused})
                self.notes.append(f"{len(refused)} not accepted ({', '.join(kinds)})")

    # -- looking

    def executions(self, tasks: Iterable[str] | None = None) -> list[Execution]:
        """What ran so far of these tasks, or of all that this play sent."""
        wanted = {each.id for each in self.sent} if tasks is None else set(tasks)
        return [each for each in self.stage.ledger.executions() if each.task in wanted]

    def running(self, tasks: Iterable[str] | None = None, at_least: int = 1) -> list[Execution]:
        """Wait until so many run; returns those."""

        def found() -> list[Execution]:
            fresh = now() - 0.2
            live = [each for each in self.executions(tasks) if each.end is None and each.seen > fresh]
            return live if len(live) >= at_least else []

        return until(found, f"{at_least} tasks run\n{self.stage.last_words()}", 30)

    def await_ended(self, at_least: int, patience: float = 60.0) -> None:
        """Wait until so many tasks of this play have ended."""
        until(
            lambda: len({each.task for each in self.executions() if each.end}) >= at_least,
            f"{at_least} tasks have ended\n{self.stage.last_words()}",
            patience,
        )

    def worker_of(self, execution: Execution) -> Worker:
        """The worker that runs it."""
        return next(worker for worker in self.stage.living() if worker.process.pid == execution.parent)

    # -- breaking

    def broke(
        self, holders: Iterable[int] = (), *, at: float | None = None, until: float = 0.0, frozen: bool = False
    ) -> Fault:
        """Note that holders were lost, now or at a time; for the rest see `Fault`."""
        fault = Fault(at or now(), frozenset(holders), until, frozen=frozen)
        self.faults.append(fault)
        return fault

    @contextlib.contextmanager
    def losing(self, holders: Iterable[int]) -> Iterator[None]:
        """Around what kills holders: they are lost from when it ends, and with them what they began meanwhile."""
        at, lost = now(), frozenset(holders)
        yield
        self.broke(lost, at=at, until=now())

    def outage(self, break_it: Callable[[], Any], mend_it: Callable[[], Any], seconds: float) -> Fault:
        """Take the broker away for so long; workers keep their right to hold tasks if that is shorter than a lease."""
        at = now()
        break_it()
        time.sleep(max(0.0, seconds - (now() - at)))
        mend_it()
        back = now()
        self.faults.append(Fault(at, frozenset(), back, outage=True))
        if self.on_gridq and back - at > self.timing.lease * 0.6:
            # Renewed a heartbeat before, and ended by the guard a margin before the lease is over.
            holders = frozenset(pid for worker in self.stage.workers for pid in worker.holders)
            self.faults.append(Fault(at, holders | {each.pid for each in self.executions()}, back, outage=True))
        return self.faults[-1]

    def expect(self, condition: bool, complaint: str) -> None:
        """What must be so beyond the counts; of gridq only, since the other side has no such promise."""
        if self.on_gridq and not condition:
            self.complaints.append(complaint)

    # -- the end

    def finish(self) -> Tally:
        """Wait until every task has ended one way and the broker has none of them any more; then count."""
        end = time.monotonic() + self._patience
        answers: dict[str, str] = {}
        remaining = self._unsettled(answers)
        while remaining and time.monotonic() < end:
            time.sleep(0.1)
            remaining = self._unsettled(answers)
        # Whoever starts a task a second time does it now, or when a patience has ended.
        time.sleep(self.timing.pick(0.2, 1.5))
        left = self._left()
        tally = count(self.sent, self.executions(), self.faults, answers, left, self._grace)
        tally.details += [*self.complaints, *self._errors(answers)]
        tally.note = "; ".join(self.notes)
        return tally

    def _errors(self, answers: dict[str, str]) -> list[str]:
        """What the callers of failed tasks got."""
        failed = [each.id for each in self.sent if answers.get(each.id) == FAILED and not each.deadly]
        return [f"{task} got {self.stage.app.AsyncResult(task).result!r}" for task in failed[:5]]

    def _unsettled(self, answers: dict[str, str]) -> set[str]:
        """Tasks that have no answer yet, or that the broker still has; learns new answers."""
        for each in self.sent:
            if answers.get(each.id) not in (DONE, FAILED):
                with contextlib.suppress(RedisError, KombuError, OSError):
                    answers[each.id] = self.stage.app.AsyncResult(each.id).state
        open_ones = {each.id for each in self.sent if answers.get(each.id) not in (DONE, FAILED)}
        return open_ones or {each.id for each in self.sent if each.id in self._left() and not each.deadly}

    def _left(self) -> set[str]:
        """Tasks that the broker still has."""
        try:
            with self.stage.client() as client:
                options = self.stage.setting.access.configuration.get("broker_transport_options", {})
                text = self.stage.side.remains(client, options.get("global_keyprefix", ""))
        except (RedisError, OSError) as error:
            return {f"unknown: {error}"}
        return {each.id for each in self.sent if each.id in text}
