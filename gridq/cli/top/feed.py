"""Looks at the store once a second, in a thread of its own: a slow broker must not freeze the screen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from gridq.cli.top.picture import Picture, take
from gridq.errors import BrokerError
from gridq.store.client import Client

#: Seconds between two looks.
PAUSE = 1.0


class Feed:
    """Pictures, one after the other.

    Args:
        connect: opens the store; a BrokerError out of it, or out of its block, means that the broker is away.
        show: told of every picture, from the feed's thread.
        miss: told why there was none, from there too; the feed tries again.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Client]],
        show: Callable[[Picture], object],
        miss: Callable[[str], object],
    ) -> None:
        self._connect, self._show, self._miss = connect, show, miss
        self._view = "waiting"
        self._ended = False
        self._wanted = threading.Event()
        # A daemon: whoever quits does not wait for a broker that is silent.
        self._thread = threading.Thread(target=self._run, name="gridq-top-feed", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns at once."""
        self._ended = True
        self._wanted.set()

    def look_now(self, view: str) -> None:
        """Show tasks of this view from now on, and do not wait for the next second."""
        self._view = view
        self._wanted.set()

    def _run(self) -> None:
        while not self._ended:
            try:
                with self._connect() as client:
                    self._watch(client)
            except BrokerError as error:
                if not self._ended:
                    self._miss(error.message)
                    self._pause()

    def _watch(self, client: Client) -> None:
        while not self._ended:
            picture = take(client, self._view)
            if not self._ended:
                self._show(picture)
                self._pause()

    def _pause(self) -> None:
        self._wanted.wait(PAUSE)
        self._wanted.clear()
