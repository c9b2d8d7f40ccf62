"""How a task ended, told to the holder before Celery acknowledges the message."""

from __future__ import annotations

import os
from typing import Any

from billiard.exceptions import TimeLimitExceeded, WorkerLostError
from celery.exceptions import Ignore, TaskRevokedError
from celery.worker import state
from celery.worker.request import Request as StockRequest
from celery.worker.state import task_ready

from gridq.logs.mask import Mask
from gridq.store.claims import Outcome
from gridq.worker import ending, failure
from gridq.worker.guard import kill_group


class Request(StockRequest):
    """Celery's request, which also notes the outcome for the task's record, puts back what a dead child ran, and lets
    go of a task that it ended only when the task's processes are gone."""

    acknowledged: bool = False
    #: The child that is being ended, from the moment in which it was asked to.
    _ending: int | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        # Celery makes a subclass for each task, whose own methods would hide those that are written here.
        super().__init_subclass__(**options)
        if celerys := cls.__dict__.get("on_success"):

            def on_success(self: Any, failed__retval__runtime: Any, **kwargs: Any) -> Any:
                self._on_end_of_run(failed=bool(failed__retval__runtime[0]))
                return celerys(self, failed__retval__runtime, **kwargs)

            cls.on_success = on_success
        if begins := cls.__dict__.get("execute_using_pool"):

            def execute_using_pool(self: Any, pool: Any, **kwargs: Any) -> Any:
                if (holder := self._holder) is not None:
                    holder.gave(self._message.delivery_tag)
                try:
                    return begins(self, pool, **kwargs)
                except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                    self._refuse(error)
                    # For Celery the only reason not to run that it lives with; it gives the slot back.
                    raise TaskRevokedError(self.id) from error

            cls.execute_using_pool = execute_using_pool

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        # The child learns under which claim it runs the task; what it prints is kept by that.
        self.delivery_info["claim"] = message.delivery_tag

    @property
    def _holder(self) -> Any:
        """What holds the claims of this worker; None on a broker without claims."""
        return getattr(self._app.amqp, "holder", None)

    def _note(self, ended: str, reason: str = "") -> None:
        if (holder := self._holder) is not None:
            holder.note(self._message.delivery_tag, Outcome(ended, reason))

    def _refuse(self, error: Exception) -> None:
        """What stands in the message where Celery expects something else would end every worker that takes it."""
        task_ready(self)
        claim, holder = self._message.delivery_tag, self._holder
        if holder is None:
            raise error
        if claim in holder.held:
            holder.bury(claim, f"Celery cannot run it: {type(error).__name__}: {error}")

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        if (holder := self._holder) is not None:
            holder.began(self._message.delivery_tag, pid)
            if not self.task.acks_late:
                holder.acks_early(self._message.delivery_tag)
        super().on_accepted(pid, time_accepted)

    def terminate(self, pool: Any, signal: Any = None) -> None:
        if self.time_start and self._ending is None:
            self._ending = self._child
        super().terminate(pool, signal)

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        super().cancel(pool, signal, emit_retry)
        if self._child is not None:
            # A cold shutdown waits for its children, also for one that does not listen. The claim is kept: what is
            # claimed goes back when the worker ends.
            ending.when_gone(self._child)

    @property
    def _child(self) -> int | None:
        """The process that runs the task, if that is another than the worker's own."""
        pid: int | None = self.worker_pid
        return None if pid == os.getpid() else pid

    def acknowledge(self) -> None:
        if self._ending is None or self.acknowledged:
            super().acknowledge()
            return
        # Celery acknowledges what it has only just asked to end. Another task would be claimed and meet the old one.
        self.acknowledged = True
        ending.when_gone(self._ending, self._let_go)

    def _let_go(self) -> None:
        self.acknowledged = False
        super().acknowledge()

    def _ended(self) -> None:
        if (holder := self._holder) is not None:
            holder.ended(self._message.delivery_tag)

    def _on_end_of_run(self, *, failed: bool) -> None:
        self._ended()
        if self._ending is not None and not failed:
            self._note("done")
        self._end_at_once()

    def _end_at_once(self) -> None:
        """A task that was asked to end has. Its child may not have; the pool must not give it another task, which would
        be killed in this one's place."""
        if self._ending is not None:
            kill_group(self._ending)

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        self._ended()
        error = exc_info.exception
        error = getattr(error, "exc", error)
        lost = isinstance(error, WorkerLostError)
        if lost and (self._already_cancelled or self._already_revoked):
            task_ready(self)
            return None
        if self._ending is not None or self._already_revoked:
            self._end_at_once()
            return super().on_failure(exc_info, *args, **kwargs)
        if isinstance(error, TimeLimitExceeded):
            # The pool says so before it ends the child.
            self._ending = self._child
        if lost and self._goes_back():
            return self._on_process_lost(error)
        if isinstance(error, Ignore):
            self._note("done", "ignored: what the task itself stored is its result")
            return super().on_failure(exc_info, *args, **kwargs)
        said = Mask.of(self._app.conf).text(failure.line(error))
        self._note("failed", said[:500])
        if isinstance(error, MemoryError):
            # Celery takes it for a want of the worker's own, and ends that, and then whichever takes the task next.
            exc_info.exception = RuntimeError(said)
        return self._settle_failure(exc_info, *args, **kwargs)

    def _settle_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().on_failure(exc_info, *args, **kwargs)
        except Exception as error:
            # Redis refuses the result, say. A claim that nobody lets go of would keep its slot for ever.
            claim, holder = self._message.delivery_tag, self._holder
            if holder is not None and claim in holder.held:
                self.acknowledged = True
                holder.bury(claim, f"how it failed could not be told: {type(error).__name__}: {error}")
            raise

    def _goes_back(self) -> bool:
        """Whether a task whose process died comes again: not if its result is stored, and no more is to be done."""
        if not self.task.acks_late or self._holder is None:
            return False
        return self.chord is not None or not self._success_was_stored()

    def _on_process_lost(self, error: WorkerLostError) -> None:
        task_ready(self)
        claim, holder, lease = self._message.delivery_tag, self._holder, self._app.gridq_lease
        held = holder.held.get(claim)
        excuse = self._app.gridq_stale.excuse(self.worker_pid)
        if excuse is not None:
            holder.excuse(claim, excuse.reason, counter=excuse.counter)
        if state.should_terminate or not lease.holds or held is None or lease.end.fenced_at > held.since:
            # We ended it, or our guard did: not the task's doing.
            holder.drop(claim)
        else:
            holder.lose(claim, f"its process died: {error}")

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if not soft:
            self._note("failed", f"hard time limit of {timeout:g}s exceeded")
        return super().on_timeout(soft, timeout)

    def _announce_revoked(self, reason: str, *args: Any, **kwargs: Any) -> Any:
        self._note("cancelled", reason)
        return super()._announce_revoked(reason, *args, **kwargs)
