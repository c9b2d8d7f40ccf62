"""Scrapes: the text that one gets, within a bounded time, whether or not the broker answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Overdue

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from gridq.errors import BrokerError
from gridq.exporter.collector import families
from gridq.exporter.look import Look, look
from gridq.store.client import Client, ServerError

logger = logging.getLogger(__name__)

#: Seconds after which a broker that has not answered counts as away. Prometheus itself gives up after ten.
DEADLINE = 3.0


def text_of(seen: Look | None, version: str) -> bytes:
    """Prometheus' text format of a look; of None, that the broker is away."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Seen(seen, version))
    return generate_latest(registry)


class _Seen(Collector):
    """A look as prometheus-client wants it."""

    def __init__(self, seen: Look | None, version: str) -> None:
        self._seen = seen
        self._version = version

    def collect(self) -> Iterator[Family]:
        return families(self._seen, self._version)


class Scraper:
    """Answers scrapes. Those that come while another one looks get what that one sees.

    Args:
        connect: opens a client of the store; called again after the broker was away.
        version: of gridq.
        deadline: seconds.
    """

    def __init__(self, connect: Callable[[], Client], version: str, *, deadline: float = DEADLINE) -> None:
        self._connect = connect
        self._version = version
        self._deadline = deadline
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._looking: Future[bytes] | None = None
        self._told = ""

    def text(self) -> bytes:
        """What a scrape gets: what the store says, or within the deadline that the broker is away."""
        with self._lock:
            if self._looking is None or self._looking.done():
                self._looking = Future()
                # A thread of its own, which nobody waits for: a look may hang, and then the exporter must still end.
                arguments = (self._looking,)
                threading.Thread(target=self._fill, args=arguments, name="gridq-look", daemon=True).start()
            looking = self._looking
        try:
            return looking.result(self._deadline)
        except Overdue:
            self._tell(f"no answer within {self._deadline:g}s")
        except (ServerError, OSError, BrokerError) as error:
            self._tell(str(error))
        return text_of(None, self._version)

    def _fill(self, looking: Future[bytes]) -> None:
        try:
            looking.set_result(self._look())
        except BaseException as error:  # noqa: BLE001 (whatever it is, those who wait for the look get it)
            looking.set_exception(error)

    def _look(self) -> bytes:
        try:
            if self._client is None:
                self._client = self._connect()
            seen = look(self._client)
        except (ServerError, OSError, BrokerError):
            client, self._client = self._client, None
            if client is not None:
                client.close()
            raise
        self._tell("")
        return text_of(seen, self._version)

    def _tell(self, trouble: str) -> None:
        """Say when the broker goes away and when it is back, not at each scrape."""
        if bool(trouble) != bool(self._told):
            if trouble:
                logger.warning("the broker is away: %s", trouble)
            else:
                logger.warning("the broker answers again")
        self._told = trouble
