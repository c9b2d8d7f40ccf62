"""The playbooks on real machines, with TLS: from bare to the first task, a power cut, an upgrade under load, nodes that
come and go. One fleet for all, in this order; what each took is printed (`-s`)."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from nodes import Fleet, missing

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or ""), pytest.mark.timeout(1200)]

#: Seconds within which what runs on a dead node runs elsewhere: its lease, a look for it, and a start.
RECOVERY = 20.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three bare machines that are in the inventory and one that is not yet."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), 4)
    fleet.members = {"redis": [1], "gpu_nodes": [1, 2, 3], "monitoring": [1]}
    try:
        fleet.up()
        yield fleet
    finally:
        fleet.down()


def eventually(what: Any, seconds: float) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"not within {seconds:g}s"
        time.sleep(0.2)
    return answer


def ends(lines: list[dict[str, Any]], numbers: range) -> Counter[int]:
    """How often each task ran to its end."""
    return Counter(line["number"] for line in lines if line["event"] == "end" and line["number"] in numbers)


def test_three_bare_machines_run_a_task_after_one_playbook(fleet: Fleet) -> None:
    """Redis with TLS and users, six workers on simulated GPUs, and a task through them."""
    began = time.monotonic()
    check = fleet.play("site", "--check")
    checked = time.monotonic() - began
    assert check.status == 0, check.output[-3000:]
    run = fleet.play("site")
    assert run.status == 0, run.output[-3000:]
    done = fleet.submitted(0, 10, 0.1, 1)
    assert done["returned"] == [0]
    print(f"\n--check {checked:.0f}s; from bare to the first task {time.monotonic() - began - checked:.0f}s")


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    """Neither does --check find anything to change."""
    fleet.assert_settled()


def test_no_secret_is_where_others_can_read_it(fleet: Fleet) -> None:
    """Not in units, processes, journals, or Ansible's output; and Redis lets nobody in without one."""
    secrets = [one.read_text().strip() for one in (fleet.folder / "secrets").glob("redis-*")]
    assert len(secrets) >= 5
    said = (fleet.folder / "ansible.log").read_text()
    for number in (1, 2):
        said += fleet.ssh(
            number,
            "systemctl cat 'gridq-*' redis-server; ps axeww; journalctl --no-pager; "
            "runuser -u nobody -- grep -rs . /etc/gridq /etc/redis /run/gridq || true",
        )
    assert not [secret for secret in secrets if secret in said]
    assert "NOAUTH" in fleet.ssh(1, "redis-cli --tls --cacert /etc/gridq/tls/ca.crt ping 2>&1 || true")
    assert fleet.ssh(1, "redis-cli ping 2>&1 || true").strip() != "PONG"


def test_units_are_hardened(fleet: Fleet) -> None:
    """What systemd itself calls OK: an exposure below 2 of 10."""
    said = fleet.ssh(1, "systemd-analyze security --json=short --no-pager")
    exposure = {row["unit"]: float(row["exposure"]) for row in json.loads(said)}
    ours = {unit: value for unit, value in exposure.items() if unit.startswith(("gridq-", "redis"))}
    assert len(ours) == 6
    assert max(ours.values()) < 2.0, ours


def test_a_node_that_loses_its_power_loses_no_task(fleet: Fleet) -> None:
    """What ran there runs elsewhere, what had ended there is not run again, and the node comes back by itself."""
    numbers = range(100, 124)
    producer = fleet.producer(numbers.start, 100, 4.0, len(numbers))
    eventually(lambda: [line for line in fleet.ledger([3]) if line["number"] in numbers], 30)
    fleet.lab("kill", "3")
    output, _ = producer.communicate(timeout=300)
    done = json.loads(output)
    fleet.lab("start", "3")
    lines = fleet.ledger([1, 2, 3])
    starts = Counter(line["number"] for line in lines if line["event"] == "start" and line["number"] in numbers)
    again = [number for number, times in starts.items() if times > 1]
    assert sorted(done["returned"]) == list(numbers), done["failed"]
    assert ends(lines, numbers) == Counter(numbers)
    assert 1 <= len(again) <= 2, "what ran on the node's two GPUs"
    eventually(lambda: len(fleet.status()["workers"]) == 9, 60)
    print(f"\npower cut: {len(numbers)} tasks, 0 lost, {len(again)} begun again elsewhere, 0 done twice")


