"""A fleet on Redis with TLS alone, a user for each role, and Sentinels, by gridq's own settings: through a failover."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import shop
from container import Process
from fleet import NODE, eventually
from ledger import VARIABLE, Ledger

from gridq import config
from gridq.broker.connection import open_client
from gridq.errors import UnconfirmedError
from gridq.store import acl, workers
from tests.chaos.sentinels import MASTER, REPLICA, SENTINEL, Lab

ROOT = Path(__file__).parents[2]
#: Tasks a second, and how many: the failover comes after a third of them.
RATE, TASKS = 20, 300


class Guarded:
    """The servers of the laboratory with the users of `gridq acl`, and programs of each role.

    Args:
        folder: for data, certificates, passwords and output.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passwords = {role: f"{role}-{os.urandom(12).hex()}/@:" for role in acl.ROLES}
        users = [f"user {role} on >{self.passwords[role]} {' '.join(acl.rules(role))}" for role in acl.ROLES]
        users += [
            acl.DEFAULT_USER,
            "user ops on >ops-pass ~* &* +@all",
            f"user repl on >{REPLICA} +psync +replconf +ping",
        ]
        users += [
            f"user sentinel on >{SENTINEL} allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role "
            "+publish +info +client|setname +client|kill +script|kill"
        ]
        self.lab = Lab(folder / "lab", access_list="\n".join(users) + "\n")
        self.ledger = Ledger(folder / "ledger")
        self.processes: list[Process] = []
        for role, password in self.passwords.items():
            file = folder / f"{role}-password"
            file.touch(mode=0o600)
            file.write_text(password)

    def variables(self, role: str) -> dict[str, str]:
        """gridq's settings for a program of that role: all that anybody has to say."""
        tls = f"ssl_cert_reqs=required&ssl_ca_certs={self.lab.folder / 'ca.crt'}"
        sentinels = [f"sentinel://{role}@127.0.0.1:{port}/0?{tls}" for port in self.lab.sentinels]
        return {
            "GRIDQ_BROKER_URL": ";".join(sentinels),
            "GRIDQ_BROKER_PASSWORD_FILE": str(self.folder / f"{role}-password"),
            "GRIDQ_SENTINEL_MASTER": MASTER,
            "GRIDQ_RUNTIME_DIR": str(self.folder / "run"),
            "GRIDQ_GPUS": "sim:2x24GiB",
            "GRIDQ_NODE": NODE,
            "GRIDQ_CONFIRM": "replica" if role == "producer" else "none",
        }

    def environment(self, role: str) -> dict[str, str]:
        """The environment of such a program."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("GRIDQ_", "CELERY_"))}
        path = os.pathsep.join([str(ROOT / "tests" / "integration"), str(ROOT)])
        return clean | self.variables(role) | {"PYTHONPATH": path, VARIABLE: str(self.ledger.path)}

    def start(self, role: str, label: str, *arguments: str) -> Process:
        """A program that goes on: `python …`."""
        process = Process([sys.executable, *arguments], self.environment(role), self.folder / f"{label}.log")
        self.processes.append(process)
        return process

    def gridq(self, role: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A gridq command that ends."""
        command = [sys.executable, "-m", "gridq.cli", "-A", "shop", *arguments]
        return subprocess.run(command, env=self.environment(role), capture_output=True, text=True, timeout=60)

    def app(self, role: str) -> Any:
        """The shop, as a program of that role has it."""
        return shop.build(config.load(environ=self.variables(role)))

    def logs(self) -> dict[str, str]:
        """What every program has said."""
        return {process.name: process.logs() for process in self.processes}

    def stop(self) -> None:
        """Leave nothing behind."""
        for process in self.processes:
            process.teardown()
        self.lab.stop()


@pytest.fixture
def guarded(tmp_path: Path, program: Callable[[str], str]) -> Iterator[Guarded]:
    """The servers, two GPU workers and a CPU worker."""
    for name in ("redis-server", "redis-sentinel", "openssl"):
        program(name)
    made = Guarded(tmp_path)
    try:
        made.lab.start()
        for label, queue in (("gpu0", "gpu"), ("gpu1", "gpu"), ("cpu", "cpu")):
            made.start("worker", label, "-m", "celery", "-A", "shop", "worker", "-Q", queue, "-l", "INFO", "-c", "1")
        client = open_client(made.app("monitor"))
        eventually(lambda: len(workers.living(client)) == 3, f"three workers live\n{made.logs()}", timeout=60)
        client.close()
        yield made
    finally:
        made.stop()


def test_tasks_go_on_through_a_failover_and_none_is_lost(guarded: Guarded) -> None:
    app = guarded.app("producer")
    assert app.tasks["shop.add"].delay(1, 2).get(timeout=30) == 3
    began, handles = time.monotonic(), list[Any]()
    with ThreadPoolExecutor(1) as pool:
        for number in range(TASKS):
            if number == TASKS // 3:
                back = pool.submit(_fail_over, guarded.lab)
            handles.append(_submit(app))
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
        back.result()
    for handle in handles:
        handle.get(timeout=90)
    took = time.monotonic() - began
    runs = Counter(run.task for run in guarded.ledger.runs([handle.id for handle in handles]))
    lost = {handle.id for handle in handles} - set(runs)
    duplicated = sum(count > 1 for count in runs.values())
    print(f"submitted {TASKS}, lost {len(lost)}, duplicated {duplicated}, in {took:.1f}s")
    assert lost == set()

    status = guarded.gridq("monitor", "status")
    assert status.returncode == 0, status.stdout + status.stderr
    assert "sentinel://monitor:***@" in status.stdout
    drained = guarded.gridq("operator", "drain", f"gpu0@{NODE}", "--wait")
    assert drained.returncode == 0, drained.stdout + drained.stderr
    refused = guarded.gridq("monitor", "undrain", f"gpu0@{NODE}")
    assert refused.returncode == 1 and "hint: its role has not the right" in refused.stderr
    assert _secrets_in([*guarded.logs().values(), status.stdout, refused.stderr], guarded.passwords.values()) == []
    app.close()


def _fail_over(lab: Lab) -> None:
    lab.kill_primary()
    lab.restart_old()


def _submit(app: Any) -> Any:
    """Send a task. While there is no replica, what confirms that it has one comes too late, and the task is there."""
    task_id = str(uuid.uuid4())
    try:
        return app.tasks["shop.work"].apply_async((0.02,), task_id=task_id)
    except UnconfirmedError:
        return app.AsyncResult(task_id)


def _secrets_in(texts: Sequence[str], passwords: Any) -> list[str]:
    return [password for password in passwords for text in texts if password in text]
