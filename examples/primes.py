"""How many primes there are below a limit: 50 parts on GPUs, their sum on the CPU, in plain Python.

    GRIDQ_TASKS=examples.primes gridq up     # in one terminal
    python -m examples.primes 200000         # in another

In containers it is what `docker compose up` runs until there is something else, beat's schedule included.
"""

from __future__ import annotations

import sys
from itertools import pairwise

from celery import chord

from gridq import app

#: https://oeis.org/A000720: how many there are below each power of ten.
KNOWN = {10**3: 168, 10**4: 1229, 10**5: 9592, 10**6: 78498}

app.conf.beat_schedule = {"primes": {"task": "primes.count", "schedule": 60.0, "args": (1, 1000)}}


@app.task(name="primes.count", gpu=True, vram="1GiB")
def count(start: int, stop: int) -> int:
    """How many numbers from `start` up to, not including, `stop` are prime."""
    return sum(
        all(number % divisor for divisor in range(2, int(number**0.5) + 1)) for number in range(max(start, 2), stop)
    )


@app.task(name="primes.total")
def total(counts: list[int]) -> int:
    """The sum: a CPU task, since it says nothing of GPUs."""
    return sum(counts)


def main(limit: int = 100_000, parts: int = 50) -> int:
    """Send the parts, wait for their sum, and print it."""
    edges = [limit * part // parts for part in range(parts + 1)]
    found = chord(count.s(start, stop) for start, stop in pairwise(edges))(total.s()).get(timeout=600)
    wrong = limit in KNOWN and KNOWN[limit] != found
    print(f"{found:,} primes below {limit:,}, counted in {parts} parts" + (": WRONG" if wrong else ""))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
