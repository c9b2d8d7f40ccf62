"""`gridq flower` in a real browser, with a fleet of real workers on simulated GPUs."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shop
from click.testing import CliRunner
from container import Process
from fleet import DEADLINE, NODE, Fleet, eventually
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from gridq import config
from gridq.broker.server import LocalServer
from gridq.cli.flower import command
from gridq.cli.session import Session
from gridq.errors import BrokerError, GridqError

NAME, PASSWORD = "ada", "engine-of-1843"
NAMES = [f"gpu0@{NODE}", f"gpu1@{NODE}"]
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1400,900"
)


class Site:
    """A running `gridq flower`, and who asks it."""

    def __init__(self, process: Process, *, authority: str = "") -> None:
        self.process = process
        self._authority = authority
        found = eventually(self._url, f"Flower says its URL\n{process.logs()}")
        self.url = found[1]

    def _url(self) -> re.Match[str] | None:
        if self.process.status != "running":
            pytest.fail(self.process.logs())
        return re.search(r"^flower +(http://\S+)", self.process.logs(), re.M)

    @property
    def open_url(self) -> str:
        """The URL with its credentials, as people put it into a browser."""
        return self.url.replace("://", f"://{self._authority}@") if self._authority else self.url

    def ask(self, path: str, *, anonymous: bool = False) -> tuple[int, str]:
        """Status and text of a page."""
        request = urllib.request.Request(self.url + path)
        if self._authority and not anonymous:
            word = base64.b64encode(self._authority.encode()).decode()
            request.add_header("Authorization", f"Basic {word}")
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path: str) -> Any:
        """What a page says in JSON."""
        return json.loads(self.ask(path)[1])

    def stop(self) -> int:
        """End it as an operator does."""
        self.process.may_end = True
        self.process.kill("SIGTERM")
        return self.process.wait()


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of credentials."""
    path = tmp_path_factory.mktemp("flower") / "flower.auth"
    path.write_text(f"# who may come in\n\n{NAME}:{PASSWORD}\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def hall(new_fleet: Callable[..., Fleet], passwords: Path) -> Iterator[tuple[Fleet, Site]]:
    """Two GPU workers that tell nothing of their tasks by themselves, and a Flower that was there before them."""
    fleet = new_fleet("sim:24GiB,80GiB", cpu_weight="0")
    try:
        site = Site(start(fleet, "--basic-auth-file", str(passwords)), authority=f"{NAME}:{PASSWORD}")
        fleet.start_gpu_workers(2)
        fleet.await_idle()
        yield fleet, site
    finally:
        fleet.stop()


def start(fleet: Fleet, *options: str) -> Process:
    """Start `gridq flower` on a free port."""
    label = f"flower{len(fleet.others)}"
    return fleet.run(label, "-m", "gridq.cli", "-A", "shop", "flower", "--port", "0", *options)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A real Chromium without a window."""
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not (chromium and driver):
        missing = "no chromium and chromedriver on PATH (Debian: chromium-driver)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    options = ChromeOptions()
    options.binary_location = chromium
    for word in [*CHROMIUM.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(word)
    made = Chrome(options=options, service=ChromeService(driver))
    try:
        yield made
    finally:
        made.quit()


def text(browser: Chrome, selector: str) -> str:
    """All that the elements show; empty while the page is being built."""
    try:
        return "\n".join(found.text for found in browser.find_elements(By.CSS_SELECTOR, selector))
    except WebDriverException:
        return ""


def awaited(browser: Chrome, selector: str, *words: str) -> str:
    """What the elements show once they show all of these words."""

    def shown() -> str | None:
        found = text(browser, selector)
        return found if all(word in found for word in words) else None

    return eventually(shown, f"{selector} shows {words}, not:\n{text(browser, 'body')}")


def test_flower_knows_workers_that_came_after_it_by_their_gpus(hall: tuple[Fleet, Site]) -> None:
    _, site = hall
    eventually(lambda: set(site.json("/api/workers")) >= set(NAMES), "Flower has asked both workers who they are")
    # Flower asks the workers anew, and waits a second for their answers.
    stats = eventually(lambda: site.json("/api/workers?refresh=1")[NAMES[1]].get("stats"), "the worker has answered")
    assert (stats["gpu1_verdict"], stats["gpu1_memory_total_gib"]) == ("healthy", 80)
    assert all(isinstance(value, str | int | float) for name, value in stats.items() if name.startswith("gpu"))


def test_nothing_but_the_health_check_answers_without_credentials(hall: tuple[Fleet, Site]) -> None:
    _, site = hall
    paths = ["/", "/gpus", "/gpus?json=1", "/metrics", "/tasks", "/api/workers"]
    assert {path: site.ask(path, anonymous=True)[0] for path in paths} == dict.fromkeys(paths, 401)
    assert {path: site.ask(path)[0] for path in paths} == dict.fromkeys(paths, 200)
    assert site.ask("/healthcheck", anonymous=True) == (200, "OK")


def test_the_page_of_gpus_shows_each_gpu_and_what_it_runs(
    hall: tuple[Fleet, Site], browser: Chrome, signal_file: Path
) -> None:
    fleet, site = hall
    handle = fleet.task("wait_for").apply_async((str(signal_file),), vram="70GiB")
    browser.get(f"{site.open_url}/gpus")
    rows = awaited(browser, "#gpus-table tbody", "shop.wait_for")
    assert [line.split()[:2] for line in rows.splitlines() if line.startswith(NODE)] == [[NODE, "gpu0"], [NODE, "gpu1"]]
    assert text(browser, "#gpus-running") == "1 / 2"
    assert text(browser, ".nav-link.active") == "GPUs"
    fleet.sim.set(fleet.devices[0].uuid, temperature=99)
    try:
        awaited(browser, "#gpus-table tbody", "unhealthy", "99 °C", "hot: 99°C")
    finally:
        fleet.sim.reset(fleet.devices[0].uuid)
    browser.find_element(By.LINK_TEXT, f"shop.wait_for {handle.id[:8]}").click()
    awaited(browser, "body", handle.id, "STARTED", NAMES[1])
    signal_file.touch()
    handle.get(timeout=DEADLINE)


def test_the_tasks_page_shows_fifty_tasks(hall: tuple[Fleet, Site], browser: Chrome) -> None:
    fleet, site = hall
    fleet.await_idle()
    handles = [fleet.task("work").delay() for _ in range(50)]
    fleet.results(handles)
    ids = {handle.id for handle in handles}
    eventually(lambda: ids <= site.json("/api/tasks?limit=1000&state=SUCCESS").keys(), "Flower knows that all are done")
    browser.get(f"{site.open_url}/tasks")
    awaited(browser, "#tasks-table tbody", "shop.work", "SUCCESS")
    browser.find_element(By.CSS_SELECTOR, "#tasks-table_length select option[value='100']").click()
    awaited(browser, "#tasks-table tbody", *ids)


def test_the_page_of_a_worker_shows_the_verdict_on_its_gpu(hall: tuple[Fleet, Site], browser: Chrome) -> None:
    _, site = hall
    browser.get(f"{site.open_url}/worker/{NAMES[1]}")
    awaited(browser, "#workername", NAMES[1])
    browser.find_element(By.ID, "worker-tab-other").click()
    shown = awaited(browser, "#tab-other", "gpu1_verdict healthy", "gpu1_memory_total_gib 80")
    assert "{" not in shown
    browser.find_element(By.LINK_TEXT, "GPUs").click()
    awaited(browser, "#gpus-table tbody", "healthy")


def test_the_password_of_the_broker_is_shown_nowhere(hall: tuple[Fleet, Site]) -> None:
    fleet, site = hall
    secret = re.search(r":([^:@/]+)@", fleet.database.url)
    assert secret is not None and len(secret[1]) > 8
    pages = ["/", "/broker", "/tasks", "/gpus", "/metrics", f"/worker/{NAMES[0]}", "/api/workers?refresh=1"]
    told = {path: site.ask(path) for path in pages}
    assert {path for path, (status, words) in told.items() if status != 200 or secret[1] in words} == set()
    assert "redis://" in told["/broker"][1]
    command = Path(f"/proc/{site.process.id}/cmdline").read_text()
    assert secret[1] not in site.process.logs() + command
    assert PASSWORD not in site.process.logs() + command


def test_its_history_outlives_it_and_workers_tell_of_tasks_only_while_it_runs(
    hall: tuple[Fleet, Site], passwords: Path
) -> None:
    fleet, site = hall
    handle = fleet.task("work").delay()
    handle.get(timeout=DEADLINE)
    eventually(lambda: handle.id in site.json("/api/tasks?limit=1000&state=SUCCESS"), "Flower knows that it is done")
    seen = site.json("/api/tasks?limit=1000").keys()
    assert site.stop() == 0, site.process.logs()
    asked = fleet.app.control.enable_events(reply=True, timeout=10, limit=2)
    assert [answer["ok"] for each in asked for answer in each.values()] == ["task events enabled"] * 2
    again = Site(start(fleet, "--basic-auth-file", str(passwords)), authority=f"{NAME}:{PASSWORD}")
    assert again.json("/api/tasks?limit=1000").keys() == seen
    assert again.stop() == 0


def test_it_says_that_there_is_no_gpu_and_that_the_broker_is_away(
    new_fleet: Callable[..., Fleet], browser: Chrome, tmp_path: Path
) -> None:
    fleet = new_fleet("sim:24GiB")
    with LocalServer(tmp_path / "server").start() as server:
        fleet.variables |= {"GRIDQ_BROKER_URL": server.url, "GRIDQ_RESULT_BACKEND": server.url}
        site = Site(start(fleet))
        browser.get(f"{site.url}/gpus")
        awaited(browser, "#gpus-none", "No living worker holds a GPU")
    awaited(browser, "#gpus-error", "expected a broker at redis://", "Connection refused")
    assert site.ask("/gpus?json=1")[0] == 503
    site.process.teardown()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], ["expected credentials for 0.0.0.0", "--basic-auth-file"]),
        (["--basic-auth-file", "nobody.auth"], ["nobody.auth: expected a readable file", "openssl rand"]),
        (["--db", "nowhere/history"], ["expected the folder", "mkdir"]),
        ([], ["FLOWER_… variables", "'tcp://10.0.0.7:5555'", "Kubernetes"]),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    options: list[str], words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not options:
        monkeypatch.setenv("FLOWER_PORT", "tcp://10.0.0.7:5555")
    app = shop.build(config.load(environ={"GRIDQ_BROKER_URL": "redis://127.0.0.1:1/0"}))
    done = CliRunner().invoke(command, ["--port", "0", *options], obj=Session(app=app))
    assert isinstance(done.exception, GridqError) and not isinstance(done.exception, BrokerError)
    assert all(word in str(done.exception) for word in words), done.exception
