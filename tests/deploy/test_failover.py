"""Redis on three machines with Sentinel, by the playbooks and with TLS: the primary's machine loses its power.

One fleet for all, in this order; what was counted is printed (`-s`)."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from nodes import Fleet, missing

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or ""), pytest.mark.timeout(1200)]

HOSTS = (1, 2, 3)
#: Tasks a second, and how many; the power goes after a third of them.
RATE, TASKS = 5, 300
NUMBERS = range(1000, 1000 + TASKS)
#: Who asks Sentinel without a password.
ASK = "redis-cli --tls --cacert /etc/gridq/tls/ca.crt -p 26379"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three machines, each with Redis, Sentinel, a worker on a simulated GPU and one for the CPU."""
    fleet = Fleet(tmp_path_factory.mktemp("failover"), len(HOSTS), gpus="sim:1x24GiB")
    fleet.members = {"redis": [*HOSTS], "gpu_nodes": [*HOSTS], "monitoring": [2]}
    try:
        fleet.up()
        run = fleet.play("site")
        assert run.status == 0, run.output[-3000:]
        yield fleet
    finally:
        fleet.down()


def primary(fleet: Fleet, asked: int) -> int:
    """The machine whose Redis is the primary, in the eyes of another one's Sentinel."""
    said = fleet.ssh(asked, f"{ASK} SENTINEL GET-MASTER-ADDR-BY-NAME gridq").split()
    return next(one for one in HOSTS if fleet.address(one) == said[0])


def role(fleet: Fleet, number: int) -> list[str]:
    """What its Redis says that it is."""
    return fleet.ssh(number, "gridq-redis-cli ROLE 2>/dev/null || true").splitlines()


def until(what: Callable[[], Any], seconds: float) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"not within {seconds:g}s"
        time.sleep(0.2)
    return answer


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    """The first of the inventory is the primary, and the others follow it."""
    run = fleet.play("site")
    assert (run.status, run.changed) == (0, 0), run.output[-3000:]
    assert [role(fleet, one)[0] for one in HOSTS] == ["master", "slave", "slave"]
    assert primary(fleet, 2) == 1
    print(f"\nsecond run: {run.seconds:.0f}s, changed={run.changed}")


def test_strangers_may_ask_for_the_primary_and_no_more(fleet: Fleet) -> None:
    """Who the primary is, is no secret; who it is to be, needs a password, which nobody else can read."""
    for words in ("SENTINEL FAILOVER gridq", "SENTINEL SET gridq quorum 1", "SENTINEL REMOVE gridq", "SHUTDOWN"):
        assert "NOPERM" in fleet.ssh(1, f"{ASK} {words} 2>&1 || true"), words
    assert "OK" not in fleet.ssh(1, "redis-cli -p 26379 PING 2>&1 || true"), "there is no port without TLS"
    secrets = [one.read_text().strip() for one in (fleet.folder / "secrets").glob("*-*")]
    said = (fleet.folder / "ansible.log").read_text() + fleet.ssh(
        1,
        "systemctl cat redis-server redis-sentinel 'gridq-*'; ps axeww; journalctl --no-pager; "
        "runuser -u nobody -- grep -rs . /etc/gridq /etc/redis /var/lib/redis || true",
    )
    assert not [secret for secret in secrets if secret in said]


