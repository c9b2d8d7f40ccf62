"""How results are stored: looked at, written and announced in one step.

Celery's Redis backend asks first whether the task has succeeded already, and then writes: two round trips for each
task, and between them another attempt of the same task may have stored its success.
"""

from __future__ import annotations

from typing import Any

from celery import states
from celery.backends import redis as stock
from celery.exceptions import BackendStoreError
from kombu.utils.encoding import bytes_to_str

from gridq.store.client import Client

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
        self._results.run("result", key, value, seconds)


class RedisBackend(_Storing, stock.RedisBackend):
    """redis:// and rediss://"""


class SentinelBackend(_Storing, stock.SentinelBackend):
    """sentinel://"""


#: What Celery's loader is told, by the scheme of the URL.
BACKENDS = {
    "redis": f"{__name__}:RedisBackend",
    "rediss": f"{__name__}:RedisBackend",
    "sentinel": f"{__name__}:SentinelBackend",
}
