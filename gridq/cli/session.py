"""What a command stands on: the app, its settings, and the store, each opened when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from gridq.broker.address import no_broker
from gridq.errors import BrokerError, GridqError, InstallError

if TYPE_CHECKING:
    from gridq.config import Settings
    from gridq.store.client import Client


class Session:
    """One run of a command.

    Args:
        spec: the app's name, as Celery's -A takes it.
        app: the app where it is at hand already.
        log_level: what shall be logged, by workers too that the command starts; None where nobody said so.
    """

    def __init__(self, spec: str = "gridq", app: Any = None, *, log_level: str | None = None) -> None:
        self.spec = spec
        self.log_level = log_level
        self._given = app

    @cached_property
    def app(self) -> Any:
        """The Celery app.

        Raises:
            InstallError: when it has no gridq installed.
            GridqError: when there is no such app.
        """
        app = self._given if self._given is not None else self._find()
        if not hasattr(app, "gridq_settings"):
            raise InstallError(
                f"expected {self.spec} to be an app with gridq, got one without",
                hint="add `import gridq; gridq.install(app)` right after its Celery(...)",
            )
        return app

    def _find(self) -> Any:
        from celery.app.utils import find_app

        try:
            return find_app(self.spec)
        except (ImportError, AttributeError) as error:
            raise GridqError(
                f"expected {self.spec!r} to name a Celery app, got: {error}",
                hint="-A takes module or module:attribute, seen from the current directory",
            ) from error

    @property
    def settings(self) -> Settings:
        """The app's settings."""
        settings: Settings = self.app.gridq_settings
        return settings

    @property
    def broker_url(self) -> str | None:
        """Where the app's broker is, as far as anything says so."""
        url: str | None = self.app.conf.broker_url
        return url

    def needed_broker(self) -> str:
        """The same, for a command that cannot do without.

        Raises:
            BrokerError: when nothing says so.
        """
        if not self.broker_url:
            raise no_broker()
        return self.broker_url

    @contextmanager
    def store(self) -> Iterator[Client]:
        """A client of the store; what goes wrong with the server in the block is told in words.

        Raises:
            BrokerError: when there is no broker, or it does not answer.
            GridqError: when it answers, but refuses.
        """
        from kombu.exceptions import OperationalError

        from gridq.broker.connection import open_client
        from gridq.store.client import ForbiddenError, RefusedError, ServerError, forbid

        url = self.needed_broker()
        client = None
        try:
            client = open_client(self.app)
            yield client
        except ForbiddenError:
            raise
        except RefusedError as error:
            forbid(error)
            raise GridqError(
                f"expected the broker to do what it was asked, it answered: {error}",
                hint="is the server full, or older than the fleet needs? gridq doctor tells",
            ) from error
        except (ServerError, OperationalError) as error:
            from gridq.config import mask

            forbid(error)
            raise BrokerError(
                f"expected a broker at {mask(url)}, got: {error}",
                hint="is it running? GRIDQ_BROKER_URL or broker_url in gridq.yaml says where it is",
            ) from error
        finally:
            if client is not None:
                client.close()


pass_session = click.make_pass_decorator(Session)
