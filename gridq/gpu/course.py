"""The course of one GPU's health: from readings, XIDs and checks over time to the verdict that counts.

Pure: the time and every reading come from outside. What happens at what:

    what                              verdict       tasks that run   takes work again
    --------------------------------  ------------  ---------------  ---------------------------------------------
    lost; a QUARANTINE XID            unhealthy     are ended        calm for the recovery time, then a canary
    row remap failed; new double-bit  unhealthy     run on           calm for the recovery time, then a canary
    a DRAIN XID; RECYCLE too often    unhealthy     run on           a canary, once nothing runs
    hot (3 readings in a row)         unhealthy     run on           cool for the recovery time (gpu/heat.py)
    silent                            unknown       run on           3 readings in time
    a RECYCLE XID                     unchanged     run on           their processes are replaced afterwards
    a BLAME_TASK XID                  unchanged     run on

A double-bit error that comes with a RECYCLE XID hit one program only, and the driver has ended that: it does not count.
Errors that go on by themselves count by their rate: a GPU that falls ill again within the hour must stay calm for twice
as long each time, and the third RECYCLE XID within the hour drains.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from gridq.gpu.health import State, Verdict, double_bit, faults
from gridq.gpu.heat import READINGS, Heat
from gridq.gpu.reading import Reading
from gridq.gpu.watch import Observation
from gridq.gpu.xid import Action, XidEvent, lookup
from gridq.units import format_seconds

HOUR = 3600.0
MOST_RECYCLES = 3
"""So many RECYCLE XIDs within an hour are more than a bad piece of memory: NVIDIA's row remapper replaces that once."""
CONTAINED = 5.0
"""Seconds within which a double-bit error and a RECYCLE XID are one event: readings and events come apart."""
_MOST_DOUBLINGS = 6
_MOST_REASONS = 8


class Outcome(StrEnum):
    """How a canary ended."""

    PASSED = "passed"
    FAILED = "failed"
    ABSENT = "absent"
    """There is nothing to compute with: the readings alone decide."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a canary (gpu/canary.py) found, and why where it did not pass."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at a GPU came to.

    Attributes:
        verdict: the one that counts.
        events: XID errors that no earlier look has seen.
        kill: why the tasks on it must end, for as long as that stands; None while they may run.
        recycle: whether the processes of its tasks must be replaced, each when its task has ended.
        check: whether a canary should run now.
    """

    verdict: Verdict
    events: tuple[XidEvent, ...] = ()
    kill: str | None = None
    recycle: bool = False
    check: bool = False


@dataclass(slots=True)
class _Illness:
    """A hard fault from its beginning until a canary has passed.

    Attributes:
        hold: seconds that must pass without trouble before the canary.
        touched: when there was trouble last.
        reasons: by name, in the order in which they came.
        deadly: why tasks must end, None if they may run on.
        failed: what the last canary complained of.
        failures: how many canaries in a row complained.
        retry_at: not before then comes the next one.
    """

    hold: float
    touched: float
    reasons: dict[str, str] = field(default_factory=dict)
    deadly: str | None = None
    failed: str = ""
    failures: int = 0
    retry_at: float = 0.0


