"""What is counted of one scenario: pure arithmetic on what was sent, what ran and what was broken."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .ledger import Execution

#: Celery's states of a task whose caller knows how it ended.
DONE, FAILED = "SUCCESS", "FAILURE"


@dataclass(frozen=True, slots=True)
class Sent:
    """A task that the broker accepted.

    Attributes:
        id: Celery's.
        at: when, or when it was due.
        last: number of the try that should end, 0 where no retry is asked for.
        deadly: whether it kills whoever runs it.
    """

    id: str
    at: float = 0.0
    last: int = 0
    deadly: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was broken, and with it these processes' right to hold tasks, if any.

    Attributes:
        at: when.
        holders: workers and children that were lost; what they ran may run again.
        until: when it was put right; the same as `at` for what is never put right.
        outage: whether it was the broker that was away: then recovery counts from `until`.
        frozen: whether what ran was frozen meanwhile, and did nothing before `until`.
    """

    at: float
    holders: frozenset[int] = frozenset()
    until: float = 0.0
    outage: bool = False
    frozen: bool = False

    def took(self, execution: Execution) -> bool:
        """Whether this fault took the execution's holder away."""
        ours = bool(self.holders & {execution.parent, execution.pid})
        return ours and execution.start <= max(self.at, self.until)


@dataclass(slots=True)
class Tally:
    """The counts.

    Attributes:
        tasks: how many the broker accepted.
        lost: never ended, no error came, and the broker has them no more.
        late: the same, but the broker has them still, when patience had ended.
        failed: their callers got an error, though the task raised none.
        duplicated: a second start although the first holder had not been lost, or while the first one still ran.
        again: starts after the first holder had been lost, which is what should happen.
        unanswered: ended, but their callers never heard.
        stuck: ended, but the broker still has the message, which would run again one day.
        wait: the longest time from sending a task to its first start, seconds.
        recovery: the longest time from a fault to the next start of what it had interrupted, seconds.
        overlap: the longest time that two executions of a task ran side by side, seconds.
        details: a line for each thing that should not have happened.
        note: anything else to say.
    """

    tasks: int = 0
    lost: int = 0
    late: int = 0
    failed: int = 0
    duplicated: int = 0
    again: int = 0
    unanswered: int = 0
    stuck: int = 0
    wait: float = 0.0
    recovery: float | None = None
    overlap: float = 0.0
    details: list[str] = field(default_factory=list)
    note: str = ""

    @property
    def clean(self) -> bool:
        """Whether nothing happened that should not."""
        wrong = self.lost + self.late + self.failed + self.duplicated + self.unanswered + self.stuck
        return wrong == 0 and not self.details


def count(
    sent: Sequence[Sent],
    executions: Iterable[Execution],
    faults: Sequence[Fault],
    answers: Mapping[str, str],
    remaining: Collection[str],
    grace: float = 0.0,
) -> Tally:
    """Count.

    Args:
        sent: what the broker accepted.
        executions: what ran.
        faults: what was broken.
        answers: what the callers heard, a state by task.
        remaining: tasks that the broker still has.
        grace: seconds for which an execution may outlive its lost holder: a frozen node kills nothing until it thaws.
    """
    tally = Tally(tasks=len(sent))
    known = {each.id: each for each in sent}
    tries: dict[tuple[str, int], list[Execution]] = defaultdict(list)
    ended: dict[str, int] = {}
    ran = sorted((each for each in executions if each.task in known), key=lambda each: each.start)
    for each in ran:
        tries[each.task, each.number].append(each)
        if each.end is not None:
            ended[each.task] = max(each.number, ended.get(each.task, 0))
    for each in sent:
        _judge(tally, each, ended.get(each.id, -1) >= each.last, answers.get(each.id, ""), each.id in remaining)
    for starts in tries.values():
        for place in range(1, len(starts)):
            _compare(tally, starts[:place], starts[place], known[starts[0].task], faults, grace)
    first = {each.task: each.start for each in reversed(ran)}
    tally.wait = max((first[each.id] - each.at for each in sent if each.id in first and each.at), default=0.0)
    tally.recovery = _recovery(tries.values(), ran, faults)
    return tally


def _judge(tally: Tally, sent: Sent, ended: bool, answer: str, remains: bool) -> None:
    """Whether one task ended, one way or the other."""
    if answer == FAILED:
        if not sent.deadly:
            tally.failed += 1
    elif not ended:
        kind = "late" if remains else "lost"
        setattr(tally, kind, getattr(tally, kind) + 1)
        tally.details.append(f"{sent.id} is {kind}: its caller knows {answer or 'nothing'}")
    elif answer != DONE:
        tally.unanswered += 1
        tally.details.append(f"{sent.id} has ended, but its caller knows {answer or 'nothing'}")
    elif remains:
        tally.stuck += 1
        tally.details.append(f"{sent.id} has ended, but the broker still has it")


def _compare(
    tally: Tally, before: Sequence[Execution], second: Execution, sent: Sent, faults: Sequence[Fault], grace: float
) -> None:
    """Whether a further start of a try was right."""
    thaws = [fault.until for fault in faults if fault.frozen and fault.took(before[-1])]
    overlap = max(each.seen for each in before) - max(second.start, *thaws, 0.0)
    tally.overlap = max(tally.overlap, overlap)
    allowed = sent.deadly or any(fault.took(before[-1]) and fault.at <= second.start for fault in faults)
    if overlap > grace:
        tally.duplicated += 1
        tally.details.append(f"{second.task} ran {overlap:.2f}s side by side in {before[-1].pid} and {second.pid}")
    elif not allowed:
        tally.duplicated += 1
        tally.details.append(
            f"{second.task} started again in {second.pid} ({second.worker}), {second.start - before[-1].start:.2f}s "
            f"after it had in {before[-1].pid} ({before[-1].worker}), which was not lost"
        )
    else:
        tally.again += 1


def _recovery(tries: Iterable[Sequence[Execution]], ran: Sequence[Execution], faults: Sequence[Fault]) -> float | None:
    """From each fault to the next start of what it interrupted; from a broker's return to the next start of all."""
    times = []
    for fault in faults:
        if fault.outage:
            times += [each.start - fault.until for each in ran if each.start > fault.until][:1]
    for starts in tries:
        for first, second in itertools.pairwise(starts):
            taken = [fault for fault in faults if not fault.outage and fault.took(first) and first.end is None]
            times += [second.start - fault.at for fault in taken if fault.at <= second.start]
    return max(times, default=None)
