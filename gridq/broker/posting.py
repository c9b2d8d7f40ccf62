"""From a message that Celery wrote to what put.lua needs to know of it."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kombu.transport.redis import PRIORITY_STEPS
from kombu.utils.json import dumps

from gridq.placement.decision import Decision
from gridq.queues import must_be_told
from gridq.store.claims import Posting
from gridq.store.keys import PRIORITY_SEPARATOR

#: The message header that carries the needs, and the property that carries the router's decision to the transport.
HEADER = "gridq"
DECISION = "gridq_decision"

#: The property that tells two tries to publish the same message from two messages. kombu tries again with the same
#: properties, and redis-py with the same command; put.lua does nothing the second time. It stands last in the message,
#: with the bytes and the id of the task behind it, where the scripts find them without reading the body.
PUT = "gridq_put"


@dataclass(frozen=True, slots=True)
class Routed:
    """What the router decided, and the seconds that it took."""

    decision: Decision
    seconds: float


def is_task(message: dict[str, Any]) -> bool:
    """Whether this is a task, not a reply or an event."""
    headers = message.get("headers") or {}
    return "task" in headers and "id" in headers


def seconds_until(eta: object) -> float:
    """Seconds until an ISO 8601 time by this machine's clock, as by the clock of whoever wrote it; 0 for none."""
    if not isinstance(eta, str):
        return 0.0
    try:
        due = datetime.fromisoformat(eta)
    except ValueError:
        return 0.0
    return max(0.0, (due if due.tzinfo else due.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp())


def posting_of(queue: str, suffix: str, message: dict[str, Any]) -> Posting:
    """The posting of one task message; takes the router's decision out of the message.

    Raises:
        ValueError: for a task id of several lines, which the scripts could not tell from what follows it.
    """
    headers, properties = message["headers"], message["properties"]
    if "\n" in headers["id"]:
        raise ValueError(f"expected a task_id of one line, got {headers['id']!r}")
    routed: Routed | None = properties.pop(DECISION, None)
    decision = routed.decision if routed else None
    needs = headers.get(HEADER) or {}
    amount = int(needs.get("vram", 0))
    delivery = properties.setdefault(PUT, f"{uuid4().hex} {amount} {headers['id']}")
    record = {"name": headers["task"], "priority": str(properties.get("priority", ""))}
    if needs:
        record["needs"] = json.dumps(needs)
    if decision is not None:
        record["placement"] = decision.text
    return Posting(
        raw=dumps(message),
        queue=queue,
        suffix=suffix,
        bytes=amount,
        candidates=decision.candidates if decision else (),
        delay=seconds_until(headers.get("eta")),
        delivery=delivery,
        constrained=must_be_told(queue),
        task_id=headers["id"],
        decided_in=routed.seconds if routed else None,
        record=record,
    )


def decoded_body(message: dict[str, Any]) -> str | bytes:
    """A message's body without kombu's transfer encoding, still serialised."""
    body: str = message["body"]
    return base64.b64decode(body) if message["properties"].get("body_encoding") == "base64" else body


def suffixes(app: Any) -> list[str]:
    """What stands behind a queue's name for each of kombu's priority steps, the most urgent first."""
    options = app.conf.broker_transport_options
    steps, separator = options.get("priority_steps", PRIORITY_STEPS), options.get("sep", PRIORITY_SEPARATOR)
    return [f"{separator}{step}" if step else "" for step in steps]
