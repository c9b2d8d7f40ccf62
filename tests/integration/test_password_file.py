"""A password that lies in a file reaches the broker from every program of a fleet, and nobody else's eyes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from fleet import NODE, Fleet

from gridq.broker.server import LocalServer
from gridq.store.client import Client

#: With every letter that has a meaning in URLs, and one that is more than a byte.
PASSWORD = "p@ss/w:rd;?#%ä 7f3c"


@dataclass
class Guarded:
    """A server that knows one more user, `ada`; the tests look into it as its owner."""

    server: LocalServer

    def __post_init__(self) -> None:
        self.url = self.server.url
        self.results = self.url.removesuffix("/0") + "/1"
        self.client = Client(redis.ConnectionPool.from_url(self.url))
        self.client.redis.acl_setuser(
            "ada", enabled=True, passwords=[f"+{PASSWORD}"], keys="*", channels="*", commands=["+@all"]
        )

    def of_ada(self) -> str:
        """The broker's URL without the password."""
        return "redis://ada@" + self.url.rpartition("@")[2]

    def close(self) -> None:
        """The server goes with all that is in it."""
        self.client.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A GPU worker that knows the password from a file."""
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD + "\n", "utf-8")
    with LocalServer(tmp_path / "server") as server:
        guarded = Guarded(server)
        settings = {"broker_url": guarded.of_ada(), "result_backend": "", "broker_password_file": str(file)}
        made = Fleet(guarded, tmp_path, "sim:24GiB", **settings)
        try:
            made.start_worker(f"gpu0@{NODE}", "gpu", "-l", "DEBUG")
            yield made
        finally:
            made.stop()


#: A producer of its own: the packaged app, and one that gridq is installed in and that brings its own URL.
PRODUCER = """
import sys, celery, gridq
app = gridq.install(celery.Celery("own", broker=sys.argv[1]))
for one in (app, gridq.app):
    print(one.send_task("shop.scale", (21,), vram="8GiB").get(timeout=30))
"""


def _look_with_a_wrong_password(fleet: Fleet, tmp_path: Path) -> None:
    """It is an error in words, and so is a file that others may read."""
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("sesame-sesame\n")
    open_to_all = tmp_path / "open-to-all"
    open_to_all.write_text("sesame-sesame\n")
    open_to_all.chmod(0o644)
    command = ("-m", "gridq.cli", "-A", "shop", "status")
    status = fleet.run("wrong", *command, GRIDQ_BROKER_PASSWORD_FILE=str(wrong))
    refused = fleet.run("open", *command, GRIDQ_BROKER_PASSWORD_FILE=str(open_to_all))
    assert (status.wait(), refused.wait()) == (2, 1)
    assert "error: expected a broker at redis://ada:***@" in status.logs() and "hint: " in status.logs()
    assert "Traceback" not in status.logs() and "sesame" not in status.logs()
    assert "Traceback" not in refused.logs() and "hint: chmod 600" in refused.logs()


def test_workers_producers_and_commands_know_the_password_and_none_shows_it(fleet: Fleet, tmp_path: Path) -> None:
    assert fleet.task("scale").delay(4).get(timeout=30) == 8
    cli = ("-m", "gridq.cli", "--log-level", "DEBUG", "-A", "shop")
    asked = [
        fleet.run("producer", "-c", PRODUCER, fleet.variables["GRIDQ_BROKER_URL"]),
        fleet.run("status", *cli, "status"),
        fleet.run("metrics", *cli, "metrics"),
        fleet.run("config", "-m", "gridq.cli", "config", "show", "--json"),
        fleet.run("conf", "-m", "celery", "-A", "shop", "inspect", "conf"),
    ]
    assert [process.wait() for process in asked] == [0] * len(asked)
    assert asked[0].logs().split() == ["42", "42"]
    assert "gridq_broker_up 1" in asked[2].logs()
    assert "redis://ada:***@" in asked[1].logs()
    _look_with_a_wrong_password(fleet, tmp_path)

    shown = {path.name: path.read_text("utf-8", "replace") for path in tmp_path.glob("*.log")}
    for status in Path("/proc").glob("[0-9]*/status"):
        for name in ("cmdline", "environ"):
            try:
                shown[str(status.with_name(name))] = status.with_name(name).read_bytes().decode("utf-8", "replace")
            except OSError:
                continue  # it has ended, or is another user's
    secret = (PASSWORD, quote(PASSWORD, safe=""))
    assert [name for name, text in shown.items() if any(word in text for word in secret)] == []
