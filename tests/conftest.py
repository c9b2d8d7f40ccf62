"""A real broker for the tests that need one, and nothing of this machine's own settings for any of them."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from celery.contrib.pytest import celery_worker as celery_worker  # pytest-celery's own needs Docker

from gridq.broker.server import LocalServer
from gridq.errors import BrokerError
from gridq.gpu.device import Device
from gridq.gpu.health import State, Verdict
from gridq.store.client import Client
from gridq.store.workers import GpuStatus, WorkerStatus
from gridq.units import GIB

HERE = Path(__file__).parent
#: A broker's and a result database for each of 64 tests or fleets at a time.
DATABASES = 128


@dataclass(frozen=True)
class Database:
    """An empty pair of databases: an even one for messages, the next one for results."""

    server: str
    number: int
    client: Client = field(repr=False)
    #: The numbers of the pairs that nobody uses, to which this one goes back.
    unused: deque[int] = field(repr=False)

    @classmethod
    def of(cls, server: str, unused: deque[int]) -> Database:
        """One of the pairs that nobody uses."""
        number = unused.popleft()
        return cls(server, number, Client(redis.ConnectionPool.from_url(f"{server}/{number}")), unused)

    @property
    def url(self) -> str:
        """The broker's URL; gridq puts the results into the next database."""
        return f"{self.server}/{self.number}"

    @property
    def results(self) -> str:
        """The URL of the results."""
        return f"{self.server}/{self.number + 1}"

    def names(self) -> set[str]:
        """Every key of the broker's database."""
        return {key.decode() for key in self.client.redis.scan_iter(count=1000)}

    def flush(self) -> None:
        """Empty both databases."""
        self.client.redis.flushdb()
        with redis.Redis.from_url(self.results) as results:
            results.flushdb()

    def close(self) -> None:
        """Leave nothing behind."""
        self.flush()
        self.client.close()
        if self.number not in self.unused:
            self.unused.append(self.number)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have a broker of their own configured; no test shall find it."""
    with pytest.MonkeyPatch.context() as patch:
        # Whoever exports the size of a terminal, as pytest-xdist does, would have it for every terminal of the tests.
        for name in [name for name in os.environ if name.startswith(("GRIDQ_", "CELERY_", "COLUMNS", "LINES"))]:
            patch.delenv(name)
        patch.setenv("GRIDQ_RUNTIME_DIR", str(tmp_path_factory.mktemp("session") / "run"))
        yield


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has locks, simulated GPUs and broker addresses of its own."""
    path = tmp_path / "run"
    monkeypatch.setenv("GRIDQ_RUNTIME_DIR", str(path))
    return path


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, without a database, of a server that lives as long as the tests."""
    try:
        running = LocalServer(tmp_path_factory.mktemp("broker") / "run", databases=DATABASES).start()
    except BrokerError as error:
        if os.environ.get("CI") == "true":
            pytest.exit(f"no broker for the tests: {error}", returncode=2)
        pytest.skip(f"no broker for the tests: {error}")
    with running:
        yield running.url.rpartition("/")[0]


@pytest.fixture(scope="session")
def new_database(server: str) -> Iterator[Callable[[], Database]]:
    """Makes databases that nobody else uses until they are closed."""
    unused, made = deque(range(0, DATABASES, 2)), list[Database]()

    def make() -> Database:
        database = Database.of(server, unused)
        database.flush()
        made.append(database)
        return database

    yield make
    for database in made:
        database.client.close()


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Iterator[Database]:
    """An empty database, flushed afterwards."""
    made = new_database()
    yield made
    made.close()


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Finds a program of this machine, as `program("promtool")`: who needs it is skipped without, and fails in CI."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing = f"expected {name} on PATH (Debian: apt-get install prometheus)"
            pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
        return path

    return find


def make_device(index: int = 0, memory: int = 24, model: str = "NVIDIA A10G") -> Device:
    """A GPU; memory in GiB."""
    return Device(f"GPU-{index}", index, model, memory * GIB, "550")


@pytest.fixture
def make_worker() -> Callable[..., WorkerStatus]:
    """Makes heartbeats: `make_worker("gpu0@node1", 24, score=0.5)` holds one GPU of 24 GiB; 0 GiB is a CPU worker."""

    def make(
        name: str,
        memory: int = 24,
        *,
        score: float = 0.0,
        gpus: int = 1,
        model: str = "NVIDIA A10G",
        verdict: Verdict | None = None,
    ) -> WorkerStatus:
        healthy = Verdict(State.HEALTHY)
        devices = [make_device(index, memory, model) for index in range(gpus if memory else 0)]
        held = [GpuStatus(device, verdict or healthy) for device in devices]
        node = name.partition("@")[2]
        return WorkerStatus(name, node, "token", 1, tuple(held), score=score, free=memory * GIB if memory else None)

    return make
