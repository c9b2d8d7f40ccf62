"""A task's request, read from its message where no worker has it: for a result that is stored in the task's place."""

from __future__ import annotations

import json
import logging
from typing import Any

from celery.app.task import Context
from kombu.exceptions import KombuError
from kombu.serialization import loads, prepare_accept_content
from kombu.utils.encoding import str_to_bytes

from gridq.broker.posting import decoded_body

logger = logging.getLogger(__name__)

#: What a message embeds of those that wait for the task's end. Without the chain its last element, which is what the
#: caller of a chain or a chord of chains waits for, would never come to an end.
_AWAITING = ("chord", "chain", "errbacks")


def context_of(app: Any, task_id: str, message: str) -> Context:
    """The request as far as the message can be read, with the chord, chain and error callbacks that wait for an end."""
    # Celery asks delivery_info without looking whether there is one.
    context = Context(id=task_id, delivery_info={})
    try:
        plain = json.loads(message)
        context.update(plain["headers"])
        body = _embedded(app, plain)
        context.update({name: body.get(name) for name in _AWAITING})
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, KombuError) as error:
        logger.info("task %s has no readable message: %s", task_id, error)
    return context


def _embedded(app: Any, message: dict[str, Any]) -> dict[str, Any]:
    """The embedded part of a task message's body: callbacks, errbacks, chain, chord."""
    body = str_to_bytes(decoded_body(message))
    # No more than a worker would accept: what lies in the dead letters may be anybody's.
    accept = prepare_accept_content(app.conf.accept_content)
    _, _, embedded = loads(body, message["content-type"], message["content-encoding"], accept=accept)
    return dict(embedded)
