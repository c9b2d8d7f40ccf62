"""How a task ended, told to the holder before Celery acknowledges the message."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request as StockRequest

from gridq.store.claims import Outcome


class Request(StockRequest):
    """Celery's request, which also notes the outcome for the task's record."""

    def _note(self, state: str, reason: str = "") -> None:
        holder = getattr(self._app.amqp, "holder", None)
        if holder is not None:
            holder.note(self._message.delivery_tag, Outcome(state, reason))

    def on_failure(self, exc_info: Any, *args: Any, **kwargs: Any) -> Any:
        error = exc_info.exception
        error = getattr(error, "exc", error)
        self._note("failed", f"{type(error).__name__}: {error}"[:500])
        return super().on_failure(exc_info, *args, **kwargs)

    def on_timeout(self, soft: bool, timeout: float) -> Any:
        if not soft:
            self._note("failed", f"hard time limit of {timeout}s exceeded")
        return super().on_timeout(soft, timeout)

    def _announce_revoked(self, reason: str, *args: Any, **kwargs: Any) -> Any:
        self._note("cancelled", reason)
        return super()._announce_revoked(reason, *args, **kwargs)
