"""Messages as programs write them that have a Redis client and nothing of Celery."""

from __future__ import annotations

import base64
import json
import uuid


def by_hand(task: str, queue: str, *args: object) -> tuple[str, str]:
    """A message as a program in another language would write it; its task id and the text."""
    task_id = str(uuid.uuid4())
    body = json.dumps([args, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    text = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"lang": "js", "task": task, "id": task_id, "root_id": task_id, "argsrepr": "", "retries": 0},
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    return task_id, json.dumps(text)
