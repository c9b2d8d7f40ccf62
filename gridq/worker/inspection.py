"""May a claimed message be run at all, or does it belong to the dead letters, and why."""

from __future__ import annotations

from typing import Any

from kombu.exceptions import KombuError
from kombu.serialization import loads, prepare_accept_content
from kombu.utils.encoding import str_to_bytes

from gridq.broker.posting import HEADER, PUT, decoded_body
from gridq.errors import NeedError
from gridq.needs import Needs


def objection(app: Any, payload: dict[str, Any]) -> str | None:
    """Why no worker of this app can run the message; None if one can."""
    headers = payload.get("headers") or {}
    name = headers.get("task")
    if name is None:
        return None  # Celery's older protocol has it in the body; Celery itself looks there.
    if name not in app.tasks:
        return f"unknown task {name!r}: is its module in `tasks`, and the same version on every node?"
    if HEADER in headers:
        try:
            Needs.from_message(headers[HEADER])
        except NeedError as error:
            return f"wrong needs: {error.message}"
    # What gridq published can be read; what others did may not be.
    return None if PUT in payload["properties"] else _unreadable(app, payload)


def _unreadable(app: Any, payload: dict[str, Any]) -> str | None:
    try:
        body = str_to_bytes(decoded_body(payload))
        accept = prepare_accept_content(app.conf.accept_content)
        loads(body, payload["content-type"], payload["content-encoding"], accept=accept)
    except (KombuError, ValueError, KeyError, TypeError) as error:
        return f"its body cannot be read: {type(error).__name__}: {error}"
    return None
