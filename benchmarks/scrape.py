"""How long one scrape of a large fleet takes, and how large it is: a real server, a real exporter, real HTTP.

python benchmarks/scrape.py --gpus 1000 --records 100000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from gridq.broker.server import LocalServer
from gridq.gpu.device import Device
from gridq.gpu.health import State, Verdict
from gridq.gpu.reading import Process, Reading
from gridq.gpu.xid import XidEvent
from gridq.queues import class_queues
from gridq.store import claims, leases
from gridq.store.claims import Posting
from gridq.store.client import Client
from gridq.store.counters import BOUNDS
from gridq.store.keys import COUNTERS, TASK, TASKS
from gridq.store.leases import Claimant, Terms
from gridq.store.workers import GpuStatus, WorkerStatus
from gridq.units import GIB

#: So long that no worker is lost while the benchmark runs.
TERMS = Terms(lease=86400, limit=3, suffixes=("",))
GPUS_PER_NODE = 8
WAITING = 5000
AT_ONCE = 2000
MODELS = {"NVIDIA H100 80GB HBM3": 80, "NVIDIA A100-SXM4-40GB": 40, "NVIDIA A10G": 24}


@dataclass(frozen=True, slots=True)
class Size:
    """How large the fleet is: GPUs with a worker each, task records, names of tasks."""

    gpus: int
    records: int
    names: int


def heartbeat(number: int, chance: random.Random) -> WorkerStatus:
    """A worker in the midst of a task, on a GPU that says everything."""
    node, index = f"gpu-node-{number // GPUS_PER_NODE:03}.cluster.example", number % GPUS_PER_NODE
    model, gib = chance.choice(list(MODELS.items()))
    device = Device(f"GPU-{uuid.UUID(int=chance.getrandbits(128))}", index, model, gib * GIB, "550.127.05")
    used = chance.randrange(gib * GIB)
    reading = Reading(
        device.uuid,
        memory_used=used,
        utilization=round(chance.random(), 2),
        temperature=float(chance.randrange(40, 85)),
        temperature_limit=90.0,
        power=round(chance.uniform(80, 650), 1),
        power_limit=700.0,
        processes=tuple(Process(chance.randrange(2**22), used // 2) for _ in range(2)),
        xids=(XidEvent(31, 1, 1234.5),),
        ecc_uncorrected=0,
        remap_failed=False,
    )
    gpu = GpuStatus(device, Verdict(State.HEALTHY), reading, 0.512, foreign=0, xids={"31": 1})
    name = f"gpu{index}@{node}"
    status = WorkerStatus(
        name=name,
        node=node,
        token=f"{chance.getrandbits(64):x}",
        pid=chance.randrange(2**22),
        gpus=(gpu,),
        running=(str(uuid.uuid4()),),
        free=gib * GIB - used,
        cpu_load=0.5,
        score=1.5,
        version="0.1.0",
        round_trip=0.000812,
        idle_while_waiting=12.0,
    )
    assert status.seat is not None
    return WorkerStatus.from_dict(status.to_dict() | {"queues": [name, *class_queues(status.seat), f"gpu@{node}"]})


def fill(client: Client, size: Size) -> None:
    """Write all that the fleet would have written."""
    chance = random.Random(7)
    for number in range(size.gpus):
        status = heartbeat(number, chance)
        who = Claimant(status.name, status.token, "lock", status.node)
        leases.register(client, who, TERMS)
        leases.renew(client, who, TERMS, status)
    message = json.dumps({"body": "x" * 400, "headers": {"task": "shop.train", "gridq": {"vram": 8 * GIB}}})
    for _ in range(min(WAITING, size.records)):
        facts = {"name": f"shop.train_{chance.randrange(size.names)}"}
        claims.put(client, Posting(message, "gpu.8g", "", 8 * GIB, task_id=str(uuid.uuid4()), record=facts))
    _fill_ended(client, max(0, size.records - WAITING), size.names, message)
    _fill_counters(client, size.names)


def _fill_ended(client: Client, count: int, names: int, message: str) -> None:
    now = int(client.now() * 1000)
    for start in range(0, count, AT_ONCE):
        calls: list[tuple[str | int | float, ...]] = []
        for number in range(start, min(start + AT_ONCE, count)):
            task, state = str(uuid.uuid4()), "failed" if number % 20 == 0 else "done"
            times = ("submitted_at", now, "waiting_at", now, "started_at", now, "finished_at", now)
            facts = ("name", f"shop.train_{number % names}", "queue", "gpu.8g", "message", message, "attempts", 1)
            calls.append(("HSET", TASK + task, "state", state, *facts, *times))
            calls.append(("ZADD", TASKS + state, now - number, task))
        client.commands(calls)


def _fill_counters(client: Client, names: int) -> None:
    for number in range(names):
        name = f"shop.train_{number}"
        counts = [(f"submitted\n{name}", 2000), (f"completed\n{name}\ndone", 1900), (f"completed\n{name}\nfailed", 100)]
        spread = [(f"{kind}\n{name}\n{bound}", 100) for kind in ("wait", "run") for bound in BOUNDS]
        sums = [(f"{kind}\n{name}\nsum", 123456) for kind in ("wait", "run")]
        fields = [part for pair in counts + spread + sums for part in pair]
        client.command("HSET", COUNTERS, *fields)


@contextmanager
def exporter(url: str, runtime_dir: Path) -> Iterator[str]:
    """The command, by the address of its metrics."""
    environment = os.environ | {"GRIDQ_BROKER_URL": url, "GRIDQ_RUNTIME_DIR": str(runtime_dir)}
    command = [sys.executable, "-m", "gridq.cli", "exporter", "--port", "0"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait(timeout=30)


def scrape(url: str, encoding: str) -> tuple[float, bytes]:
    """Seconds until all of it had come, and what came."""
    request = urllib.request.Request(url, headers={"Accept-Encoding": encoding})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = answer.read()
    return time.perf_counter() - began, body


def report(url: str, rounds: int) -> None:
    """Scrape, and print figures."""
    for encoding in ("identity", "gzip"):
        scrape(url, encoding)
        taken = [scrape(url, encoding) for _ in range(rounds)]
        seconds = sorted(time for time, _ in taken)
        sizes = f"{len(taken[-1][1]) / 1e6:.2f} MB"
        figures = f"min {seconds[0]:.3f}s  median {statistics.median(seconds):.3f}s  max {seconds[-1]:.3f}s"
        print(f"{encoding:9} {figures}  {sizes}", flush=True)
    lines = scrape(url, "identity")[1].decode().splitlines()
    series = [line for line in lines if not line.startswith("#")]
    look = next(line.split()[1] for line in series if line.startswith("gridq_scrape_seconds"))
    print(f"{len(series)} series; of the last scrape {float(look):.3f}s were the look at the broker")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=1000, help="workers with one GPU each")
    parser.add_argument("--records", type=int, default=100_000, help="task records")
    parser.add_argument("--names", type=int, default=20, help="names of tasks")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    size = Size(options.gpus, options.records, options.names)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridq-bench-")))
        server = stack.enter_context(LocalServer(folder))
        client = Client(redis.ConnectionPool.from_url(server.url))
        fill(client, size)
        client.close()
        print(f"{size.gpus} GPUs, {size.records} task records, {size.names} names of tasks", flush=True)
        report(stack.enter_context(exporter(server.url, folder)), options.rounds)


if __name__ == "__main__":
    main()