def test_an_upgrade_under_load_loses_nothing(fleet: Fleet) -> None:
    """Twenty tasks a second through three nodes, each of which is drained, changed, checked and undrained in turn."""
    first = 100_000  # It sends as many as there is time for, and no other test may use these numbers.
    producer = fleet.producer(first, 20, 0.1)
    eventually(lambda: [line for line in fleet.ledger([1, 2, 3]) if line["number"] >= first], 30)
    fleet.tasks_version = 2
    run = fleet.play("upgrade")
    output, _ = producer.communicate(timeout=300)
    done = json.loads(output)
    assert run.status == 0, run.output[-3000:]
    numbers = range(first, first + len(done["sent"]))
    lines = fleet.ledger([1, 2, 3])
    assert sorted(done["returned"]) == list(numbers), done["failed"]
    assert ends(lines, numbers) == Counter(numbers)
    begun = {line["number"]: line["at"] for line in lines if line["event"] == "start"}
    longest = max(begun[int(number)] - at for number, at in done["sent"].items())
    for number in (1, 2, 3):
        assert "-2" in fleet.ssh(number, "/opt/gridq/venv/bin/pip list --format freeze | grep fleettasks").replace(
            "==", "-"
        )
    assert not any(worker["draining"] for worker in fleet.status()["workers"])
    print(f"\nupgrade {run.seconds:.0f}s: {len(numbers)} tasks, 0 lost, 0 twice, longest wait {longest:.2f}s")


def test_an_upgrade_that_fails_stops_at_its_first_node(fleet: Fleet) -> None:
    """Its GPU does not compute: it stays drained, and the others go on as they were. Repaired, the playbook goes on."""
    fleet.tasks_version = 3
    broken = (
        "cd /; runuser -u gridq -- /opt/gridq/venv/bin/python -c 'from pathlib import Path\n"
        "from gridq.gpu.sim import Simulator\n"
        'Simulator(Path("/run/gridq/sim")).set("SIM-0001-24gib", canary_fails={})\''
    )
    fleet.ssh(1, broken.format(True))
    run = fleet.play("upgrade")
    assert run.status != 0
    assert {worker["node"] for worker in fleet.status()["workers"] if worker["draining"]} == {fleet.name(1)}
    assert fleet.submitted(5000, 20, 0.1, 20)["failed"] == {}
    assert ends(fleet.ledger([2, 3]), range(5000, 5020)).total() == 20
    fleet.ssh(1, broken.format(False))
    again = fleet.play("upgrade")
    assert again.status == 0, again.output[-3000:]
    assert not any(worker["draining"] for worker in fleet.status()["workers"])


def test_nodes_come_and_go(fleet: Fleet) -> None:
    """A fourth node takes tasks after add-node.yml, and the third leaves while it works: its task ends first."""
    fleet.members["gpu_nodes"].append(4)
    added = fleet.play("add-node", "-e", f"gridq_node={fleet.name(4)}")
    assert added.status == 0, added.output[-3000:]
    assert {worker["node"] for worker in fleet.status()["workers"]} == {fleet.name(one) for one in (1, 2, 3, 4)}
    numbers = range(6000, 6008)
    producer = fleet.producer(numbers.start, 100, 5.0, len(numbers))
    eventually(lambda: [line for line in fleet.ledger([3]) if line["number"] in numbers], 30)
    removed = fleet.play("remove-node", "-e", f"gridq_node={fleet.name(3)}")
    assert removed.status == 0, removed.output[-3000:]
    output, _ = producer.communicate(timeout=300)
    assert sorted(json.loads(output)["returned"]) == list(numbers)
    assert ends(fleet.ledger([1, 2, 3, 4]), numbers) == Counter(numbers)
    fleet.members["gpu_nodes"].remove(3)
    eventually(lambda: fleet.name(3) not in {worker["node"] for worker in fleet.status()["workers"]}, 20)
    assert fleet.ssh(3, "ls -d /opt/gridq /etc/gridq 2>/dev/null || true") == ""
    assert fleet.play("site").status == 0
    print(f"\nadd-node {added.seconds:.0f}s; remove-node {removed.seconds:.0f}s with a task of 5s running")
