"""Real machines with systemd, from the laboratory's `nodes.sh`, and Ansible on them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PLAYBOOKS = ROOT / "ansible"
LAB = Path(os.environ.get("LAB_SCRIPTS", ROOT.parent / "shared" / "lab"))
GPUS = "sim:2x24GiB"
_RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


def missing() -> str | None:
    """Why there can be no machines here; None where there can."""
    if os.geteuid() != 0:
        return "needs root"
    if not (LAB / "nodes.sh").exists():
        return f"needs nodes.sh in the folder that LAB_SCRIPTS names, {LAB}"
    programs = [one for one in ("ansible-playbook", "systemd-nspawn", "debootstrap") if not shutil.which(one)]
    return f"needs {', '.join(programs)}" if programs else None


@dataclass(frozen=True)
class Run:
    """How a playbook ended: its exit status, what it said, its seconds, and how many tasks changed something."""

    status: int
    output: str
    seconds: float

    @property
    def changed(self) -> int:
        """Over all hosts."""
        return sum(int(changed) for _, changed, _, _ in _RECAP.findall(self.output))


class Fleet:
    """Machines, an inventory, and what is installed on them.

    Args:
        folder: for the inventory, secrets and wheels.
        count: how many machines.
        gpus: those of each node.
    """

    def __init__(self, folder: Path, count: int, gpus: str = GPUS) -> None:
        self.folder = folder
        self.gpus = gpus
        self._count = count
        # A folder that stays from run to run: making the machines' base takes a minute.
        self._environment = os.environ | {
            "LAB": os.environ.get("LAB", "/tmp/gridq-fleet"),
            "NET": os.environ.get("NET", "10.218.0"),
            "BR": os.environ.get("BR", "gqfleet0"),
            "TAG": os.environ.get("TAG", "gqf"),
        }
        self.members: dict[str, list[int]] = {}
        self.variables: dict[str, object] = {}
        self.tasks_version = 1
        self.wheel = self._built()

    def name(self, number: int) -> str:
        """The host's name of machine 1, 2, …"""
        return f"{self._environment['TAG']}-n{number}"

    def address(self, number: int) -> str:
        """Its address."""
        return f"{self._environment['NET']}.1{number}"

    def lab(self, *arguments: str) -> str:
        """Run nodes.sh; returns what it says."""
        done = subprocess.run(
            [str(LAB / "nodes.sh"), *arguments], env=self._environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, f"nodes.sh {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def up(self) -> None:
        """Bare machines."""
        self.lab("down")
        self.lab("up", str(self._count))

    def down(self) -> None:
        """No machines; their base stays."""
        self.lab("down")

    def ssh(self, number: int, command: str) -> str:
        """Run a command as root."""
        return self.lab("ssh", str(number), command)

    def play(self, playbook: str, *arguments: str) -> Run:
        """Run a playbook to its end, whatever that is."""
        process, began = self.start(playbook, *arguments), time.monotonic()
        output, _ = process.communicate(timeout=900)
        (self.folder / "ansible.log").open("a").write(output)
        return Run(process.returncode, output, time.monotonic() - began)

    def assert_settled(self, *arguments: str) -> None:
        """site.yml changes nothing any more, nor does --check find anything to change. What it took is printed."""
        run, check = self.play("site", *arguments), self.play("site", "--check", *arguments)
        assert (run.status, run.changed) == (0, 0), run.output[-3000:]
        assert (check.status, check.changed) == (0, 0), check.output[-3000:]
        print(f"\nsecond run: {run.seconds:.0f}s, changed={run.changed}; --check: changed={check.changed}")

    def start(self, playbook: str, *arguments: str) -> subprocess.Popen[str]:
        """Begin to run a playbook."""
        (self.folder / "inventory.yml").write_text(yaml.safe_dump(self._inventory()))
        return subprocess.Popen(
            ["ansible-playbook", "-i", str(self.folder / "inventory.yml"), f"{playbook}.yml", *arguments],
            cwd=PLAYBOOKS,
            env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def producer(self, *arguments: object, **settings: str) -> subprocess.Popen[str]:
        """A program that submits tasks, as Redis' user `producer`, with further settings by their variables' names."""
        # It takes every GRIDQ_… for a setting.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GRIDQ_")}
        return subprocess.Popen(
            [sys.executable, "-m", "tests.deploy.producer", *map(str, arguments)],
            cwd=ROOT,
            env=clean
            | {
                "PYTHONPATH": str(ROOT / "tests" / "deploy"),
                "GRIDQ_BROKER_PASSWORD_FILE": str(self.folder / "secrets" / "redis-producer"),
            }
            | self._broker()
            | settings,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def submitted(self, *arguments: object) -> dict[str, Any]:
        """Submit tasks and wait for them."""
        output, _ = self.producer(*arguments).communicate(timeout=300)
        return dict(json.loads(output))

    def ledger(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """What ran on these machines, in the order of time."""
        lines = "".join(self.ssh(one, "cat /var/lib/gridq/ledger 2>/dev/null || true") for one in numbers)
        return sorted(map(json.loads, lines.splitlines()), key=lambda line: line["at"])

    def status(self, number: int = 1) -> dict[str, Any]:
        """What `gridq status` says there; the operator sits on each host of Redis."""
        return dict(json.loads(self.ssh(number, "gridq status --json || true")))

    def _broker(self) -> dict[str, str]:
        """Where it is, as those outside the fleet are told."""
        query = f"ssl_cert_reqs=required&ssl_ca_certs={self.folder / 'secrets' / 'ca' / 'ca.crt'}"
        hosts = [self.address(one) for one in self.members["redis"]]
        if len(hosts) < 3:
            return {"GRIDQ_BROKER_URL": f"rediss://producer@{hosts[0]}:6379/0?{query}"}
        sentinels = [f"sentinel://producer@{host}:26379/0?{query}" for host in hosts]
        return {"GRIDQ_BROKER_URL": ";".join(sentinels), "GRIDQ_SENTINEL_MASTER": "gridq"}

    def _inventory(self) -> dict[str, Any]:
        numbers = sorted({one for group in self.members.values() for one in group})
        variables = {
            "ansible_user": "ops",
            "ansible_become": True,
            "ansible_ssh_private_key_file": f"{self._environment['LAB']}/id",
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            "gridq_wheel": str(self.wheel),
            "gridq_tls": True,
            # Producers run on this machine.
            "firewall_allowed": [f"{self._environment['NET']}.1"],
            "gridq_gpus": self.gpus,
            "gridq_tasks": ["fleettasks"],
            "gridq_task_wheels": [str(self._tasks_wheel())],
            "gridq_worker_cpu_slots": 1,
            **self.variables,
        }
        hosts = {self.name(one): {"ansible_host": self.address(one)} for one in numbers}
        groups = {name: {"hosts": {self.name(one): {} for one in group}} for name, group in self.members.items()}
        return {"all": {"vars": variables, "hosts": hosts, "children": groups}}

    def _built(self) -> Path:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(self.folder), str(ROOT)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
        return next(self.folder.glob("gridq-*.whl"))

    def _tasks_wheel(self) -> Path:
        """The tasks as a package of the version `tasks_version`."""
        stem = f"fleettasks-{self.tasks_version}"
        wheel = self.folder / f"{stem}-py3-none-any.whl"
        if not wheel.exists():
            with zipfile.ZipFile(wheel, "w") as archive:
                archive.write(ROOT / "tests" / "deploy" / "fleettasks.py", "fleettasks.py")
                meta = f"Metadata-Version: 2.1\nName: fleettasks\nVersion: {self.tasks_version}\n"
                archive.writestr(f"{stem}.dist-info/METADATA", meta)
                archive.writestr(
                    f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
                )
                archive.writestr(f"{stem}.dist-info/RECORD", "")
        return wheel
