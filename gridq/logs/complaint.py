"""Why a worker does not start: its last words, which `gridq up` reads back and passes on."""

from __future__ import annotations

import json
import sys
import time

from gridq.errors import GridqError


def complain(error: GridqError, form: str) -> None:
    """Say `error: …` and `hint: …`, as a line of the log where that is JSON.

    Past logging, and past Celery, which makes records of what is printed: it is the same before they are set up.
    """
    words = f"error: {error}"
    if form == "json":
        from gridq.logs.line import timestamp

        words = json.dumps(
            {"timestamp": timestamp(time.time()), "level": "critical", "logger": __name__, "event": words}
        )
    print(words, file=sys.__stderr__, flush=True)


def readable(lines: str) -> str:
    """The end of a log as people read it: of lines of JSON what they say, other lines as they are."""
    return "\n".join(map(_readable, lines.splitlines()))


def _readable(line: str) -> str:
    if not line.startswith("{"):
        return line
    try:
        said = json.loads(line)
        return "\n".join([said["event"], *([said["exception"]] if "exception" in said else [])])
    except (ValueError, KeyError, TypeError):
        return line
