"""The exporter beside a real fleet and over real sockets: its numbers are what happened."""

from __future__ import annotations

import base64
import gzip
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from fleet import NODE, Fleet, eventually
from prometheus_client.parser import text_string_to_metric_families

from gridq.broker.server import LocalServer
from gridq.errors import ConfigError
from gridq.exporter.logins import Logins, hashed
from gridq.exporter.scrape import Scraper
from gridq.exporter.server import Listening, Server
from gridq.store.client import Client


@contextmanager
def serving(listening: Listening, text: Callable[[], bytes]) -> Iterator[str]:
    """A server on a free port, by the address of /metrics."""
    with Server(listening, text) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()


def scraper(url: str) -> Scraper:
    """One of the broker at this address."""
    return Scraper(lambda: Client(redis.ConnectionPool.from_url(url, socket_timeout=5)), "9.9")


def fetch(url: str, *, context: ssl.SSLContext | None = None, **headers: str) -> str:
    """The text that is there."""
    request = urllib.request.Request(url, headers={name.replace("_", "-"): text for name, text in headers.items()})
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        body = answer.read()
        return (gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body).decode()


class Scraped:
    """The series of one scrape.

    Args:
        text: as Prometheus gets it.
    """

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float | None:
        """The value of the one series that has these labels among its own; None where there is none."""
        found = [each.value for each in self.samples if each.name == name and labels.items() <= each.labels.items()]
        assert len(found) < 2, found
        return found[0] if found else None

    def labels(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {sample.labels[label] for sample in self.samples if label in sample.labels and sample.name == name}


@pytest.fixture(scope="module")
def fleet(new_fleet: Callable[..., Fleet]) -> Iterator[Fleet]:
    """Two GPU workers whose leases are short."""
    made = new_fleet("sim:2x24GiB", lease="3s")
    with made.at_work(2):
        yield made


@pytest.fixture(scope="module")
def scrape(fleet: Fleet) -> Iterator[Callable[[], Scraped]]:
    """Scrapes the fleet over HTTP."""
    with serving(Listening("127.0.0.1", 0), scraper(fleet.database.url).text) as url:
        yield lambda: Scraped(fetch(url))


def test_the_numbers_are_what_happened(fleet: Fleet, scrape: Callable[[], Scraped]) -> None:
    fleet.results([fleet.task("work").delay() for _ in range(3)])
    fleet.task("flaky").delay(1, 0).get(timeout=30)
    broken = fleet.task("broken").delay()
    fleet.await_state(broken.id, "failed")
    later = fleet.task("work").apply_async(countdown=3600)
    seen = scrape()
    completed = {
        (task, outcome): seen.value("gridq_tasks_completed_total", task=f"shop.{task}", outcome=outcome)
        for task in ("work", "flaky", "broken")
        for outcome in ("done", "failed", "cancelled", "dead")
    }
    assert {key: count for key, count in completed.items() if count} == {
        ("work", "done"): 3,
        ("flaky", "done"): 1,
        ("broken", "failed"): 1,
    }
    assert seen.value("gridq_tasks_submitted_total", task="shop.work") == 4
    assert seen.value("gridq_tasks_retried_total", task="shop.flaky") == 1
    assert seen.value("gridq_claims_total") == 6
    assert seen.value("gridq_task_wait_seconds_count", task="shop.work") == 3
    assert seen.value("gridq_task_run_seconds_count", task="shop.work") == 3
    assert seen.value("gridq_router_decision_seconds_count") == 7
    assert seen.value("gridq_tasks_delayed") == 1
    assert seen.value("gridq_tasks_running") == 0
    fleet.app.control.revoke(later.id)
    eventually(lambda: scrape().value("gridq_tasks_delayed") == 0, "the delayed task is cancelled")


def test_a_fleet_at_work_shows_who_works_and_what_waits(
    fleet: Fleet, scrape: Callable[[], Scraped], signal_file: Path
) -> None:
    sent = [fleet.task("wait_for").apply_async([str(signal_file)], vram="8GiB") for _ in range(3)]
    eventually(lambda: scrape().value("gridq_tasks_running") == 2, "both run")
    seen = eventually(
        lambda: (now := scrape()).value("gridq_worker_slots_used", worker=f"gpu0@{NODE}") == 1 and now, "gpu0 says it"
    )
    assert seen.value("gridq_tasks_waiting", queue="gpu.8g", **{"class": "8g"}) == 1
    assert 0 < (seen.value("gridq_tasks_waiting_oldest_seconds", queue="gpu.8g") or 0) < 60
    assert seen.value("gridq_queue_consumers", queue="gpu.8g") == 2
    for device in fleet.devices:
        assert seen.value("gridq_gpu_verdict", uuid=device.uuid, verdict="healthy") == 1
        assert seen.value("gridq_gpu_memory_total_bytes", uuid=device.uuid) == device.memory_total
    assert seen.value("gridq_worker_broker_round_trip_seconds", worker=f"gpu0@{NODE}") is not None
    signal_file.touch()
    fleet.results(sent)
    fleet.await_idle()


def test_errors_and_memory_of_others_are_told_by_the_worker(fleet: Fleet, scrape: Callable[[], Scraped]) -> None:
    uuid = fleet.devices[0].uuid
    for _ in range(2):
        fleet.sim.raise_xid(uuid, 31)
    eventually(lambda: scrape().value("gridq_gpu_xid_errors_total", uuid=uuid, xid="31") == 2, "both are counted")


def test_time_in_which_a_worker_leaves_work_alone_is_counted(
    fleet: Fleet, scrape: Callable[[], Scraped], signal_file: Path
) -> None:
    name = f"gpu1@{NODE}"
    assert not scrape().value("gridq_gpu_idle_while_waiting_seconds_total", uuid=fleet.devices[1].uuid)
    fleet.app.control.broadcast("hang", arguments={"until": str(signal_file)}, destination=[name])
    sent = fleet.task("work").apply_async(queue=name)
    idle = "gridq_gpu_idle_while_waiting_seconds_total"
    eventually(lambda: (scrape().value(idle, uuid=fleet.devices[1].uuid) or 0) > 0.4, "the idle time is counted")
    assert scrape().value("gridq_tasks_waiting", queue=name, **{"class": "own"}) == 1
    signal_file.touch()
    sent.get(timeout=30)
    assert scrape().value(idle, uuid=fleet.devices[0].uuid) == 0


def test_the_series_of_a_killed_worker_end_with_its_lease_and_its_task_is_a_requeue(
    fleet: Fleet, scrape: Callable[[], Scraped], signal_file: Path
) -> None:
    fleet.await_idle()
    sent = fleet.task("wait_for").delay(str(signal_file))
    victim = fleet.await_state(sent.id, "running").worker
    assert victim is not None and victim in scrape().labels("gridq_worker_info", "worker")
    node = fleet.node(victim)
    node.container.may_end = True
    node.kill()
    seen = eventually(
        lambda: (now := scrape()).value("gridq_leases_expired_total") == 1 and now, "its lease is taken from it"
    )
    assert seen.value("gridq_requeues_total", cause="lease_expired") == 1
    (other,) = {f"gpu0@{NODE}", f"gpu1@{NODE}"} - {victim}
    for name in ("gridq_worker_info", "gridq_worker_slots", "gridq_gpu_info"):
        assert seen.labels(name, "worker") == {other}
    assert len(seen.labels("gridq_gpu_temperature_celsius", "uuid")) == 1
    signal_file.touch()
    assert sent.get(timeout=30)["worker"] == other


# -- sockets


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    made = ["-keyout", str(key), "-out", str(cert), "-subj", "/CN=exporter", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run([program("openssl"), "req", "-x509", "-nodes", *curve, *made], check=True, capture_output=True)
    return cert, key


def status(url: str, **words: Any) -> int:
    """The status of a refusal."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        fetch(url, **words)
    refused.value.close()
    return refused.value.code


def test_scrapes_come_over_tls_and_with_a_password_where_that_is_asked_for(certificate: tuple[Path, Path]) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    logins = Logins({"prometheus": hashed("secret")})
    right = "Basic " + base64.b64encode(b"prometheus:secret").decode()
    with serving(Listening("127.0.0.1", 0, certificate, logins), lambda: b"up 1\n") as url:
        assert url.startswith("https://127.0.0.1:")
        assert fetch(url, context=trusting, Authorization=right) == "up 1\n"
        assert fetch(url, context=trusting, Authorization=right, Accept_Encoding="gzip") == "up 1\n"
        assert status(url, context=trusting) == 401
        assert status(url, context=trusting, Authorization=right + "=") == 401
        assert fetch(url.replace("/metrics", "/healthz"), context=trusting) == "ok\n"
        assert status(url.replace("/metrics", "/other"), context=trusting) == 401
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            fetch(url, context=ssl.create_default_context())


def test_a_client_that_says_nothing_keeps_no_other_waiting(certificate: tuple[Path, Path]) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    with serving(Listening("127.0.0.1", 0, certificate), lambda: b"up 1\n") as url:
        port = int(url.rsplit(":", 1)[1].partition("/")[0])
        with socket.create_connection(("127.0.0.1", port)):
            assert fetch(url, context=trusting) == "up 1\n"


def test_other_pages_are_not_there_and_a_failed_look_is_a_failed_scrape() -> None:
    def fail() -> bytes:
        raise KeyError("secret")

    with serving(Listening("127.0.0.1", 0), fail) as url:
        assert status(url) == 500
        assert status(url.replace("/metrics", "/")) == 404


def test_a_port_that_is_taken_and_a_key_that_is_none_are_told_at_once(certificate: tuple[Path, Path]) -> None:
    with serving(Listening("127.0.0.1", 0), lambda: b"") as url:
        port = int(url.rsplit(":", 1)[1].partition("/")[0])
        with pytest.raises(ConfigError, match=f"a free port, got 127.0.0.1 port {port}"):
            Server(Listening("127.0.0.1", port), lambda: b"")
    cert, _ = certificate
    with pytest.raises(ConfigError, match="expected a certificate in"):
        Server(Listening("127.0.0.1", 0, (cert, cert)), lambda: b"")


def test_while_the_broker_is_away_that_is_all_that_is_shown_and_later_the_fleet_again(tmp_path: Path) -> None:
    address: list[str] = []
    made = Scraper(lambda: Client(redis.ConnectionPool.from_url(address[-1], socket_timeout=5)), "9.9")
    with serving(Listening("127.0.0.1", 0), made.text) as url:
        with LocalServer(tmp_path / "run") as first:
            address.append(first.url)
            assert Scraped(fetch(url)).value("gridq_broker_up") == 1
        away = Scraped(fetch(url))
        assert {sample.name for sample in away.samples} == {"gridq_broker_up", "gridq_build_info"}
        assert away.value("gridq_broker_up") == 0
        with LocalServer(tmp_path / "run") as second:
            address.append(second.url)
            assert Scraped(fetch(url)).value("gridq_claims_total") == 0
