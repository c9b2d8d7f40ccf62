"""Prometheus, Flower and nginx of a monitoring host, by the playbooks, on a real machine with TLS."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from grafana import package
from nodes import Fleet, missing

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or ""), pytest.mark.timeout(900)]

PROMETHEUS = "/prometheus/api/v1"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """All of a fleet on one machine, after --check of the bare machine and one run."""
    fleet = Fleet(tmp_path_factory.mktemp("services"), 1)
    fleet.members = {"redis": [1], "gpu_nodes": [1], "monitoring": [1]}
    try:
        fleet.up()
        for arguments in (["--check"], []):
            run = fleet.play("site", *arguments)
            assert run.status == 0, run.output[-3000:]
        yield fleet
    finally:
        fleet.down()


def ask(fleet: Fleet, path: str, password: str | None = None) -> tuple[int, bytes]:
    """What a browser gets that trusts the fleet's authority: status and body."""
    trust = ssl.create_default_context(cafile=str(fleet.folder / "secrets" / "ca" / "ca.crt"))
    request = urllib.request.Request(f"https://{fleet.address(1)}{path}")
    if password:
        request.add_header("Authorization", "Basic " + b64encode(f"admin:{password}".encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=20, context=trust) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def password(fleet: Fleet) -> str:
    """The user admin's."""
    return (fleet.folder / "secrets" / "web-admin").read_text().strip()


def told(fleet: Fleet, path: str) -> Any:
    """What Prometheus' API says."""
    status, body = ask(fleet, PROMETHEUS + path, password(fleet))
    assert status == 200, body
    return json.loads(body)["data"]


def eventually(what: Callable[[], Any], seconds: float) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, f"not within {seconds:g}s"
        time.sleep(0.5)
    return answer


def test_a_second_run_changes_nothing(fleet: Fleet) -> None:
    """Neither does --check find anything to change."""
    fleet.assert_settled()


def test_prometheus_scrapes_the_fleet_and_has_its_rules(fleet: Fleet) -> None:
    """The exporter is up, GPUs are series, and every alert is there."""
    eventually(lambda: told(fleet, "/query?query=gridq_broker_up==1")["result"], 60)
    eventually(lambda: len(told(fleet, "/query?query=gridq_gpu_memory_total_bytes")["result"]) == 2, 60)
    (target,) = told(fleet, "/targets")["activeTargets"]
    assert target["health"] == "up"
    groups = told(fleet, "/rules")["groups"]
    kinds = [rule["type"] for group in groups for rule in group["rules"]]
    assert kinds.count("alerting") >= 10 and kinds.count("recording") >= 1
    print(f"\nPrometheus: {kinds.count('alerting')} alerts, {kinds.count('recording')} recording rules")


def test_nobody_comes_in_without_the_password(fleet: Fleet) -> None:
    """Not to Flower, nor to those of its pages that ask nobody, nor to Prometheus."""
    for path in ("/flower/", "/flower/metrics", "/flower/healthcheck", f"{PROMETHEUS}/targets"):
        assert ask(fleet, path)[0] == 401, path
        assert ask(fleet, path, "wrong")[0] == 401, path


def test_flower_shows_the_gpus_to_who_has_the_password(fleet: Fleet) -> None:
    """Both simulated ones, by way of nginx."""
    status, body = ask(fleet, "/flower/", password(fleet))
    assert status == 200 and b"Flower" in body
    status, body = ask(fleet, "/flower/gpus?json=1", password(fleet))
    assert status == 200 and len(json.loads(body)["gpus"]) == 2


def test_only_nginx_listens_to_others(fleet: Fleet) -> None:
    """Flower, Prometheus and the exporter are on the loopback address."""
    lines = fleet.ssh(1, "ss -Hltn").splitlines()
    local = [line.split()[3] for line in lines]
    open_ports = {one.rpartition(":")[2] for one in local if not one.startswith(("127.", "[::1]"))}
    assert open_ports == {"22", "443", "6379"}


def test_no_secret_is_where_others_can_read_it(fleet: Fleet) -> None:
    """Not in units, processes, journals, or Ansible's output."""
    secrets = [one.read_text().strip() for one in (fleet.folder / "secrets").glob("*-*")]
    assert len(secrets) >= 7
    said = (fleet.folder / "ansible.log").read_text() + fleet.ssh(
        1,
        "systemctl cat 'gridq-*' prometheus nginx; ps axeww; journalctl --no-pager; "
        "runuser -u nobody -- grep -rs . /etc/gridq /etc/nginx /etc/prometheus || true",
    )
    # The salt stands in hashes that root and nginx alone can read.
    assert not [secret for secret in secrets if secret in said]


def test_flowers_unit_is_hardened(fleet: Fleet) -> None:
    """What systemd itself calls OK: an exposure below 2 of 10."""
    rows = json.loads(fleet.ssh(1, "systemd-analyze security --json=short --no-pager"))
    (exposure,) = [float(row["exposure"]) for row in rows if row["unit"] == "gridq-flower.service"]
    assert exposure < 2.0


def test_without_a_package_there_is_no_grafana(fleet: Fleet) -> None:
    """The run says so; nginx knows of none."""
    assert "gets no Grafana" in (fleet.folder / "ansible.log").read_text()
    assert ask(fleet, "/grafana/", password(fleet))[0] == 404
    assert fleet.ssh(1, "ls -d /etc/grafana /etc/systemd/system/grafana* 2>/dev/null || true") == ""


def test_a_package_of_grafana_is_set_up_behind_nginx(fleet: Fleet) -> None:
    """One that stands in for it: it is told where its data are, and its administrator's password, by a file alone."""
    arguments = ("--tags", "grafana,nginx", "-e", f"grafana_deb={package(fleet.folder)}")
    check, run, again = fleet.play("site", "--check", *arguments), *(fleet.play("site", *arguments) for _ in range(2))
    assert check.status == 0, check.output[-3000:]
    assert run.status == 0, run.output[-3000:]
    assert (again.status, again.changed) == (0, 0), again.output[-3000:]
    assert ask(fleet, "/grafana/api/health")[0] == 401
    status, body = ask(fleet, "/grafana/api/health", password(fleet))
    answer = json.loads(body)
    assert status == 200 and answer["path"] == "/grafana/api/health"
    assert "Authorization" not in answer["headers"], "Grafana would take it for its own"
    told, secret = answer["told"], (fleet.folder / "secrets" / "grafana-admin").read_text().strip()
    assert told["GF_SECURITY_ADMIN_PASSWORD"] == secret
    assert told["GF_SERVER_ROOT_URL"] == f"https://{fleet.address(1)}/grafana/"
    assert '"status":"success"' in fleet.ssh(1, _fetch(f"{told['GRIDQ_PROMETHEUS_URL']}/api/v1/query?query=1"))
    assert len(fleet.ssh(1, "ls /etc/grafana/dashboards/gridq/*.json").split()) == 3
    provisioned = fleet.ssh(1, "cat /etc/grafana/provisioning/*/gridq.yml")
    assert "/etc/grafana/dashboards/gridq" in provisioned and "GRIDQ_PROMETHEUS_URL" in provisioned
    assert fleet.ssh(1, "ss -Hltn sport = :3000").split()[3] == "127.0.0.1:3000"
    seen = fleet.ssh(1, "systemctl cat grafana-server; ps axeww; runuser -u nobody -- grep -rs . /etc/grafana || true")
    assert secret not in seen and secret not in (fleet.folder / "ansible.log").read_text()


def _fetch(url: str) -> str:
    return f"python3 -c \"import urllib.request as u; print(u.urlopen('{url}').read().decode())\""
