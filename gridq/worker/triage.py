"""What a worker does about its GPUs' health: it looks several times a second, ends the tasks on a GPU that is gone,
replaces processes that an error has hit, and notes which tasks were there. What it may claim is the gate's."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

from celery import bootsteps

from gridq.broker.connection import open_client
from gridq.broker.holder import Held, Holder
from gridq.gpu.course import Finding
from gridq.gpu.ward import Ward
from gridq.queues import is_gpu
from gridq.worker.deadline import now
from gridq.worker.guard import children, kill_group
from gridq.worker.life import Life
from gridq.worker.stale import Stale
from gridq.worker.tally import Tally
from gridq.worker.usage import Usage
from gridq.worker.witness import Presence, Witness, present

logger = logging.getLogger(__name__)

#: Seconds between looks at most; half of the time between readings where that is shorter.
TICK = 0.25
#: Seconds after which a task whose process was killed runs elsewhere though the process has not ended. It may be stuck
#: inside the driver of a GPU that is gone; whatever becomes of it, no code of the task runs there any more.
STUCK = 5.0


class Triage(bootsteps.StartStopStep):
    """The bootstep that starts the looking; it goes on until the last task has ended."""

    requires = ("gridq.worker.heartbeat:Heartbeat",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._round: Round | None = None
        self._usage: Usage | None = None

    def start(self, worker: Any) -> None:
        """Celery's hook."""
        life: Life = worker.gridq
        if life.ward is None:
            return
        witness = Witness(life.place.name, lambda: open_client(worker.app))
        self._round = Round(life.ward, life.holder, witness, worker.pool, life.tally, life.stale)
        self._usage = Usage([device.uuid for device in life.place.devices], life.ward.latest, self._round.held)
        life.holder.measured = self._usage.measured
        pause = min(TICK, life.settings.probe_interval / 2)
        self._thread = threading.Thread(target=self._look, args=(pause,), name="gridq-triage", daemon=True)
        self._thread.start()

    def stop(self, worker: Any) -> None:
        """Celery's hook. It comes before the pool's, whose tasks may go on for hours on a GPU that may fall ill."""

    def finish(self) -> None:
        """The last task has ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._round is not None:
            self._round.end()

    def _look(self, pause: float) -> None:
        assert self._round is not None and self._usage is not None
        while not self._stopping.wait(pause):
            try:
                self._round.run_once()
                self._usage.look()
            except OSError as error:
                # No process for a canary, no /proc: this machine is short of something. The next look may succeed; if
                # none does, the ward's verdicts grow old, and old verdicts take no work.
                logger.warning("could not look after the GPUs: %s", error)
            except Exception:  # A look that ends silently leaves tasks on a GPU that is gone.
                logger.exception("could not look after the GPUs; the next look follows")


class Round:
    """One worker's looks at its GPUs, one after the other.

    Args:
        ward: its GPUs.
        holder: its tasks.
        witness: who notes what happened to them.
        pool: Celery's pool, whose processes run them.
        tally: who counts the errors.
        stale: which of the processes must be replaced.
    """

    def __init__(self, ward: Ward, holder: Holder, witness: Witness, pool: Any, tally: Tally, stale: Stale) -> None:
        self._ward = ward
        self._holder = holder
        self._witness = witness
        self._pool = pool
        self._tally = tally
        self._killed: dict[str, float] = {}
        self._stale = stale

    def run_once(self) -> None:
        """Look once, and do what must be done at once."""
        findings = self._ward.tick(idle=not self.held())
        reason = next((finding.kill for finding in findings.values() if finding.kill), None)
        if reason:
            self._end_tasks(reason)
        for uuid, finding in findings.items():
            self._note(uuid, finding)
        self._replace()

    def end(self) -> None:
        """Write what is left to write, end what is left of checks."""
        self._ward.stop()
        self._witness.stop()

    def _end_tasks(self, why: str) -> None:
        """Kill the processes of tasks on the GPU. Celery's main thread sees them die and puts them back, uncounted."""
        holder, reason = self._holder, f"its GPU failed on {self._holder.worker}: {why}"
        killable = set(children(os.getpid()))
        held = self.held()
        for claim, task in held.items():
            # Not yet while the pool has not begun it; then a later look ends it.
            if task.pid in killable:
                if claim not in self._killed:
                    logger.warning("ending task %s: %s", task.task_id, reason, extra={"task_id": task.task_id})
                self._killed.setdefault(claim, now())
                holder.excuse(claim, reason, counter="gpu_losses")
                kill_group(task.pid)
        self._killed = {claim: at for claim, at in self._killed.items() if claim in held}
        for claim, at in self._killed.items():
            if now() - at > STUCK:
                stuck = held[claim].task_id
                logger.error("task %s: its process was killed and has not ended", stuck, extra={"task_id": stuck})
                holder.lose(claim, reason)

    def _note(self, uuid: str, finding: Finding) -> None:
        for event in finding.events:
            self._tally.count_xid(uuid, event.number)
            self._witness.note(uuid, event, self._presences())
        if finding.recycle:
            why = f"an error hit processes of {uuid}, and this one was replaced"
            self._stale.mark(self._processes(), why)

    def _presences(self) -> list[Presence]:
        offset = time.monotonic() - now()
        left = [(task, gone) for task, gone in list(self._holder.recent) if self._is_on_gpu(task)]
        here = [present(task, gone=None, offset=offset) for task in self.held().values()]
        return here + [present(task, gone=gone, offset=offset) for task, gone in left]

    def held(self) -> dict[str, Held]:
        """The tasks on the worker's GPUs by claim; those of its CPU queues, if it has such, are not."""
        return {claim: task for claim, task in self._holder.running.items() if self._is_on_gpu(task)}

    def _is_on_gpu(self, task: Held) -> bool:
        return task.queue == self._holder.worker or is_gpu(task.queue)

    def _processes(self) -> set[int]:
        """The children that run tasks."""
        return set(self._pool.info.get("processes", ())) & set(children(os.getpid()))

    def _replace(self) -> None:
        """End the stale children that run no task; the pool starts others in their place."""
        stale = self._stale.among(self._processes())
        running = {task.pid for task in self._holder.running.values()}
        if None in running:
            # Whose task it becomes is being decided.
            return
        for pid in stale.keys() - running:
            logger.info("process %d ends: %s", pid, stale[pid])
            self._stale.end(pid)
