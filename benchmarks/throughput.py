"""Publish rate, end-to-end rate and round trip of a no-op task on two sides, as ratios of paired rounds.

Both sides: one prefork worker with one child, acks_late, prefetch 1, the same Redis server (other databases).

    python benchmarks/throughput.py --rounds 6 --tasks 1000      # gridq beside stock Celery
    python benchmarks/throughput.py --sides seen unseen          # with events, logs, output and samples, and without
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gridq.broker.server import LocalServer

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Side:
    """What is measured: an app, and the options and variables that its worker and its client run with."""

    app: str
    options: tuple[str, ...]
    variables: Mapping[str, str]


_UNSEEN = {"GRIDQ_OUTPUT_LIMIT": "0", "GRIDQ_SAMPLES_TTL": "0"}
SIDES = {
    "gridq": Side("gridq", ("-Q", "cpu", "-l", "WARNING"), {}),
    "stock": Side("stock", ("-Q", "stock", "-n", "stock@bench", "-l", "WARNING"), {}),
    "stock-seen": Side("stock", ("-Q", "stock", "-n", "stock@bench", "-l", "INFO", "-E"), {}),
    "seen": Side("gridq", ("-Q", "cpu", "-l", "INFO", "-E"), {"GRIDQ_LOG_FORMAT": "json", "GRIDQ_NODE": "seen"}),
    "unseen": Side("gridq", ("-Q", "cpu", "-l", "ERROR"), _UNSEEN | {"GRIDQ_NODE": "unseen"}),
}


def environment(side: str, url: str, runtime_dir: Path) -> dict[str, str]:
    """What a process of one side needs; each has its own pair of databases."""
    base = url.rpartition("/")[0]
    first = 2 * list(SIDES).index(side)
    return os.environ | {
        **SIDES[side].variables,
        "BENCH_APP": SIDES[side].app,
        "BENCH_BROKER": f"{base}/{first}",
        "BENCH_BACKEND": f"{base}/{first + 1}",
        "GRIDQ_RUNTIME_DIR": str(runtime_dir / side),
        "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
    }


@contextmanager
def worker(side: str, env: dict[str, str]) -> Iterator[None]:
    """One worker of a side, from ready to gone."""
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "-c", "1", *SIDES[side].options]
    # A file, as a service manager has it: writing logs to nowhere would cost less.
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def measure(side: str, env: dict[str, str], tasks: int) -> dict[str, float]:
    """One round in a fresh client process."""
    out = subprocess.run(
        [sys.executable, __file__, "--client", "--tasks", str(tasks)],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    result: dict[str, float] = json.loads(out.stdout)
    return result


def client(tasks: int) -> None:
    """Publish, collect, and take round trips; print the figures as JSON."""
    from tasks import noop

    for value in range(20):
        noop.delay(value).get(timeout=60)
    start = time.perf_counter()
    results = [noop.delay(value) for value in range(tasks)]
    published = time.perf_counter()
    for result in results:
        result.get(timeout=120)
    ended = time.perf_counter()
    trips = []
    for value in range(200):
        before = time.perf_counter()
        noop.delay(value).get(timeout=60)
        trips.append(time.perf_counter() - before)
    print(
        json.dumps(
            {
                "publish/s": tasks / (published - start),
                "end to end/s": tasks / (ended - start),
                "round trip p50 ms": statistics.median(trips) * 1000,
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--sides", nargs=2, choices=SIDES, default=("gridq", "stock"), metavar="SIDE")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client(options.tasks)
        return
    ratios: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gridq-bench-")))
        server = stack.enter_context(LocalServer(folder))
        first, second = options.sides
        envs = {side: environment(side, server.url, folder) for side in (first, second)}
        for side in (first, second):
            stack.enter_context(worker(side, envs[side]))
        for number in range(options.rounds):
            # The order alternates, so that a drifting machine favours neither.
            order = (first, second) if number % 2 == 0 else (second, first)
            figures = {side: measure(side, envs[side], options.tasks) for side in order}
            for name, value in figures[first].items():
                other = figures[second][name]
                ratios.setdefault(name, []).append(value / other)
                print(f"round {number + 1}  {name:18} {first} {value:8.1f}  {second} {other:8.1f}", flush=True)
    for name, values in ratios.items():
        listed = " ".join(f"{value:.2f}" for value in values)
        print(f"{first} / {second}  {name:18} median {statistics.median(values):.2f}  ({listed})")


if __name__ == "__main__":
    main()
