"""A task whose worker was lost after its result had been stored: it comes again, and what it came to stands."""

from __future__ import annotations

import logging
from typing import Any

from celery import states
from celery.exceptions import BackendGetMetaError
from kombu.exceptions import KombuError

logger = logging.getLogger(__name__)


def stored_success(task: Any) -> dict[str, Any] | None:
    """What an earlier run of the task that begins now has stored, with its `result`; None if it has to run.

    Who returns that result in the task's place lets Celery do what comes after the storing: the lost worker may not
    have counted the task's part of its chord. What comes before, to send the tasks that follow, has been done.
    """
    request = task.request
    if not (request.delivery_info or {}).get("redelivered"):
        return None
    try:
        found: dict[str, Any] = task.backend.get_task_meta(request.id, cache=False)
        if found["status"] != states.SUCCESS:
            return None
    except (BackendGetMetaError, NotImplementedError):
        return None  # The result is not to be read, or results are not kept at all.
    except (KombuError, LookupError, TypeError, ValueError, AttributeError) as error:
        # Nobody can read what is there, so that nobody has the task's result.
        said = "task %s runs again: what was stored of it is no result (%s)"
        logger.warning(said, request.id, type(error).__name__, extra={"task_id": request.id})
        return None
    logger.info("task %s is not run again: its result was stored before its worker was lost", request.id)
    request.callbacks = request.chain = None
    return found
