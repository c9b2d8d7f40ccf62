"""All GPUs of one worker over time: what the watch sees, the course of each, and the canaries between."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gridq.gpu.canary import DEADLINE, Canary
from gridq.gpu.course import Course, Finding
from gridq.gpu.health import State, Verdict
from gridq.gpu.watch import Observation, Watch
from gridq.units import format_seconds

logger = logging.getLogger(__name__)

_UNSEEN = Verdict(State.UNKNOWN, ("no reading yet",))


class Ward:
    """Looks after GPUs: `tick` does it, `latest` tells what came of it.

    Args:
        watch: what the GPUs say.
        uuids: of the GPUs.
        recovery: seconds that a GPU must look well before it takes work again.
        patience: seconds without a tick after which no verdict counts any more.
        state_dir: where the state of simulated GPUs lies.
        deadline: seconds that a canary may take.
    """

    def __init__(
        self,
        watch: Watch,
        uuids: Sequence[str],
        *,
        recovery: float,
        patience: float,
        state_dir: Path,
        deadline: float = DEADLINE,
    ) -> None:
        self._watch = watch
        self._courses = {uuid: Course(recovery) for uuid in uuids}
        self._canaries = {uuid: Canary(uuid, state_dir, deadline=deadline) for uuid in uuids}
        self._verdicts: dict[str, Verdict] = {}
        self._patience = patience
        self._ticked = time.monotonic()

    def latest(self, uuid: str) -> Observation:
        """The newest reading with the verdict that counts; never blocks."""
        seen, idle_for = self._watch.latest(uuid), time.monotonic() - self._ticked
        if idle_for > self._patience:
            reason = f"its worker has not looked at it for {format_seconds(idle_for)}"
            return replace(seen, verdict=Verdict(State.UNKNOWN, (reason,)))
        return replace(seen, verdict=self._verdicts.get(uuid, _UNSEEN))

    def tick(self, *, idle: bool) -> dict[str, Finding]:
        """Look at every GPU once; never blocks.

        Args:
            idle: whether the worker holds no task.
        """
        return {uuid: self._look(uuid, idle) for uuid in self._courses}

    def stop(self) -> None:
        """End the canaries that run."""
        for canary in self._canaries.values():
            canary.stop()

    def _look(self, uuid: str, idle: bool) -> Finding:
        course, canary, now = self._courses[uuid], self._canaries[uuid], time.monotonic()
        check = canary.poll()
        if check is not None:
            logger.warning("the check of %s %s%s", uuid, check.outcome, f": {check.reason}" if check.reason else "")
            course.checked(check, canary.started, now)
        finding = course.look(self._watch.latest(uuid), now, idle=idle)
        self._tell(uuid, finding.verdict)
        self._verdicts[uuid] = finding.verdict
        self._ticked = now
        if finding.check:
            canary.start()
        return finding

    def _tell(self, uuid: str, verdict: Verdict) -> None:
        before = self._verdicts.get(uuid)
        if before is not None and before.state is not verdict.state:
            level = logging.INFO if verdict.takes_work else logging.WARNING
            why = f": {'; '.join(verdict.reasons)}" if verdict.reasons else ""
            logger.log(level, "%s is %s now, it was %s%s", uuid, verdict.state, before.state, why)
