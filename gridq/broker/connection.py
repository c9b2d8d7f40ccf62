"""How Celery gets gridq's transport: URLs stay `redis://…`, only the classes behind them change.

`broker_transport = "module:Transport"` would change `connection.as_uri()`, which Flower refuses; so the app's AMQP
class brings connections, and pools of them, that look the transport up themselves.
"""

from __future__ import annotations

from typing import Any

from celery.app.amqp import AMQP as StockAMQP
from kombu.connection import Connection as StockConnection
from kombu.connection import ConnectionPool as StockPool
from kombu.connection import PooledConnection as StockPooled
from kombu.exceptions import KombuError
from kombu.utils.collections import HashedSeq

from gridq.broker.address import no_broker
from gridq.broker.holder import Holder
from gridq.broker.transport import SentinelTransport, Transport
from gridq.errors import BrokerAwayError, BrokerError
from gridq.logs.mask import Mask
from gridq.store.client import Client, ServerError, StrangerError
from gridq.urls import mask

_TRANSPORTS = {"redis": Transport, "rediss": Transport, "sentinel": SentinelTransport}

#: Seconds after which a command of gridq's own gives up on a silent server, where the user has set no socket_timeout.
SOCKET_TIMEOUT = 5.0


#: Mixed into classes of kombu, whose attributes it uses.
_Mixed: Any = object


class _ClaimingConnection(_Mixed):
    def get_transport_cls(self) -> Any:
        wanted = self.transport_cls
        return _TRANSPORTS.get(wanted) or super().get_transport_cls()

    def __eqhash__(self) -> Any:
        # kombu finds its pools by this: a stock app of the same process and server must not get ours, nor we its.
        return HashedSeq("gridq", *super().__eqhash__())

    def info(self) -> dict[str, Any]:
        # `inspect stats` and Flower show it; Celery takes the broker's password out, and not those of Sentinel.
        told: dict[str, Any] = super().info()
        return told | {"transport_options": Mask().value(None, told["transport_options"])}

    def __reduce__(self) -> tuple[Any, ...]:
        # kombu's is made of info(), from which no connection can be made any more.
        return type(self), tuple(dict(self._info()).values())

    def Pool(self, limit: int | None = None, **kwargs: Any) -> ConnectionPool:  # noqa: N802 (kombu's name)
        return ConnectionPool(self, limit, **kwargs)


class Connection(_ClaimingConnection, StockConnection):
    """A connection of our transport."""


class PooledConnection(_ClaimingConnection, StockPooled):
    """The same, as a pool hands it out."""


class ConnectionPool(StockPool):
    """Without this, kombu's pool would quietly make stock connections for producers."""

    def new(self) -> PooledConnection:
        return PooledConnection(self, **dict(self.connection._info(resolve=False)))


class AMQP(StockAMQP):
    """Celery's AMQP with our connections; in a worker, its task consumer claims for `holder`."""

    Connection = Connection
    BrokerConnection = Connection
    holder: Holder | None = None

    @property
    def producer_pool(self) -> Any:
        """Through which all is published.

        Raises:
            BrokerError: when no broker is configured.
        """
        if not self.app.conf.broker_write_url:
            raise no_broker()
        return super().producer_pool

    def TaskConsumer(self, channel: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N802 (Celery's name)
        consumer = super().TaskConsumer(channel, *args, **kwargs)
        if self.holder is not None and hasattr(consumer.channel, "hold_for"):
            consumer.channel.hold_for(self.holder)
        return consumer


def open_client(app: Any) -> Client:
    """A store client of the app's broker, with the app's own transport options, TLS and Sentinel included.

    Raises:
        BrokerError: when the broker cannot be reached (then BrokerAwayError), or is no Redis.
    """
    if not app.conf.broker_write_url:
        raise no_broker()
    connection = app.connection_for_write()
    where = mask(connection.as_uri(include_password=True))
    try:
        # Once: Celery's own connections try again for ever, but whoever asks for a client wants to know now.
        connection.connect()
        channel = connection.channel()
        if not hasattr(channel, "hold_for"):
            raise BrokerError(f"expected a redis://, rediss:// or sentinel:// broker, got {where}")
        pool = channel._get_pool()
        prefix = channel.global_keyprefix
    except (ServerError, OSError, KombuError, *connection.connection_errors) as error:
        hint = "is it running? GRIDQ_BROKER_URL or broker_url in gridq.yaml says where it is; `gridq up` starts one"
        if isinstance(error, StrangerError):
            hint = "are user and password right? broker_url names the user, and broker_password_file the file"
        raise BrokerAwayError(f"expected a broker at {where}, got: {error}", hint=hint) from error
    finally:
        connection.release()
    if not pool.connection_kwargs.get("socket_timeout"):
        pool.connection_kwargs["socket_timeout"] = SOCKET_TIMEOUT
    return Client(pool, prefix)
