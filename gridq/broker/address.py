"""Where the local broker is: written by who runs it, read by every other command of the same user."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

from gridq.errors import BrokerError
from gridq.private import private_dir


def no_broker() -> BrokerError:
    """For whoever needs a broker where none is configured and none is found. Celery would look for one that speaks AMQP
    on this machine."""
    return BrokerError(
        "expected a broker, none is configured and no local one runs",
        hint="start one with `gridq up`, or set GRIDQ_BROKER_URL to where yours is",
    )


def publish_address(runtime_dir: Path, url: str) -> Path:
    """Tell this user's other commands where the broker of this process is, for as long as this process lives.

    Returns:
        The file, mode 0600: the URL has a password.
    """
    path = private_dir(runtime_dir) / "broker"
    handle, name = tempfile.mkstemp(prefix=".broker-", dir=runtime_dir)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), "born": _born(os.getpid()), "url": url}, file)
    return Path(name).replace(path)


def find_address(runtime_dir: Path) -> str | None:
    """The URL that a living process of this user published, None when there is none."""
    return _read_address(runtime_dir / "broker")[1]


def find_publisher(runtime_dir: Path) -> int | None:
    """The pid of that process, None when there is none."""
    return _read_address(runtime_dir / "broker")[0] or None


def withdraw_address(runtime_dir: Path) -> None:
    """Take back what this process published; what another one published since stays."""
    path = runtime_dir / "broker"
    if _read_address(path)[0] == os.getpid():
        path.unlink(missing_ok=True)


def _read_address(path: Path) -> tuple[int, str | None]:
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            # Written by someone else, it would have us send tasks to their server.
            if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != 0o600:
                return 0, None
            record = json.load(file)
        pid, url = int(record["pid"]), str(record["url"])
        # Numbers of processes come round again; their number and time of birth together do not.
        if record["born"] != _born(pid):
            return 0, None
    except (OSError, ValueError, KeyError, TypeError):
        return 0, None
    return pid, url


def _born(pid: int) -> str:
    """Ticks since boot at which the process started, as text.

    Raises:
        OSError: when no such process lives.
    """
    try:
        # The name in parentheses is the process's own choice and may hold spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except FileNotFoundError:
        os.kill(pid, 0)
        return "unknown"
    if fields[0] in "ZX":
        raise ProcessLookupError(f"process {pid} has ended and waits for its parent to notice")
    return fields[19]
