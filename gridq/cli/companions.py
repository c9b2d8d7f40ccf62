"""What `up --with` starts beside the workers: other commands of gridq, which end after them."""

from __future__ import annotations

import time

from gridq.cli.interrupts import Interrupts
from gridq.cli.machine import TICK, never_ready
from gridq.cli.session import Session
from gridq.cli.supervisor import Command, Supervisor, leashed

#: The commands that may be started so, and the page that each has for people. Each takes --host and --port; `up`
#: takes the latter as --NAME-port.
PAGES = {"exporter": "/metrics", "flower": "/gpus"}

#: This machine alone: who wants others to see a page starts its command, which asks them for passwords.
_HOST = "127.0.0.1"

#: Seconds that one has to save what it has before it is ended by force.
_PATIENCE = 5.0


def companion(name: str, session: Session, port: int) -> Command:
    """The command of that name for this session's app."""
    level = ("--log-level", session.log_level) if session.log_level else ()
    return leashed(name, "gridq", "-A", session.spec, *level, name, "--host", _HOST, "--port", str(port))


def address(name: str, port: int) -> str:
    """Where a person looks at it."""
    return f"http://{_HOST}:{port}{PAGES[name]}"


def keep(beside: Supervisor) -> None:
    """From now on start again what ends.

    Raises:
        GridqError: when one has ended already: what cannot start should be told, not tried for ever.
    """
    if gone := beside.tick():
        raise never_ready(gone[0], gone[0].label)
    beside.keep()


def dismiss(beside: Supervisor, interrupts: Interrupts) -> None:
    """Let them end, for a few seconds or until someone asks once more.

    Call `stop()` afterwards, which ends by force what is left.
    """
    patience, end = interrupts.count + 1, time.monotonic() + _PATIENCE
    beside.drain()
    while beside.pids and time.monotonic() < end and interrupts.count < patience:
        beside.tick()
        interrupts.wait(TICK)
