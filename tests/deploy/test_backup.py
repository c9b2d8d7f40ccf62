"""The playbooks for backups, on real machines with TLS: what waited before a backup waits again after a restore."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import pytest
from nodes import Fleet, missing

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or ""), pytest.mark.timeout(900)]

TASKS = 200


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Redis, and a node with two simulated GPUs."""
    fleet = Fleet(tmp_path_factory.mktemp("backup"), 2)
    fleet.members = {"redis": [1], "gpu_nodes": [2]}
    try:
        fleet.up()
        run = fleet.play("site")
        assert run.status == 0, run.output[-3000:]
        yield fleet
    finally:
        fleet.down()


def waiting(fleet: Fleet) -> int:
    """Tasks in queues."""
    return sum(int(queue["waiting"]) for queue in fleet.status()["queues"])


def until_waiting(fleet: Fleet, count: int) -> None:
    """Until so many wait."""
    end = time.monotonic() + 60
    while waiting(fleet) != count:
        assert time.monotonic() < end, fleet.status()
        time.sleep(0.2)


def test_tasks_that_waited_are_there_after_all_was_lost(fleet: Fleet) -> None:
    """Redis loses everything; a restore refuses to overwrite what came since, is told to, and each task runs once."""
    fleet.ssh(1, f"gridq drain {fleet.name(2)} --wait")
    producer = fleet.producer(0, 200, 0.05, TASKS)
    try:
        until_waiting(fleet, TASKS)
    finally:
        # It would wait for results, for less time than all that comes now.
        producer.kill()
        producer.communicate()
    backup = fleet.play("backup")
    assert backup.status == 0, backup.output[-3000:]
    (file,) = (fleet.folder / "backups").glob("gridq-*.rdb")
    assert file.stat().st_size > 0

    fleet.ssh(1, "gridq-redis-cli FLUSHALL")
    broken = fleet.folder / "broken.rdb"
    broken.write_bytes(file.read_bytes()[:-200])
    overwrite = ("-e", "gridq_restore_overwrite=true")
    damaged = fleet.play("restore", "-e", f"gridq_backup={broken}", *overwrite)
    assert damaged.status != 0 and "expected a backup that is whole" in damaged.output
    refused = fleet.play("restore", "-e", f"gridq_backup={file}")
    assert refused.status != 0 and "gridq_restore_overwrite" in refused.output
    assert waiting(fleet) == 0
    assert fleet.ssh(1, "ls /var/backups/gridq").split() == []

    restore = fleet.play("restore", "-e", f"gridq_backup={file}", *overwrite)
    assert restore.status == 0, restore.output[-3000:]
    fleet.ssh(1, f"gridq undrain {fleet.name(2)}")
    end = time.monotonic() + 120
    while (ends := Counter(line["number"] for line in fleet.ledger([2]) if line["event"] == "end")).total() < TASKS:
        assert time.monotonic() < end, f"{ends.total()} of {TASKS} ran"
        time.sleep(0.5)
    assert ends == Counter(range(TASKS))
    assert waiting(fleet) == 0
    print(f"\nbackup {backup.seconds:.0f}s, restore {restore.seconds:.0f}s: {TASKS} tasks waited, 0 lost, 0 twice")
