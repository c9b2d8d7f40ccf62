"""What Celery itself does with a call's options still works: stamps, inherited priorities, the publish policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import shop
from kombu.exceptions import OperationalError

from gridq import config

pytestmark = pytest.mark.filterwarnings("ignore::gridq.errors.UnmetNeedWarning")


@pytest.fixture
def app(database: Any) -> Iterator[Any]:
    """A shop without workers."""
    variables = {"GRIDQ_BROKER_URL": database.url, "GRIDQ_RESULT_BACKEND": database.results}
    app = shop.build(config.load(environ=variables))
    yield app
    app.close()


def messages(database: Any, queue: str) -> list[dict[str, Any]]:
    """What waits in a list of the broker."""
    return [json.loads(raw) for raw in database.client.redis.lrange(queue, 0, -1)]


def test_a_stamp_may_have_the_name_of_a_need(app: Any, database: Any) -> None:
    signature = app.tasks["shop.scale"].s(1)
    signature.stamp(node="b", vrma="x")
    signature.apply_async()
    (message,) = messages(database, "gpu.8g\x06\x163")
    assert message["headers"]["stamps"] == {"node": "b", "vrma": "x"}
    assert "node" not in message["headers"]["gridq"]


@pytest.mark.parametrize(("inherit", "queue"), [(True, "gpu.8g"), (False, "gpu.8g\x06\x163")])
def test_a_task_that_a_task_publishes_has_its_priority_where_the_app_says_so(
    app: Any, database: Any, monkeypatch: pytest.MonkeyPatch, inherit: bool, queue: str
) -> None:
    app.conf.task_inherit_parent_priority = inherit
    request = SimpleNamespace(id="p", root_id="r", delivery_info={"priority": 0}, headers={}, stamped_headers=None)
    parent = SimpleNamespace(request=request, add_trail=lambda result: None)
    monkeypatch.setattr(type(app), "current_worker_task", parent)
    app.tasks["shop.scale"].delay(1)
    assert len(messages(database, queue)) == 1


def test_a_first_call_while_the_server_is_away_is_left_to_the_publish_policy() -> None:
    app = shop.build(config.load(environ={"GRIDQ_BROKER_URL": "redis://127.0.0.1:1/0"}))
    policy = {"max_retries": 1, "interval_start": 0.01, "interval_step": 0, "interval_max": 0.01}
    with app, pytest.raises(OperationalError):
        app.tasks["shop.scale"].apply_async((1,), ignore_result=True, retry_policy=policy)
