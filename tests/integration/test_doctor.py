"""The doctor finds on real servers and fleets what is wrong with them, and says nothing that it must not."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from fleet import Fleet, eventually

from gridq import config
from gridq.application import build
from gridq.broker.server import LocalServer
from gridq.cli.doctor import command
from gridq.cli.session import Session

Found = dict[str, Any]


def doctor(app: Any) -> tuple[int, list[Found], str]:
    """What it says as JSON: exit status, findings, everything; and that people are told the same."""
    asked = CliRunner().invoke(command, ["--json"], obj=Session("shop", app))
    assert asked.stdout, asked.output
    report = json.loads(asked.stdout)
    read = CliRunner().invoke(command, [], obj=Session("shop", app))
    assert read.exit_code == asked.exit_code
    for finding in report["findings"]:
        assert finding["check"] in read.stdout
    return asked.exit_code, report["findings"], asked.output + read.output


def app_of(url: str) -> Any:
    """gridq's own app for this broker."""
    return build(config.load(environ={}, broker_url=url))


def only(findings: list[Found], check: str) -> Found:
    """The one finding of that check."""
    (found,) = [finding for finding in findings if finding["check"] == check]
    return found


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[LocalServer]:
    """A server of its own, since its settings are changed."""
    with LocalServer(tmp_path / "server") as running:
        yield running


def test_a_server_that_loses_what_it_is_given_is_found_out(own_server: LocalServer) -> None:
    with redis.Redis.from_url(own_server.url) as server:
        server.config_set("appendonly", "no")
        server.config_set("maxmemory", "100mb")
        server.config_set("maxmemory-policy", "allkeys-lru")
        status, findings, said = doctor(app_of(own_server.url))
    assert status == 3
    eviction, persistence = only(findings, "eviction"), only(findings, "persistence")
    assert eviction["severity"] == persistence["severity"] == "error"
    assert "allkeys-lru" in eviction["evidence"]
    assert "redis-cli CONFIG SET maxmemory-policy noeviction" in eviction["hint"]
    assert "no snapshots" in persistence["evidence"]
    password = own_server.url.partition("://:")[2].partition("@")[0]
    assert password not in said and "***" in said


def test_a_server_as_gridq_starts_it_is_fine(own_server: LocalServer) -> None:
    _, findings, _ = doctor(app_of(own_server.url))
    broker = [finding for finding in findings if finding["topic"] == "broker" and finding["check"] != "latency"]
    assert {finding["severity"] for finding in broker} == {"ok"}
    assert only(findings, "results")["severity"] == "ok"


def test_what_an_acl_forbids_is_a_note(own_server: LocalServer) -> None:
    with redis.Redis.from_url(own_server.url) as server:
        server.execute_command(*["ACL", "SETUSER", "shop", "on", ">geheim", "~*", "&*", "+@all", "-config", "-info"])
    url = own_server.url.partition("@")
    status, findings, said = doctor(app_of(f"redis://shop:geheim@{url[2]}"))
    assert status == 3, "there is no worker"
    access = only(findings, "access")
    assert access["severity"] == "note"
    assert "INFO is refused" in access["evidence"]
    assert "geheim" not in said


def test_a_user_who_may_not_even_run_scripts_is_told_so(own_server: LocalServer) -> None:
    with redis.Redis.from_url(own_server.url) as server:
        server.execute_command(*["ACL", "SETUSER", "guest", "on", ">geheim", "~*", "&*", "+@all", "-@scripting"])
    status, findings, said = doctor(app_of(f"redis://guest:geheim@{own_server.url.partition('@')[2]}"))
    assert status == 3
    assert "permissions" in only(findings, "answer")["evidence"]
    assert "geheim" not in said


def test_without_a_broker_the_machine_and_the_app_are_looked_at_all_the_same() -> None:
    status, findings, _ = doctor(app_of("redis://:geheim@127.0.0.1:1/0"))
    assert status == 2
    assert {finding["topic"] for finding in findings} == {"broker", "app", "machine"}
    assert "Connection refused" in only(findings, "answer")["evidence"]


def test_a_queue_that_no_worker_looks_into_is_found_in_a_fleet_that_is_well(grid: Fleet) -> None:
    _, findings, _ = doctor(grid.app)
    of_fleet = [finding for finding in findings if finding["topic"] == "fleet"]
    assert only(of_fleet, "workers")["evidence"] == "5 on 1 node, 4 GPUs"
    assert only(of_fleet, "versions")["severity"] == "ok"
    assert "queues" not in [finding["check"] for finding in of_fleet if finding["severity"] == "error"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sent = grid.task("work").apply_async(vram="200GiB")
    try:
        eventually(lambda: grid.waiting(), "the task waits")
        status, findings, _ = doctor(grid.app)
    finally:
        sent.revoke()
    assert status == 3
    (found,) = [finding for finding in findings if finding["check"] == "queues"]
    assert "has 1 waiting, and no worker looks into it" in found["evidence"]
