"""Nothing but JSON is read of what others put into Redis: a pickle, which runs code as it is read, stays unread."""

from __future__ import annotations

import base64
import json
import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis
from fleet import DEADLINE, Fleet, eventually
from producers import by_hand

from gridq.store import dead


class Bomb:
    """Whoever reads its pickle makes the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def of_kind(content_type: str, body: bytes) -> tuple[str, str]:
    """A task's message whose body says that it is something else than JSON; its id and the text."""
    task_id, text = by_hand("shop.add", "cpu", 1, 2)
    message = json.loads(text)
    message |= {"content-type": content_type, "content-encoding": "binary", "body": base64.b64encode(body).decode()}
    return task_id, json.dumps(message)


@pytest.fixture
def bomb(tmp_path: Path) -> Bomb:
    """A pickle that goes off when it is read; that it would is tried out first."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "tried")))
    assert (tmp_path / "tried").exists()
    return Bomb(tmp_path / "went-off")


@pytest.mark.parametrize("kind", ["application/x-python-serialize", "application/x-yaml", "application/x-msgpack"])
def test_a_worker_buries_a_task_that_is_no_json_and_says_why(grid: Fleet, bomb: Bomb, kind: str) -> None:
    yaml = f"!!python/object/apply:os.mkdir ['{bomb.path}']".encode()
    task_id, message = of_kind(kind, yaml if "yaml" in kind else pickle.dumps(((bomb,), {}, {})))
    grid.store.redis.lpush("cpu", message)
    grid.await_state(task_id, "dead")
    (letter,) = [one for one in dead.letters(grid.store) if one.id == task_id]
    dead.drop(grid.store, [task_id])
    assert kind in letter.reason and "cannot be read" in letter.reason
    assert not bomb.path.exists()


def test_a_worker_obeys_no_order_that_is_no_json(grid: Fleet, bomb: Bomb) -> None:
    order = {
        "body": base64.b64encode(
            pickle.dumps({"method": "ping", "arguments": {"x": bomb}, "destination": None})
        ).decode(),
        "content-type": "application/x-python-serialize",
        "content-encoding": "binary",
        "headers": {},
        "properties": {
            "delivery_info": {"exchange": "celery.pidbox", "routing_key": ""},
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    channel = f"/{grid.database.number}.celery.pidbox"
    assert grid.store.redis.publish(channel, json.dumps(order)) == len(grid.running())
    said = "Refusing to deserialize"
    eventually(lambda: all(said in node.container.logs() for node in grid.running()), "every worker refuses it")
    assert not bomb.path.exists()
    assert len(grid.app.control.inspect(timeout=DEADLINE, limit=len(grid.nodes)).ping()) == len(grid.running())


def test_a_caller_reads_no_result_that_is_no_json(grid: Fleet, bomb: Bomb) -> None:
    task_id = str(uuid.uuid4())
    with redis.Redis.from_url(grid.database.results) as results:
        results.setex(f"celery-task-meta-{task_id}", 60, pickle.dumps({"status": "SUCCESS", "result": bomb}))
    with pytest.raises(Exception, match=r"decode|JSON|codec"):
        grid.app.AsyncResult(task_id).get(timeout=5)
    assert not bomb.path.exists()


def test_a_producer_does_not_send_what_is_no_json(grid: Fleet, bomb: Bomb) -> None:
    with pytest.raises(Exception, match="not JSON serializable"):
        grid.task("add").delay(bomb, 2)
