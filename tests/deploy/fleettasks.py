"""The tasks of the fleet's tests; each start and each end is a line in a file of the node that runs it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from gridq import app

LEDGER = Path("/var/lib/gridq/ledger")


def note(event: str, number: int) -> None:
    """Append a line, in one piece."""
    line = json.dumps({"event": event, "number": number, "at": time.time()}).encode() + b"\n"
    file = os.open(LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


@app.task(gpu=True, vram="1GiB", name="fleettasks.work")
def work(number: int, seconds: float) -> int:
    """Take so long, on a GPU."""
    note("start", number)
    time.sleep(seconds)
    note("end", number)
    return number
