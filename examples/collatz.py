"""The longest Collatz chain below a limit: a search in parts on the GPUs, a check of the answer on the CPU.

Halve an even number, take 3n+1 of an odd one, count the steps to 1. Below 10^6 the record is 837,799 with 524 steps,
below 10^7 it is 8,400,511 with 685.

    GRIDQ_TASKS=examples.collatz gridq up    # in one terminal
    python -m examples.collatz 10000000      # in another

The search runs on the device with PyTorch or CuPy where one of them sees it, else on the CPU with NumPy.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from celery import chord

from gridq import app

JUMP = 10  # halvings done at once; the tables of 2^10 entries stay in the first cache
BELOW = 2**JUMP  # numbers from here on cannot pass 1 within a jump
CACHED = 2**15  # lanes that fit the second cache of a CPU core
ON_DEVICE = 2**22  # lanes that keep a GPU busy, in well under 1 GiB
# In JUMP halvings n+1 grows at most by (3/2)^JUMP, so what is below this stays below 2^63.
LARGEST = 2**63 * 2**JUMP // 3**JUMP - 2


@app.task(name="collatz.search", gpu=True, vram="2GiB")
def search(start: int, stop: int) -> dict[str, Any]:
    """The number from `start` up to, not including, `stop` with the longest chain, and how it was found."""
    began = time.perf_counter()
    arrays = device_arrays() or numpy_arrays()
    number, steps = longest(start, stop, arrays)
    return {"start": number, "steps": steps, "with": arrays.name, "seconds": round(time.perf_counter() - began, 3)}


@app.task(name="collatz.best")
def best(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The record of records: most steps, and of equals the smallest number."""
    return min(records, key=lambda record: (-record["steps"], record["start"]))


@app.task(name="collatz.check")
def check(record: dict[str, Any]) -> bool:
    """Whether a chain counted one step at a time is as long as the record says."""
    return chain(record["start"]) == record["steps"]


def ranges(limit: int, parts: int) -> list[tuple[int, int]]:
    """The numbers from 1 up to, not including, `limit` in about equal parts, as (start, stop)."""
    if limit < 2 or parts < 1:
        raise ValueError(f"expected a limit of 2 or more and 1 part or more, got {limit} and {parts}")
    parts = min(parts, limit - 1)
    edges = [1 + (limit - 1) * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))


def chain(number: int) -> int:
    """Steps from the number to 1, in plain Python."""
    steps = 0
    while number != 1:
        number = 3 * number + 1 if number % 2 else number // 2
        steps += 1
    return steps


class Arrays(NamedTuple):
    """A library of arrays: its name, how it counts from a to b, how it keeps a table, how many lanes it likes."""

    name: str
    count: Callable[[int, int], Any]
    table: Callable[[list[int]], Any]
    lanes: int


def longest(start: int, stop: int, arrays: Arrays | None = None) -> tuple[int, int]:
    """The number in [start, stop) with the longest chain, the smallest of equals, and its steps.

    Raises:
        ValueError: for an empty range or one that does not begin at 1 or above.
        OverflowError: when a chain leaves what 64 bits can hold; no chain from below 3·10^8 does.
    """
    if not 1 <= start < stop:
        raise ValueError(f"expected 1 <= start < stop, got {start} and {stop}")
    arrays = arrays or numpy_arrays()
    tables = Tables.on(arrays)
    # The chain of 2n is the one of n and a step more, so no n with 2n in the range can win.
    first = max(start, (stop + 1) // 2)
    found = []
    for low in range(first, stop, arrays.lanes):
        found += _finish_all(arrays.count(low, min(low + arrays.lanes, stop)), tables)
    number, steps = min(found, key=lambda pair: (-pair[1], pair[0]))
    return number, steps


class Tables(NamedTuple):
    """For every rest b of a number a·2^JUMP + b: after JUMP halvings it is a·factor + offset, `count` steps on."""

    factor: Any
    offset: Any
    count: Any
    small: Any

    @classmethod
    def on(cls, arrays: Arrays) -> Tables:
        """The tables, kept by a library of arrays. `small` has the whole chains of numbers below BELOW."""
        factors, offsets, counts = [], [], []
        for rest in range(BELOW):
            factor, offset = 1, rest
            for _ in range(JUMP):
                if offset % 2:
                    factor, offset = 3 * factor, 3 * offset + 1
                offset //= 2
            factors.append(factor)
            offsets.append(offset)
            counts.append(JUMP + _odd_steps(factor))
        small = [0] + [chain(number) for number in range(1, BELOW)]
        return cls(arrays.table(factors), arrays.table(offsets), arrays.table(counts), arrays.table(small))


def _odd_steps(factor: int) -> int:
    return 0 if factor == 1 else 1 + _odd_steps(factor // 3)


def _finish_all(numbers: Any, tables: Tables) -> list[tuple[int, int]]:
    """Take every number to its end; the best of those that ended together, as (number, steps), per round."""
    found = []
    values, steps = numbers, numbers * 0
    while len(values):
        ended = values < BELOW
        if ended.any():
            found.append(_best(numbers[ended], steps[ended] + tables.small[values[ended]]))
            alive = ~ended
            numbers, values, steps = numbers[alive], values[alive], steps[alive]
            continue
        if int(values.max()) > LARGEST:
            raise OverflowError("expected chains that stay below 2^63, got one that may not")
        rest = values & (BELOW - 1)
        values = (values >> JUMP) * tables.factor[rest] + tables.offset[rest]
        steps = steps + tables.count[rest]
    return found


def _best(numbers: Any, totals: Any) -> tuple[int, int]:
    most = int(totals.max())
    return int(numbers[totals == most].min()), most


def numpy_arrays() -> Arrays:
    """NumPy on one CPU core."""
    import numpy as np

    return Arrays(
        "numpy", lambda a, b: np.arange(a, b, dtype=np.int64), lambda row: np.array(row, dtype=np.int64), CACHED
    )


def device_arrays() -> Arrays | None:
    """PyTorch or CuPy on the GPU that this worker holds; None where neither is installed or no real GPU is there."""
    # Asked first, since importing PyTorch takes seconds and simulated GPUs have no use for it.
    if not any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")):
        return None
    # PyTorch first: CuPy compiles each of its kernels at its first use, twenty seconds on a new machine.
    return _torch_arrays() or _cupy_arrays()


def _cupy_arrays() -> Arrays | None:
    try:
        import cupy as cp
    except ImportError:
        return None
    if not cp.is_available():
        return None
    return Arrays(
        "cupy", lambda a, b: cp.arange(a, b, dtype=cp.int64), lambda row: cp.array(row, dtype=cp.int64), ON_DEVICE
    )


def _torch_arrays() -> Arrays | None:
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    kind = {"dtype": torch.int64, "device": "cuda"}
    return Arrays("torch", lambda a, b: torch.arange(a, b, **kind), lambda row: torch.tensor(row, **kind), ON_DEVICE)


def main(limit: int = 10**6, parts: int = 16) -> int:
    """Submit the search in parts, wait for the best of them, have it checked, and print it."""
    record = chord(search.s(start, stop) for start, stop in ranges(limit, parts))(best.s()).get(timeout=600)
    right = check.delay(record).get(timeout=60)
    print(f"longest chain below {limit:,}: {record['start']:,} with {record['steps']} steps")
    print(f"searched in {parts} parts with {record['with']}; checked on the CPU: {'right' if right else 'WRONG'}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