def test_tasks_go_on_when_the_primarys_machine_loses_its_power(fleet: Fleet) -> None:
    """A replica takes over, and no accepted task is lost; the machine comes back as a replica."""
    lost = primary(fleet, 2)
    others = [one for one in HOSTS if one != lost]
    producer = fleet.producer(NUMBERS.start, RATE, 0.3, TASKS, GRIDQ_CONFIRM="replica")
    until(lambda: _ended(fleet)[NUMBERS[TASKS // 3]], 120)
    fleet.lab("kill", str(lost))
    gone = time.time()
    took_over = until(lambda: next((one for one in others if role(fleet, one)[:1] == ["master"]), None), 60)
    seconds = time.time() - gone
    output, _ = producer.communicate(timeout=300)
    fleet.lab("start", str(lost))
    until(lambda: role(fleet, lost)[:1] == ["slave"] and "connected" in role(fleet, lost), 60)
    until(lambda: len(fleet.status(took_over)["workers"]) == 2 * len(HOSTS), 60)
    done = json.loads(output)
    _counted(fleet, done, gone)
    print(f"machine {took_over} is the primary {seconds:.1f}s after the power of machine {lost} went")


def _ended(fleet: Fleet) -> Counter[int]:
    return Counter(line["number"] for line in fleet.ledger(HOSTS) if line["event"] == "end")


def _counted(fleet: Fleet, done: dict[str, Any], gone: float) -> None:
    """What became of the tasks, against what docs/durability.md says."""
    lines = [line for line in fleet.ledger(HOSTS) if line["number"] in NUMBERS]
    ends = Counter(line["number"] for line in lines if line["event"] == "end")
    starts = Counter(line["number"] for line in lines if line["event"] == "start")
    accepted = [number for number in NUMBERS if str(number) not in done["refused"]]
    lost = [number for number in accepted if not ends[number]]
    twice = [number for number, times in ends.items() if times > 1]
    again = [number for number, times in starts.items() if times > 1]
    pause = min(line["at"] for line in lines if line["event"] == "start" and line["at"] > gone + 1) - gone
    print(
        f"\n{len(accepted)} tasks accepted, {len(done['refused'])} refused; {len(lost)} lost, {len(twice)} done twice, "
        f"{len(again)} begun again; the next one began {pause:.1f}s after the power went"
    )
    assert (lost, done["failed"]) == ([], {})
    # What ended in the old primary's last milliseconds, or while Redis was away for longer than a lease: one a GPU.
    assert len(twice) <= len(HOSTS), twice


def test_playbooks_go_by_who_is_the_primary_now(fleet: Fleet) -> None:
    """A run after the failover changes nothing, and does not make the first of the inventory the primary again."""
    now = primary(fleet, 3)
    assert now != 1
    run, check = fleet.play("site"), fleet.play("site", "--check")
    assert (run.status, run.changed) == (0, 0), run.output[-3000:]
    assert (check.status, check.changed) == (0, 0), check.output[-3000:]
    assert primary(fleet, 3) == now and role(fleet, now)[0] == "master"
    assert fleet.submitted(5000, 10, 0.1, 10)["failed"] == {}
    fetch = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9470/metrics').read().decode())"
    assert "gridq_broker_up 1" in fleet.ssh(2, f'python3 -c "{fetch}"')
    print(f"\nafter the failover: changed={run.changed}; --check: changed={check.changed}")


def test_a_setting_that_changes_reaches_a_server_that_was_failed_over(fleet: Fleet) -> None:
    """Redis has written all of its settings into its own file by then, and the role's still count."""
    run = fleet.play("site", "--tags", "redis", "-e", "redis_maxmemory=123mb")
    assert run.status == 0, run.output[-3000:]
    for one in HOSTS:
        assert fleet.ssh(one, "gridq-redis-cli CONFIG GET maxmemory").split() == ["maxmemory", str(123 << 20)]


def test_a_backup_is_the_primarys_and_goes_back_to_all(fleet: Fleet) -> None:
    """Nothing fails over while a restore has the primary stopped."""
    before = primary(fleet, 3)
    fleet.ssh(before, "gridq-redis-cli SET gridq:trial kept")
    backup = fleet.play("backup")
    assert backup.status == 0, backup.output[-3000:]
    (file,) = (fleet.folder / "backups").glob("gridq-*.rdb")
    fleet.ssh(before, "gridq-redis-cli SET gridq:trial spoilt")
    restore = fleet.play("restore", "-e", f"gridq_backup={file}", "-e", "gridq_restore_overwrite=true")
    assert restore.status == 0, restore.output[-3000:]
    assert primary(fleet, 3) == before
    for one in HOSTS:
        assert fleet.ssh(one, "gridq-redis-cli GET gridq:trial").strip() == "kept"
    assert fleet.submitted(6000, 10, 0.1, 10)["failed"] == {}


def test_a_run_without_all_of_redis_is_refused(fleet: Fleet) -> None:
    """The host that was left out may be the primary."""
    run = fleet.play("site", "--limit", fleet.name(1))
    assert run.status != 0 and "--limit with redis in it" in run.output
