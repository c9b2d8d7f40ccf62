"""A real Prometheus with the project's own configuration, in which every duration is shorter by the same factor."""

from __future__ import annotations

import json
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from container import Process

DEPLOY = Path(__file__).parents[2] / "deploy"
#: 15 s between scrapes become a quarter of a second, a minute becomes one second.
FASTER = 60
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(?P<before>\[|offset |for: )(?P<number>\d+)(?P<unit>[smh])\b")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def quicker(rules: str) -> str:
    """The same rules with ranges, offsets and `for:` that are shorter."""

    def shorter(match: re.Match[str]) -> str:
        seconds = int(match["number"]) * _SECONDS[match["unit"]]
        return f"{match['before']}{seconds * 1000 // FASTER}ms"

    return _DURATION.sub(shorter, rules)


class Prometheus:
    """A server that scrapes one exporter; started by `start`, and ready when `is_ready` says so.

    Args:
        folder: for its files.
        exporter: the port of the exporter on this machine.
    """

    def __init__(self, folder: Path, exporter: int) -> None:
        self._folder = folder
        self._port = free_port()
        folder.mkdir()
        for name in ("rules.yml", "alerts.yml"):
            (folder / name).write_text(quicker((DEPLOY / "prometheus" / name).read_text("utf-8")))
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text("utf-8"))
        interval = f"{15_000 // FASTER}ms"
        config["global"] = dict.fromkeys(("scrape_interval", "evaluation_interval", "scrape_timeout"), interval)
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{exporter}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def start(self, program: str) -> Process:
        """Start it; whoever does so ends the process."""
        options = {"config.file": "prometheus.yml", "storage.tsdb.path": "data", "log.level": "warn"}
        listen = f"--web.listen-address=127.0.0.1:{self._port}"
        command = [program, listen, *(f"--{name}={value}" for name, value in options.items())]
        return Process(command, {"PATH": ""}, self._folder / "prometheus.log")

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/-/ready", timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError):
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now, each with `metric` (its labels) and `value` ([time, text])."""
        answer: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return answer

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """The labels of every alert that fires, by its name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self._ask("alerts")["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    def troubles(self) -> list[str]:
        """What went wrong with any rule when it was last evaluated."""
        rules = [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]
        return [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule.get("lastError")]

    def _ask(self, what: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self._port}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{parameters}: {error.read().decode()}") from None
