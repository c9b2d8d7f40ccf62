"""The broker is judged by what it says of itself, and what it does not say is not made up."""

from __future__ import annotations

from typing import Any

import pytest

from gridq import config
from gridq.doctor.broker import Broker, examine
from gridq.doctor.finding import Finding, Severity
from gridq.store.server import ServerFacts

GOOD_INFO = {
    "redis_version": "7.4.1",
    "redis_mode": "standalone",
    "role": "master",
    "aof_enabled": "1",
    "connected_slaves": "0",
    "maxmemory_policy": "noeviction",
    "maxmemory": "0",
    "used_memory": str(2**20),
    "total_system_memory": str(2**34),
    "connected_clients": "5",
    "maxclients": "10000",
}
GOOD_SETTINGS = {"appendfsync": "everysec", "save": "", "min-replicas-to-write": "0"}


def broker(
    info: dict[str, str] | None = None, settings: dict[str, str] | None = None, trips: float = 0.0005, **ours: Any
) -> Broker:
    """A good server, but for these differences; `ours` are settings of gridq, `ahead` is the clock's."""
    ahead = ours.pop("ahead", 0.01)
    server = ServerFacts(GOOD_INFO | (info or {}), GOOD_SETTINGS | (settings or {}), [trips] * 5, ahead)
    return Broker(server, config.load(environ={}, **ours), "redis://:***@h:6379/0")


def bad(facts: Broker) -> list[Finding]:
    """All findings that are not well."""
    return [finding for finding in examine(facts) if finding.severity is not Severity.OK]


def test_nothing_is_found_wrong_with_a_good_server() -> None:
    assert bad(broker()) == []


def test_an_old_server_is_an_error_and_valkey_is_taken_for_the_redis_that_it_speaks() -> None:
    (found,) = bad(broker({"redis_version": "6.0.16"}))
    assert (found.check, found.severity) == ("version", Severity.ERROR)
    assert "6.2 or newer" in found.expected
    valkey = broker({"server_name": "valkey", "valkey_version": "9.0.1", "redis_version": "7.2.4"})
    assert bad(valkey) == []
    assert "valkey 9.0.1" in [finding.evidence for finding in examine(valkey)]


def test_waiting_for_the_disk_needs_a_server_that_can_be_waited_for() -> None:
    assert bad(broker({"redis_version": "7.0.15"})) == []
    (found,) = bad(broker({"redis_version": "7.0.15"}, confirm="aof"))
    assert "7.2 or newer for confirm: aof" in found.expected


@pytest.mark.parametrize(
    ("info", "settings", "severity", "words"),
    [
        ({"aof_enabled": "0"}, {}, Severity.ERROR, "no snapshots"),
        ({"aof_enabled": "0"}, {"save": "3600 1"}, Severity.WARNING, "snapshots only (save 3600 1)"),
        ({}, {"appendfsync": "no"}, Severity.WARNING, "appendfsync no"),
        ({"aof_last_write_status": "err"}, {}, Severity.ERROR, "append-only file failed"),
        ({"rdb_last_bgsave_status": "err"}, {}, Severity.ERROR, "snapshot failed"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": str(2**30)}, {}, Severity.ERROR, "deletes queues"),
        ({"maxmemory_policy": "volatile-ttl", "maxmemory": str(2**30)}, {}, Severity.ERROR, "deletes results"),
        ({"maxmemory_policy": "allkeys-lru"}, {}, Severity.WARNING, "nothing is deleted yet"),
        ({"used_memory": str(90 * 2**20), "maxmemory": str(100 * 2**20)}, {}, Severity.WARNING, "(90%)"),
        ({"used_memory": str(99 * 2**20), "maxmemory": str(100 * 2**20)}, {}, Severity.ERROR, "(99%)"),
        ({"connected_clients": "9000"}, {}, Severity.WARNING, "9000 of 10000"),
        ({"redis_mode": "cluster"}, {}, Severity.ERROR, "Redis Cluster"),
        ({"role": "slave", "master_host": "r1", "master_port": "6379"}, {}, Severity.ERROR, "a replica of r1:6379"),
        ({}, {"min-replicas-to-write": "1"}, Severity.ERROR, "writes are refused"),
        ({"connected_slaves": "1"}, {"min-replicas-to-write": "1"}, Severity.NOTE, "after a failover"),
        ({"connected_slaves": "2"}, {}, Severity.NOTE, "cut off"),
        ({"connected_slaves": "2"}, {"min-replicas-to-write": "1"}, None, ""),
    ],
)
def test_what_could_lose_tasks_is_found(
    info: dict[str, str], settings: dict[str, str], severity: Severity | None, words: str
) -> None:
    found = bad(broker(info, settings))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    if severity:
        assert words in found[0].evidence
        assert found[0].expected and found[0].hint, "a finding names its remedy"


@pytest.mark.parametrize(
    ("confirm", "info", "words"),
    [("replica", {}, "confirm: replica waits for one"), ("aof", {"aof_enabled": "0"}, "confirm: aof waits for it")],
)
def test_a_confirmation_that_can_never_come_is_an_error(confirm: str, info: dict[str, str], words: str) -> None:
    (found,) = bad(broker(info, confirm=confirm))
    assert found.severity is Severity.ERROR
    assert words in found.evidence


def test_a_broker_that_is_far_away_is_a_warning_with_its_round_trips() -> None:
    (found,) = bad(broker(trips=0.025))
    assert (found.check, found.severity) == ("latency", Severity.WARNING)
    assert found.evidence.startswith("25ms in the middle, 25ms at most")


@pytest.mark.parametrize(
    ("ahead", "severity"),
    [(0.5, None), (-0.5, None), (5.0, Severity.NOTE), (-3600.0, Severity.WARNING)],
)
def test_another_clock_misleads_who_reads_logs_and_nobody_else(ahead: float, severity: Severity | None) -> None:
    found = bad(broker(ahead=ahead))
    assert [finding.severity for finding in found] == ([severity] if severity else [])
    assert any("leases go by Redis' clock alone" in finding.evidence for finding in examine(broker(ahead=ahead)))


def test_what_an_acl_hides_is_a_note_and_nothing_is_made_up() -> None:
    blind = Broker(ServerFacts(None, None, [0.001]), config.load(environ={}), "redis://h")
    (found,) = bad(blind)
    assert found.severity is Severity.NOTE
    assert "not allowed to look" in found.evidence
    half = Broker(ServerFacts(GOOD_INFO, None, [0.001]), config.load(environ={}), "redis://h")
    assert ["not allowed to look" in finding.evidence for finding in bad(half)] == [True]
