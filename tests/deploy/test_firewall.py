"""The firewall before gridq's ports, by the playbooks, on real machines: the fleet comes through, strangers do not."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest
from nodes import Fleet, missing

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or ""), pytest.mark.timeout(600)]

REDIS, SENTINEL, EXPORTER, SSH = 6379, 26379, 9470, 22
#: What has no part in it, and takes its time to install.
PARTS = ["--skip-tags", "prometheus,flower,nginx"]
RULES = ["site", "--tags", "firewall"]
#: Another table, as an administrator or a container engine would have it.
FOREIGN = "table inet foreign { chain input { type filter hook input priority 10; tcp dport 7 drop; }; }"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Redis and an exporter that listens to others on machine 1; 2 and 3 are not in the inventory."""
    fleet = Fleet(tmp_path_factory.mktemp("firewall"), 3)
    fleet.members = {"redis": [1], "monitoring": [1]}
    fleet.variables = {"gridq_exporter_host": "0.0.0.0"}
    try:
        fleet.up()
        run = fleet.play("site", *PARTS)
        assert run.status == 0, run.output[-3000:]
        yield fleet
    finally:
        fleet.down()


def reach(fleet: Fleet, number: int, port: int, address: str = "") -> str:
    """What machine `number` meets at this port of machine 1: `open`, or the name of the error."""
    program = (
        "import errno, socket\n"
        f'try: socket.create_connection(("{address or fleet.address(1)}", {port}), 5).close()\n'
        "except OSError as error: print(errno.errorcode.get(error.errno, repr(error)))\n"
        'else: print("open")'
    )
    return fleet.ssh(number, f"python3 -c '{program}'").strip()


def shut_out(fleet: Fleet) -> int:
    """How many packets were turned away."""
    found = re.search(r"counter packets (\d+)", fleet.ssh(1, "nft list chain inet gridq strangers"))
    assert found
    return int(found[1])


def test_strangers_come_to_none_of_its_ports_and_are_told_so(fleet: Fleet) -> None:
    """At once, and counted; what is not gridq's stays as it was."""
    before = shut_out(fleet)
    assert {reach(fleet, 3, port) for port in (REDIS, SENTINEL, EXPORTER)} == {"EHOSTUNREACH"}
    assert shut_out(fleet) == before + 3
    assert reach(fleet, 3, SSH) == "open"
    assert (reach(fleet, 1, REDIS), reach(fleet, 1, EXPORTER)) == ("open", "open")
    assert reach(fleet, 2, REDIS) == "EHOSTUNREACH", "it is no node yet"


def test_who_is_allowed_comes_in_by_both_kinds_of_ip(fleet: Fleet) -> None:
    """This machine, by its address, from the first run on; others once they are named."""
    for port in (REDIS, EXPORTER):
        socket.create_connection((fleet.address(1), port), 5).close()
    inner = "fd00:218::1{}"
    for number in (1, 2, 3):
        fleet.ssh(number, f"ip -6 addr add {inner.format(number)}/64 dev host0 nodad")
    fleet.ssh(1, f"systemd-run --quiet --unit listener python3 -m http.server {SENTINEL} --bind ::")
    try:
        run = fleet.play(*RULES, "-e", json.dumps({"firewall_allowed": [fleet.address(1) + "/24", inner.format(2)]}))
        assert run.status == 0, run.output[-3000:]
        assert (reach(fleet, 3, REDIS), reach(fleet, 3, EXPORTER)) == ("open", "open")
        said = {number: reach(fleet, number, SENTINEL, inner.format(1)) for number in (2, 3)}
        assert said == {2: "open", 3: "EHOSTUNREACH"}
    finally:
        fleet.ssh(1, "systemctl stop listener")


def test_a_new_node_is_let_in_before_its_workers_start(fleet: Fleet) -> None:
    """add-node.yml ends with a task through each of its workers; the exporter is none of its business."""
    fleet.members["gpu_nodes"] = [2]
    run = fleet.play("add-node", "-e", f"gridq_node={fleet.name(2)}")
    assert run.status == 0, run.output[-3000:]
    assert fleet.submitted(0, 10, 0.1, 1)["returned"] == [0]
    assert (reach(fleet, 2, REDIS), reach(fleet, 2, EXPORTER)) == ("open", "EHOSTUNREACH")
    assert reach(fleet, 3, REDIS) == "EHOSTUNREACH", "who is named no more"


def test_a_node_that_comes_from_elsewhere_stops_the_run_before_it_is_shut_out(fleet: Fleet) -> None:
    """Its address in the inventory is not the one from which it comes to Redis."""
    run = fleet.play(*RULES, "-e", json.dumps({"firewall_addresses": ["192.0.2.7"]}))
    assert run.status != 0
    assert f"{fleet.name(2)} from {fleet.address(2)}" in run.output
    assert reach(fleet, 2, REDIS) == "open"


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    """Neither does --check find anything to change."""
    fleet.assert_settled(*RULES[1:])


def test_its_unit_is_hardened(fleet: Fleet) -> None:
    """What systemd itself calls OK: an exposure below 2 of 10; beyond that it would fail here."""
    assert "OK" in fleet.ssh(1, "systemd-analyze security --no-pager --threshold=20 gridq-firewall | tail -1")


def test_it_is_there_after_a_power_cut(fleet: Fleet) -> None:
    """Strangers are turned away, and the node finds Redis again."""
    fleet.lab("kill", "1")
    fleet.lab("start", "1")
    assert reach(fleet, 3, REDIS) == "EHOSTUNREACH"
    assert fleet.submitted(1, 10, 0.1, 1)["returned"] == [1]


def test_it_touches_no_other_table_and_survives_who_empties_all(fleet: Fleet) -> None:
    """The distribution's own unit begins with `flush ruleset`, whenever it starts or reloads, and ends with it."""
    fleet.ssh(1, f"nft '{FOREIGN}'")
    fleet.ssh(1, "systemctl reload gridq-firewall; systemctl restart gridq-firewall")
    assert "tcp dport 7 drop" in fleet.ssh(1, "nft list table inet foreign")
    for verb in ("start", "reload", "restart", "stop"):
        fleet.ssh(1, f"systemctl {verb} nftables")
        assert reach(fleet, 3, REDIS) == "EHOSTUNREACH", verb
    fleet.ssh(1, "nft flush ruleset")
    assert fleet.play(*RULES).changed == 1
    assert reach(fleet, 3, REDIS) == "EHOSTUNREACH"


def test_a_node_that_leaves_is_let_in_no_more(fleet: Fleet) -> None:
    """While it is still in the inventory."""
    run = fleet.play("remove-node", "-e", f"gridq_node={fleet.name(2)}")
    assert run.status == 0, run.output[-3000:]
    assert reach(fleet, 2, REDIS) == "EHOSTUNREACH"
    del fleet.members["gpu_nodes"]


def test_turned_off_it_leaves_nothing_behind(fleet: Fleet) -> None:
    """No table, no file, no unit; and nothing to do the next time."""
    off = [*RULES, "-e", "gridq_firewall=false"]
    run, again = fleet.play(*off), fleet.play(*off)
    assert (run.status, again.status, again.changed) == (0, 0, 0), run.output[-3000:]
    assert reach(fleet, 3, REDIS) == "open"
    files = "find /etc -path '*gridq*firewall*' -o -path '*nftables*gridq*'"
    assert fleet.ssh(1, f"nft list tables; {files}") == ""
    assert "not-found" in fleet.ssh(1, "systemctl show --property LoadState gridq-firewall")
