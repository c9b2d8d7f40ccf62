"""A real Docker engine, and one deployment of docker-compose.yml on it."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPT = Path(os.environ.get("LAB_SCRIPTS", ROOT.parent / "shared" / "lab")) / "engine.sh"

#: The lab's images have these versions; nginx it has none.
VERSIONS = {"PROMETHEUS_VERSION": "v2.42.0", "GRAFANA_VERSION": "latest", "NGINX_VERSION": "lab"}
#: Images are there once `prepare` has ended; asking apt for its mirror at each call would take longer than most calls.
QUICKLY = {"MIRROR": "none"}
NGINX = """\
FROM debian:bookworm-slim
RUN apt-get update -qq && apt-get install -y -qq nginx-light && rm -rf /var/lib/apt/lists/*
"""


def missing() -> str | None:
    """What this machine lacks for an engine of its own, if anything."""
    if not SCRIPT.exists():
        return f"expected the lab's engine.sh in the folder that LAB_SCRIPTS names, found no {SCRIPT}"
    if os.geteuid() != 0:
        return "a Docker engine needs root"
    return None


def engine(*arguments: str, **options: Any) -> str:
    """Run the lab's script; what it prints.

    Raises:
        AssertionError: with all that was said, when it fails.
    """
    options = {"capture_output": True, "text": True, "timeout": 600} | options
    done = subprocess.run([str(SCRIPT), *arguments], cwd=ROOT, **options)
    assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
    return str(done.stdout)


def prepare() -> Callable[[], None]:
    """Bring the engine up, with its images; returns what brings it down again, if nobody had it up before."""
    ran = subprocess.run([SCRIPT, "docker", "info"], capture_output=True).returncode == 0
    engine("up")
    engine("images")
    engine("docker", "build", "-q", "--network", "host", "-t", "nginx:lab", "-", input=NGINX)
    return (lambda: None) if ran else (lambda: (engine("down"), None)[1])


@dataclass(frozen=True)
class Deployment:
    """One project on the engine.

    Attributes:
        name: of the project, which is part of the name of each of its containers and volumes.
        folder: for the tasks and their ledger.
    """

    name: str
    folder: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What .env would say."""
        own = {"TASKS_DIR": str(self.folder / "tasks"), "GRIDQ_TASKS": "shop", "COMPOSE_PROFILES": "sim,tls"}
        return os.environ | QUICKLY | VERSIONS | own

    @property
    def command(self) -> list[str]:
        """Compose with the product's file, and the ledger mounted."""
        files = ["-f", str(ROOT / "docker-compose.yml"), "-f", str(self.folder / "ledger.yml")]
        return ["compose", "-p", self.name, "--project-directory", str(ROOT), *files]

    def compose(self, *arguments: str) -> str:
        """Run a command of Compose; what it prints on stdout."""
        return engine(*self.command, *arguments, env=self.environment)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin a command of Compose."""
        command = [str(SCRIPT), *self.command, *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, text=True)

    def gridq(self, *arguments: str) -> Any:
        """What a listing of gridq says, by an operator."""
        return json.loads(self.compose("run", "--rm", "-T", "gridq", *arguments, "--json"))

    def containers(self, service: str) -> list[dict[str, Any]]:
        """All that the engine knows of a service's containers."""
        ids = self.compose("ps", "-aq", service).split()
        inspected: list[dict[str, Any]] = json.loads(engine("docker", "inspect", *ids, env=os.environ | QUICKLY))
        return inspected

    def get(self, url: str, *options: str) -> tuple[int, str]:
        """Status and text of a page, as this machine's browser sees it."""
        text = engine("net", "curl", "-sS", "-w", "\n%{http_code}", *options, url, env=os.environ | QUICKLY)
        body, _, status = text.rpartition("\n")
        return int(status), body

    def ledger(self, event: str) -> Counter[str]:
        """How often each task wrote that event."""
        file = self.folder / "ledger" / "lines"
        lines = file.read_text().splitlines() if file.exists() else []
        return Counter(line.split()[1] for line in lines if line.split()[0] == event)
