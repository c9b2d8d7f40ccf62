"""Fleets of real workers, shared by as many tests as can share them: starting workers is what takes time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet import NODE, Fleet
from pytest_celery import (
    CeleryBackendCluster,
    CeleryBrokerCluster,
    CeleryTestBackend,
    CeleryTestBroker,
    CeleryWorkerCluster,
)

GPUS = "sim:2x24GiB,48GiB,80GiB"


@pytest.fixture(scope="session")
def new_fleet(
    new_database: Callable[[], Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Fleet]]:
    """Makes fleets without workers yet; whatever a test starts in one is ended with the session at the latest."""
    made: list[Fleet] = []

    def make(gpus: str, **settings: str) -> Fleet:
        fleet = Fleet(new_database(), tmp_path_factory.mktemp("fleet"), gpus, **settings)
        made.append(fleet)
        return fleet

    yield make
    for fleet in made:
        fleet.stop()


@pytest.fixture(scope="session")
def _grid(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    # The load of this machine's CPUs is none of the tests' doing, and would decide between GPUs that are equally idle.
    fleet = new_fleet(GPUS, cpu_weight="0", probe_deadline="2s")
    try:
        fleet.start_gpu_workers(4, "-E")
        fleet.start_worker(f"cpu@{NODE}", "cpu", "-E", "-c", "1", wait=False)
        fleet.await_idle()
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture
def grid(_grid: Fleet) -> Fleet:
    """Four GPU workers (24, 24, 48 and 80 GiB) and a CPU worker, all of them idle and healthy."""
    for device in _grid.devices:
        _grid.sim.reset(device.uuid)
    _grid.await_idle()
    return _grid


@pytest.fixture
def signal_file(tmp_path: Path) -> Iterator[Path]:
    """The file for which `shop.wait_for` waits; it appears at the end of the test, so that no task outlives it."""
    path = tmp_path / "go"
    yield path
    path.touch()


# -- pytest-celery's fixtures, on processes instead of containers


@pytest.fixture
def celery_broker_cluster(_grid: Fleet) -> CeleryBrokerCluster:
    """The broker of the grid."""
    return CeleryBrokerCluster(CeleryTestBroker(_Server(_grid.database.url), _grid.app))


@pytest.fixture
def celery_backend_cluster(_grid: Fleet) -> CeleryBackendCluster:
    """The result backend of the grid."""
    return CeleryBackendCluster(CeleryTestBackend(_Server(_grid.database.results), _grid.app))


@pytest.fixture
def celery_worker_cluster(grid: Fleet) -> CeleryWorkerCluster:
    """The workers of the grid."""
    return CeleryWorkerCluster(*grid.nodes)


@pytest.fixture
def celery_setup_app(grid: Fleet) -> Any:
    """The app of the grid, which knows GPUs."""
    return grid.app


class _Server:
    """A server that someone else starts and stops, as a node's container."""

    status, name, id = "running", "server", "server"

    def __init__(self, url: str) -> None:
        self.celeryconfig = {"url": url, "host_url": url}

    def ready(self) -> bool:
        """It is."""
        return True

    def teardown(self) -> None:
        """Not ours to stop."""
