"""A wire to Redis that breaks between a command and its answer, so that nobody knows whether it was done."""

from __future__ import annotations

import contextlib
import socket
import threading


class Wire:
    """Listens on a port and passes everything on to a server.

    Args:
        host: of the server.
        port: of the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._break_after: bytes | None = None
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def break_after(self, words: bytes) -> None:
        """Break the connection on which a command with these words goes by, once the server has answered it."""
        self._break_after = words

    def stop(self) -> None:
        """Listen no more. Calling it twice is fine."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            eating = threading.Event()
            threading.Thread(target=self._forth, args=(near, far, eating), daemon=True).start()
            threading.Thread(target=self._back, args=(near, far, eating), daemon=True).start()

    def _forth(self, near: socket.socket, far: socket.socket, eating: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := near.recv(1 << 20):
                if self._break_after is not None and self._break_after in data:
                    self._break_after = None
                    eating.set()
                far.sendall(data)
        _shut(far)

    def _back(self, near: socket.socket, far: socket.socket, eating: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(1 << 20):
                if eating.is_set():
                    self.broken += 1
                    break
                near.sendall(data)
        _shut(near)
        _shut(far)


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
