"""What real workers log: one form, who and what in every record, and no secret from their start to their end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from fleet import NODE, Fleet, eventually

from gridq.broker.server import LocalServer
from gridq.store.client import Client


@dataclass
class Private:
    """A database on a server of the test's own, which it may kill."""

    server: LocalServer

    def __post_init__(self) -> None:
        self.url = self.server.url
        self.results = self.url.removesuffix("/0") + "/1"
        self.client = Client(redis.ConnectionPool.from_url(self.url))

    @property
    def password(self) -> str:
        """What must never be said."""
        return self.url.removeprefix("redis://:").partition("@")[0]

    def close(self) -> None:
        """The server goes with all that is in it."""
        self.client.close()


@pytest.fixture
def private(tmp_path: Path) -> Iterator[Private]:
    """A database that the test may take away."""
    with LocalServer(tmp_path / "server") as server:
        yield Private(server)


@pytest.fixture
def json_fleet(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """A GPU worker that logs JSON."""
    fleet = new_fleet("sim:24GiB", log_format="json")
    # Where the tests run as root Celery warns of that before it has set logging up.
    fleet.variables["PYTHONWARNINGS"] = "ignore"
    fleet.start_worker(f"gpu0@{NODE}", "gpu")
    yield fleet
    fleet.stop()


def records(fleet: Fleet) -> list[dict[str, Any]]:
    """Everything that the worker has said that is JSON."""
    return [json.loads(line) for line in fleet.nodes[0].container.logs().splitlines() if line.startswith("{")]


def test_every_record_is_a_json_object_that_says_who_and_what(json_fleet: Fleet) -> None:
    worker = {"worker": f"gpu0@{NODE}", "node": NODE, "gpu": json_fleet.devices[0].uuid}
    handle = json_fleet.task("confess").delay("secrets")
    with pytest.raises(ValueError, match="secrets"):
        handle.get(timeout=30)
    eventually(lambda: any("raised unexpected" in said["event"] for said in records(json_fleet)), "its end is logged")
    said = records(json_fleet)
    assert [fields for fields in said if fields | worker != fields] == []

    task = {"task_id": handle.id, "task": "shop.confess"}
    of_task = {fields["event"]: fields for fields in said if fields | task == fields}
    assert f"Task shop.confess[{handle.id}] received" in of_task
    assert (of_task["told: secrets"]["words"], of_task["told: secrets"]["password"]) == ("secrets", "***")
    assert (of_task["told"]["logger"], of_task["told"]["level"], of_task["told"]["words"]) == (
        *("shop", "warning", "secrets"),
    )
    assert of_task["from a thread"]["attempt"] == of_task["told"]["attempt"] == 1
    end = of_task[f"Task shop.confess[{handle.id}] raised unexpected: ValueError('secrets')"]
    assert end["exception"].startswith("Traceback") and end["exception"].endswith("ValueError: secrets")
    assert (end["level"], end["attempt"]) == ("error", 1)

    json_fleet.nodes[0].container.kill("SIGTERM")
    json_fleet.nodes[0].container.wait()
    plain = [line for line in json_fleet.nodes[0].container.logs().splitlines() if not line.startswith("{")]
    # Celery writes that from its signal handler, past logging.
    assert set(plain) <= {"", "worker: Warm shutdown (MainProcess)"}


def test_no_password_is_logged_from_start_to_end(private: Private, tmp_path: Path) -> None:
    fleet = Fleet(private, tmp_path, "sim:24GiB", lease="4s", heartbeat="0.5s")
    try:
        fleet.start_worker(f"gpu0@{NODE}", "gpu", "-l", "DEBUG")
        handle = fleet.task("confess").delay(f"cannot reach {private.url}, AUTH {private.password} failed")
        with pytest.raises(ValueError, match="cannot reach"):
            handle.get(timeout=30)
        record = fleet.await_state(handle.id, "failed")
        assert "cannot reach redis://:***@" in record.reason and private.password not in record.reason
        asked = [fleet.run(name, "-m", "celery", "-A", "shop", "inspect", name) for name in ("stats", "conf")]
        asked.append(fleet.run("config", "-m", "gridq.cli", "config", "show"))
        assert [process.wait() for process in asked] == [0, 0, 0]
        worker = fleet.nodes[0].container
        os.kill(private.server.pid or 0, signal.SIGKILL)
        status = fleet.run("status", "-m", "gridq.cli", "--log-level", "DEBUG", "-A", "shop", "status")
        eventually(lambda: "Trying again" in worker.logs(), "the worker says that its broker is away")
        worker.kill("SIGTERM")
        assert (worker.wait(), status.wait()) == (0, 2)
    finally:
        fleet.stop()
    logs = {path.name: path.read_text("utf-8", "replace") for path in tmp_path.glob("*.log")}
    assert {"worker0.log", "stats.log", "conf.log", "config.log", "status.log"} <= logs.keys()
    assert "told: cannot reach redis://:***@" in logs["worker0.log"] and "AUTH *** failed" in logs["worker0.log"]
    assert "redis://:***@" in logs["config.log"] and "transport_options" in logs["stats.log"]
    assert [name for name, text in logs.items() if private.password in text] == []
