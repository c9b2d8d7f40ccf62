"""How results are stored: looked at, written and announced in one step. And how they are waited for.

Celery's Redis backend asks first whether the task has succeeded already, and then writes: two round trips for each
task, and between them another attempt of the same task may have stored its success.

Who waits for a result is told of it on a channel. What was told while Redis restarted, or while the connection was made
anew, nobody has heard: Celery's `get()` would wait for it for ever, so here it looks for itself now and then.
"""

from __future__ import annotations

import time
from typing import Any

from celery import states
from celery.backends import redis as stock
from celery.exceptions import BackendStoreError
from kombu.utils.encoding import bytes_to_str

from gridq.broker.chords import Counting
from gridq.store.client import Client, try_again_later

#: Seconds between two looks for results that are awaited.
LOOK = 5.0

#: Mixed into classes of Celery, whose attributes it uses.
_Mixed: Any = object


class _Storing(_Mixed):
    """The part of a result backend that stores results; mixed into Celery's Redis and Sentinel backends."""

    _results: Client | None = None

    def _store_result(
        self, task_id: Any, result: Any, state: str, traceback: Any = None, request: Any = None, **options: Any
    ) -> Any:
        if self.serializer != "json" or self.compression:
            # Where another format says that a task has succeeded, result.lua does not know.
            return super()._store_result(task_id, result, state, traceback=traceback, request=request, **options)
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        meta["task_id"] = bytes_to_str(task_id)
        value = self.encode(meta)
        if len(value) > self._MAX_STR_VALUE_SIZE:
            raise BackendStoreError("value too large for Redis backend", state=state, task_id=task_id)
        expires = self.failure_expires if state == states.FAILURE else None
        seconds = int((self.expires if expires is None else expires) or 0)
        self.ensure(self._store, (self.get_key_for_task(task_id), value, seconds))
        return result

    def _store(self, key: Any, value: str, seconds: int) -> None:
        pool = self.client.connection_pool
        if self._results is None or self._results.pool is not pool:
            self._results = Client(pool)
        with try_again_later():
            self._results.run("result", key, value, seconds)


class ResultConsumer(stock.ResultConsumer):
    """Waits for results, and looks for those that it was not told of."""

    _looked_at = 0.0

    def drain_events(self, timeout: float | None = None) -> None:
        """Celery's hook, called again and again while somebody waits."""
        super().drain_events(timeout=timeout)
        if time.monotonic() - self._looked_at > LOOK:
            self._looked_at = time.monotonic()
            self._look()

    def _look(self) -> None:
        with self._locked():
            awaited = list(self.subscribed_to)
            try:
                found = self.backend.client.mget(awaited) if awaited else []
            except self._connection_errors:
                return  # It was a look more than Celery takes; the next is soon.
            for key, value in zip(awaited, found, strict=True):
                if value and (meta := self._read(key, value))["status"] in states.READY_STATES:
                    self.on_state_change(meta, None)

    def _read(self, key: bytes, value: bytes) -> dict[str, Any]:
        try:
            meta: dict[str, Any] = self._decode_result(value)
        except Exception as unreadable:  # noqa: BLE001 (it concerns who waits for this one, and would reach somebody else)
            return {"status": states.FAILURE, "result": unreadable, "task_id": self.backend._strip_prefix(key)}
        return meta


class RedisBackend(_Storing, Counting, stock.RedisBackend):
    """redis:// and rediss://"""

    ResultConsumer = ResultConsumer


class SentinelBackend(_Storing, Counting, stock.SentinelBackend):
    """sentinel://"""

    ResultConsumer = ResultConsumer


#: What Celery's loader is told, by the scheme of the URL.
BACKENDS = {
    "redis": f"{__name__}:RedisBackend",
    "rediss": f"{__name__}:RedisBackend",
    "sentinel": f"{__name__}:SentinelBackend",
}
