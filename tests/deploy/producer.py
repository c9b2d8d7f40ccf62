"""`python -m tests.deploy.producer FIRST RATE SECONDS [COUNT]`: submits tasks evenly, then waits for what they return.

Without COUNT it submits until its standard input ends. It prints one line of JSON: `sent` (number → time), `refused`
(number → error; such a task was not accepted, and may run all the same), `returned` (numbers) and `failed` (number →
error).
"""

from __future__ import annotations

import itertools
import json
import select
import sys
import time
import uuid
from typing import Any

from fleettasks import work
from kombu.exceptions import OperationalError

from gridq.errors import UnconfirmedError

#: Seconds that all results together may take, after the last task was sent.
PATIENCE = 120.0


def main(arguments: list[str]) -> None:
    """Submit, wait, tell."""
    first, rate, seconds = int(arguments[0]), float(arguments[1]), float(arguments[2])
    last = first + int(arguments[3]) if len(arguments) > 3 else None
    sent, refused, results, began = {}, {}, {}, time.monotonic()
    for number in itertools.count(first):
        pause = max(0.0, began + (number - first) / rate - time.monotonic())
        told_to_end = bool(select.select([sys.stdin], [], [], pause)[0]) if last is None else time.sleep(pause)
        if told_to_end or number == last:
            break
        sent[number] = time.time()
        try:
            results[number] = submit(number, seconds)
        except OperationalError as error:
            refused[number] = repr(error)
    returned, failed, end = [], {}, time.monotonic() + PATIENCE
    for number, result in results.items():
        try:
            returned.append(result.get(timeout=max(1.0, end - time.monotonic())))
        except Exception as error:  # noqa: BLE001 - Whatever a task ended with is what is counted here.
            failed[number] = repr(error)
    print(json.dumps({"sent": sent, "refused": refused, "returned": returned, "failed": failed}))


def submit(number: int, seconds: float) -> Any:
    """Send a task. What confirms it may come too late, while a replica is missing: the task is there all the same."""
    task_id = str(uuid.uuid4())
    try:
        return work.apply_async((number, seconds), task_id=task_id)
    except UnconfirmedError:
        return work.AsyncResult(task_id)


if __name__ == "__main__":
    main(sys.argv[1:])
