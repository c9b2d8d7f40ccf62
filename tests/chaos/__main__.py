"""`python -m tests.chaos`: every scenario for gridq and for stock Celery, side by side, with a table at the end."""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import signal
import sys
import time
import warnings
from multiprocessing.queues import Queue
from pathlib import Path
from types import FrameType

from . import crashes, hardware, hours, messages, outages, partitions, report, storage
from .scenario import SCENARIOS, conduct, make_stage
from .sides import SIDES
from .stage import LONG, SHORT
from .tally import Tally

#: Importing them enters their scenarios into the list, in this order.
PLAYED = (crashes, hours, messages, hardware, partitions, outages, storage)


def main(arguments: list[str]) -> int:
    """Play, print and write; 1 if gridq lost or doubled anything that it should not."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="this scenario; may be repeated")
    parser.add_argument("--side", choices=list(SIDES), help="this side only; else both run at the same time")
    parser.add_argument("--seed", type=int, default=1, help="of every random choice (default 1)")
    parser.add_argument("--short", action="store_true", help="leases of 2 s and few tasks, as in the tests")
    parser.add_argument("--logs", type=Path, help="keep the workers' output and the ledgers in this folder")
    parser.add_argument("--out", type=Path, default=Path("build/chaos.md"), help="the table (default build/chaos.md)")
    given = parser.parse_args(arguments)
    started = time.monotonic()
    rows = _both(given) if given.side is None else _one(given, given.side)
    text = report.markdown(rows, given.seed, SHORT if given.short else LONG)
    print("\n" + text)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text)
    print(f"{time.monotonic() - started:.0f} s; written to {given.out}")
    return int(any(not row.as_promised for row in rows))


def _both(given: argparse.Namespace) -> list[report.Row]:
    """Both sides at the same time, in a process each: they mostly wait."""
    context = multiprocessing.get_context("fork")
    found: Queue[list[report.Row]] = context.Queue()
    processes = [context.Process(target=_tell, args=(found, given, side)) for side in SIDES]
    for process in processes:
        process.start()
    try:
        rows = [row for _ in processes for row in found.get()]
    finally:
        for process in processes:
            process.join(60)
            if process.is_alive():
                process.terminate()
                process.join()
    order = list(SCENARIOS)
    return sorted(rows, key=lambda row: (order.index(row.name), row.side))


def _tell(found: Queue[list[report.Row]], given: argparse.Namespace, side: str) -> None:
    rows: list[report.Row] = []
    try:
        rows = _one(given, side)
    finally:
        found.put(rows)


def _one(given: argparse.Namespace, side: str) -> list[report.Row]:
    """All scenarios for one side, with a line of progress for each."""
    signal.signal(signal.SIGTERM, _leave)
    warnings.simplefilter("ignore", UserWarning)
    started, rows = time.monotonic(), list[report.Row]()
    names = [name for name in given.only or SCENARIOS if side in SCENARIOS[name].sides]
    for number, name in enumerate(names, 1):
        if missing := SCENARIOS[name].missing():
            _say(started, f"{side} {number}/{len(names)} {name}: needs {missing}")
            continue
        tally = play(name, side, given)
        rows.append(report.Row(name, side, tally))
        _say(started, f"{side} {number}/{len(names)} {name}: {report.line(tally)}")
        for detail in tally.details[:6]:
            _say(started, f"  {side} {name}: " + detail.replace("\n", "\n    "))
    return rows


def play(name: str, side: str, given: argparse.Namespace) -> Tally:
    """One scenario for one side, on a stage of its own."""
    scenario = SCENARIOS[name]
    stage = make_stage(scenario, side, SHORT if given.short else LONG)
    try:
        return conduct(scenario, stage, given.seed)
    finally:
        if given.logs:
            folder = given.logs / f"{name}-{side}"
            shutil.copytree(stage.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run-*"))
        stage.end()


def _say(started: float, line: str) -> None:
    print(f"[{time.monotonic() - started:4.0f}s] {line}", flush=True)


def _leave(number: int, frame: FrameType | None) -> None:
    """A SIGTERM ends what was started, as Ctrl-C does."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
