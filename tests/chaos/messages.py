"""Messages that break something: poison, rubbish, and those whose publisher lost its connection."""

from __future__ import annotations

import base64
import json
import uuid
from dataclasses import replace

from .ledger import now
from .play import Play
from .scenario import scenario
from .sides import Access
from .stage import until
from .tally import Sent
from .wires import Wire


@scenario("task that kills its process, each time", patience=30.0)
def poison(play: Play) -> None:
    """After three losses it is in the dead letters, its caller knows, and the workers live on."""
    workers = play.stage.ensure(2)
    [deadly] = play.send("poison", 0.05)
    play.send("work", 0.1, number=6)
    if not play.on_gridq:
        return
    answer = play.stage.app.AsyncResult(deadly)
    until(answer.failed, "the caller of the poison knows", 30)
    play.expect(type(answer.result).__name__ == "TaskLost", f"the caller of the poison got {answer.result!r}")
    starts = play.executions([deadly])
    play.expect(len(starts) == 3, f"the poison was started {len(starts)} times")
    play.expect(play.stage.client().zscore("gridq:dead", deadly) is not None, "the poison is not in the dead letters")
    play.expect(all(worker.process.lives for worker in workers), "the poison killed a worker")
    play.send("work", 0.1, number=4)


@scenario("publisher whose connection breaks while it publishes", patience=30.0)
def publisher(play: Play) -> None:
    """The command was done, but its answer never came: whoever sends again must not make two tasks of one."""
    play.stage.ensure(2)
    stage = play.stage
    wire = Wire(stage.server.bind, stage.server.port)
    stage.at_end(wire.stop)
    access = Access(f"redis://127.0.0.1:{wire.port}/0", stage.setting.access.results)
    app = stage.side.app(replace(stage.setting, access=access))
    stage.at_end(app.close)
    amount = play.timing.pick(6, 20)
    task = app.tasks["chaos.work"]
    # Imports, scripts and connections, before any of them breaks.
    first = task.apply_async((0.01,), queue=None if play.on_gridq else stage.side.queue)
    until(first.successful, "the first task has ended")
    for _ in range(amount):
        wire.break_after(b'"task": "chaos.work"')
        result = task.apply_async((0.01,), queue=None if play.on_gridq else stage.side.queue)
        play.sent.append(Sent(result.id))
    play.notes.append(f"{wire.broken} connections broken")
    play.expect(wire.broken >= amount, f"only {wire.broken} of {amount} connections were broken")


@scenario("messages that nobody can run", patience=30.0)
def rubbish(play: Play) -> None:
    """Not JSON, an unknown task, forged needs: to the dead letters, and the workers go on."""
    workers = play.stage.ensure(2)
    queue = play.stage.side.queue
    with play.stage.client() as client:
        bad = [b"\xff not json", b"{}", b"[1, 2]", b"null", _message("chaos.nobody"), _message("chaos.work", needs="x")]
        for raw in bad:
            client.lpush(queue, raw)
        at = now()
        play.send("work", 0.1, number=6)
        if play.on_gridq:
            until(lambda: client.zcard("gridq:dead") >= len(bad), f"all are dead\n{play.stage.last_words()}", 20)
            play.notes.append(f"{len(bad)} in the dead letters after {now() - at:.1f} s")
    died = sum(not worker.process.lives for worker in workers)
    play.expect(died == 0, f"{died} workers ended")
    if died:
        play.notes.append(f"{died} workers ended")


def _message(name: str, needs: object = None) -> bytes:
    """A message as Celery writes it, of a task that may not exist or with needs that nobody wrote."""
    task_id = str(uuid.uuid4())
    body = base64.b64encode(json.dumps([[0.01], {}, {}]).encode()).decode()
    headers = {"lang": "py", "task": name, "id": task_id, "root_id": task_id, "argsrepr": "", "kwargsrepr": ""}
    if needs is not None:
        headers["gridq"] = {"vram": needs}  # type: ignore[assignment]
    properties = {
        "correlation_id": task_id,
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "gpu"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": str(uuid.uuid4()),
    }
    message = {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": headers,
        "properties": properties,
    }
    return json.dumps(message).encode()
