"""A request that is read from a message, with all that waits for the task's end."""

from __future__ import annotations

import base64
import json

from celery import Celery

from gridq.broker.context import context_of

APP = Celery("shop", set_as_current=False)
EMBEDDED = {"callbacks": None, "errbacks": [{"task": "e"}], "chain": [{"task": "c"}], "chord": {"task": "b"}}


def message(embedded: dict[str, object]) -> str:
    body = base64.b64encode(json.dumps([[], {}, embedded]).encode()).decode()
    return json.dumps(
        {
            "body": body,
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": "shop.work", "id": "t1", "group": "g", "root_id": "r"},
            "properties": {"body_encoding": "base64"},
        }
    )


def test_the_chord_the_chain_and_the_error_callbacks_are_known() -> None:
    context = context_of(APP, "t1", message(EMBEDDED))
    assert (context.chord, context.chain, context.errbacks) == ({"task": "b"}, [{"task": "c"}], [{"task": "e"}])
    assert (context.id, context.group, context.root_id) == ("t1", "g", "r")


def test_celery_may_ask_where_it_came_from_without_looking_whether_it_is_known() -> None:
    assert context_of(APP, "t1", message(EMBEDDED)).delivery_info == {}
    assert context_of(APP, "t1", "no json").delivery_info == {}
