"""A Redis of one's own that can be killed, frozen, started again on its data, and robbed of its last second."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import threading
import time
from pathlib import Path

import redis

from gridq.broker.server import find_program

from .ledger import now
from .processes import Process

#: What each way of keeping data is in the server's configuration.
KEEPING = {
    "nothing": ["appendonly no"],
    "everysec": ["appendonly yes", "appendfsync everysec"],
    "always": ["appendonly yes", "appendfsync always"],
}


class Server:
    """One server on a port of its own.

    Args:
        folder: for its data and output.
        bind: its address.
        keeping: how it keeps its data, one of `KEEPING`.
        extra: further lines of its configuration.
    """

    def __init__(
        self, folder: Path, *, bind: str = "127.0.0.1", keeping: str = "everysec", extra: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.bind = bind
        self.keeping = keeping
        self.extra = extra
        self.port = free_port(bind)
        self._process: Process | None = None
        folder.mkdir(parents=True)

    @property
    def url(self) -> str:
        """`redis://address:port`, without a database."""
        return f"redis://{self.bind}:{self.port}"

    def client(self) -> redis.Redis:
        """A client of the broker's database that does not wait long."""
        return redis.Redis(host=self.bind, port=self.port, socket_timeout=2)

    def start(self) -> None:
        """Start it, on its data where it has some, and wait until it answers."""
        lines = [
            f"bind {self.bind}",
            f"port {self.port}",
            "protected-mode no",
            f'dir "{self.folder}"',
            'save ""',
            "maxmemory-policy noeviction",
            *KEEPING[self.keeping],
            *self.extra,
        ]
        file = self.folder / "server.conf"
        file.write_text("\n".join(lines) + "\n")
        self._process = Process([str(find_program()), str(file)], self.folder / "output")
        end = time.monotonic() + 15
        while time.monotonic() < end:
            with contextlib.suppress(redis.RedisError), self.client() as client:
                client.ping()
                return
            time.sleep(0.02)
        raise RuntimeError(f"Redis does not answer:\n{self._process.last_words()}")

    def kill(self) -> None:
        """End the process at once. What it has written stays: the system's cache is not lost with a process."""
        self._living.signal(signal.SIGKILL)

    def shut_down(self) -> None:
        """End it as systemd does: it writes what it has, and ends."""
        self._living.signal(signal.SIGTERM)
        self._living.wait(15)

    def pause(self) -> None:
        """Freeze it: it answers nothing and refuses nothing."""
        self._living.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._living.signal(signal.SIGCONT)

    @property
    def _living(self) -> Process:
        assert self._process is not None
        return self._process

    def stop(self) -> None:
        """End it for good. Calling it twice is fine."""
        if self._process is not None:
            self._process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Surviving(threading.Thread):
    """Follows how far the append-only file is surely on the disk, to take away the rest as a power cut would.

    With `everysec` the file is flushed once a second, so what is younger than a second may be gone; what a power cut
    takes in a test is all of that. With `always` nothing is answered before it is flushed.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._sizes: list[tuple[float, dict[Path, int]]] = []
        self._stopping = threading.Event()

    def run(self) -> None:
        """Note the sizes every few milliseconds."""
        while not self._stopping.wait(0.02):
            sizes = {path: path.stat().st_size for path in self._server.folder.glob("appendonlydir/*.aof")}
            self._sizes.append((now(), sizes))

    def cut(self) -> float:
        """Kill the server as a power cut does; returns from when on its data is gone."""
        at = now()
        self._stopping.set()
        self._server.kill()
        self.join()
        if self._server.keeping == "everysec":
            at -= 1.0
            kept = [sizes for when, sizes in self._sizes if when <= at]
            for path, size in (kept[-1] if kept else {}).items():
                with path.open("r+b") as file:
                    file.truncate(size)
        return at


def free_port(bind: str) -> int:
    with socket.create_server((bind, 0)) as server:
        return int(server.getsockname()[1])