class Course:
    """The health of one GPU over time.

    Args:
        recovery: seconds that a GPU must look well before it takes work again.
    """

    def __init__(self, recovery: float) -> None:
        self._recovery = recovery
        self._heat = Heat(recovery)
        self._ill: _Illness | None = None
        self._reading: Reading | None = None
        self._steady = READINGS
        self._last_event = -1
        self._double_bits = 0
        self._unchecked = ""
        self._illnesses: deque[float] = deque(maxlen=_MOST_DOUBLINGS + 1)
        self._recycles: deque[float] = deque(maxlen=MOST_RECYCLES)

    def look(self, seen: Observation, now: float, *, idle: bool) -> Finding:
        """Take in what is seen now.

        Args:
            seen: the newest reading, with the last XIDs, and whether it is in time.
            now: seconds of a clock that goes on by itself.
            idle: whether no task runs on the GPU: only then is there room for a canary.
        """
        reading = seen.reading
        silent = seen.verdict.state is State.UNKNOWN
        events = tuple(event for event in (reading.xids if reading else ()) if event.id > self._last_event)
        for event in events:
            self._last_event = event.id
            self._take_event(event, now)
        if silent:
            self._hear_nothing(now)
        elif reading is not None and reading is not self._reading:
            self._take_reading(reading, now)
        check = self._wants_check(now) and idle and not silent
        recycle = any(lookup(event.number).action is Action.RECYCLE for event in events)
        kill = self._ill.deadly if self._ill else None
        return Finding(self._verdict(seen, idle=idle, check=check, now=now), events, kill, recycle, check)

    def checked(self, check: Check, started: float, now: float) -> None:
        """Take in what a canary found that started then; one that began before the last trouble says nothing."""
        ill = self._ill
        if ill is None or ill.touched > started:
            return
        if check.outcome is Outcome.FAILED:
            ill.failures += 1
            ill.failed = check.reason
            ill.retry_at = now + self._recovery * 2 ** min(ill.failures - 1, _MOST_DOUBLINGS)
            return
        self._unchecked = check.reason if check.outcome is Outcome.ABSENT else ""
        self._ill = None

    def _take_event(self, event: XidEvent, now: float) -> None:
        xid = lookup(event.number)
        name, reason = f"xid {event.number}", f"{xid} ({xid.action})"
        if xid.action is Action.QUARANTINE:
            self._fall_ill(name, reason, now, deadly=True)
        elif xid.action is Action.DRAIN:
            self._fall_ill(name, reason, now, hold=0.0)
        elif xid.action is Action.RECYCLE:
            self._recycles.append(now)
            if len(self._recycles) == MOST_RECYCLES and now - self._recycles[0] <= HOUR:
                self._fall_ill("recycles", f"{reason}, {MOST_RECYCLES} such errors within an hour", now, hold=0.0)

    def _hear_nothing(self, now: float) -> None:
        self._heat.silence()
        if self._reading is not None:
            self._steady = 0
        if self._ill is not None:
            self._ill.touched = now

    def _take_reading(self, reading: Reading, now: float) -> None:
        self._reading = reading
        self._steady = min(READINGS, self._steady + 1)
        self._heat.take(reading, now)
        for name, reason in faults(reading).items():
            self._fall_ill(name, reason, now, deadly=name == "lost")
        count = reading.ecc_uncorrected
        if count is None:
            return
        contained = self._recycles and now - self._recycles[-1] <= CONTAINED
        if count > self._double_bits and not contained:
            self._fall_ill("double-bit", double_bit(count), now)
        # Lower than before: the driver has been loaded again.
        self._double_bits = count

    def _fall_ill(self, name: str, reason: str, now: float, *, hold: float | None = None, deadly: bool = False) -> None:
        if self._ill is None:
            self._illnesses.append(now)
            self._ill = _Illness(0.0, now)
            self._unchecked = ""
        ill = self._ill
        lately = sum(now - at <= HOUR for at in self._illnesses)
        ill.hold = max(ill.hold, self._recovery * 2 ** (lately - 1) if hold is None else hold)
        ill.touched = now
        if name in ill.reasons or len(ill.reasons) < _MOST_REASONS:
            ill.reasons[name] = reason
        if deadly:
            ill.deadly = ill.deadly or reason

    def _wants_check(self, now: float) -> bool:
        ill = self._ill
        if ill is None or self._steady < READINGS:
            return False
        standing = self._reading is None or bool(faults(self._reading))
        return not standing and now >= max(ill.touched + ill.hold, ill.retry_at)

    def _verdict(self, seen: Observation, *, idle: bool, check: bool, now: float) -> Verdict:
        silence = seen.verdict.reasons if seen.verdict.state is State.UNKNOWN else ()
        if self._ill is not None:
            step = "" if silence else self._next_step(self._ill, idle=idle, check=check, now=now)
            return Verdict(State.UNHEALTHY, (*self._ill.reasons.values(), *silence, *([step] if step else [])))
        if silence:
            return Verdict(State.UNKNOWN, silence)
        heat = self._heat.verdict
        if heat.state is State.UNHEALTHY:
            return heat
        if self._steady < READINGS:
            return Verdict(State.UNKNOWN, (f"answers again: {self._steady} of {READINGS} readings in time",))
        reasons = (*heat.reasons, *([self._unchecked] if self._unchecked else []))
        return Verdict(State.DEGRADED, reasons) if reasons else Verdict(State.HEALTHY)

    def _next_step(self, ill: _Illness, *, idle: bool, check: bool, now: float) -> str:
        """What has to come before the GPU takes work again, in words."""
        if self._reading is not None and faults(self._reading):
            return ""
        if check:
            return "it is being checked"
        if ill.failed:
            pause = self._recovery * 2 ** min(ill.failures - 1, _MOST_DOUBLINGS)
            return f"the check failed: {ill.failed}; it is repeated every {format_seconds(pause)}"
        if not idle and ill.deadly is None and self._wants_check(now):
            return "it is checked when the task on it has ended"
        return f"it is checked after {format_seconds(ill.hold)} without further trouble"
