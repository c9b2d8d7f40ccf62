"""The exporter's HTTP server: /metrics and /healthz, over TLS and behind passwords where that is asked for."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from gridq.errors import ConfigError
from gridq.exporter.logins import Logins

logger = logging.getLogger(__name__)

#: Seconds for which a client may say nothing.
_PATIENCE = 10.0
#: The fastest: the text of a large fleet shrinks to a twentieth by it, in some milliseconds.
_GZIP_LEVEL = 1


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and how the exporter listens.

    Attributes:
        host: address or name of this machine.
        port: 0 for any that is free.
        tls: certificate chain and key, PEM files; None for plain HTTP.
        logins: who may scrape; None for anybody.
    """

    host: str
    port: int
    tls: tuple[Path, Path] | None = None
    logins: Logins | None = None

    def context(self) -> ssl.SSLContext | None:
        """The TLS context; None for plain HTTP.

        Raises:
            ConfigError: when the files are no certificate with its key.
        """
        if self.tls is None:
            return None
        certificate, key = self.tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"expected a certificate in {certificate} and its key in {key}, got: {error}",
                hint="both are PEM files; the key must not have a passphrase",
            ) from error
        return context


class Server(ThreadingTCPServer):
    """Serves scrapes, each on a thread of its own, until `shutdown`.

    Args:
        listening: where and how.
        text: what a scrape gets.

    Raises:
        ConfigError: when it cannot listen there.
    """

    # Not http.server's class: that asks the resolver for this machine's name, which can take seconds.
    daemon_threads = True
    allow_reuse_address = True
    #: Scrapes that come while a thread starts; more wait in the clients.
    request_queue_size = 64

    def __init__(self, listening: Listening, text: Callable[[], bytes]) -> None:
        self.text = text
        self.logins = listening.logins
        self._context = listening.context()
        host, port = listening.host, listening.port
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            self.address_family = found[0][0]
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"expected an address of this machine and a free port, got {host} port {port}: {error}",
                hint="--port 0 takes any free one; does another exporter run here?",
            ) from error

    @property
    def url(self) -> str:
        """Where /metrics is."""
        host, port = self.server_address[:2]
        host = str(host)
        return f"{'https' if self._context else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/metrics"

    def finish_request(self, request: Any, client_address: Any) -> None:
        """On the request's own thread: a client that is silent in the midst of a handshake keeps nobody waiting."""
        request.settimeout(_PATIENCE)
        try:
            if self._context is not None:
                request = self._context.wrap_socket(request, server_side=True)
            with request:
                super().finish_request(request, client_address)
        except (OSError, ssl.SSLError) as error:
            logger.debug("a client left in the midst of its request: %s", error)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version = "gridq"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            self._answer(HTTPStatus.OK, b"ok\n")
        elif self.server.logins is not None and not self.server.logins.admit(self.headers.get("Authorization")):
            realm = {"WWW-Authenticate": 'Basic realm="gridq"'}
            self._answer(HTTPStatus.UNAUTHORIZED, b"expected a user and a password\n", **realm)
        elif path == "/metrics":
            self._scrape()
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"expected /metrics or /healthz\n")

    def _scrape(self) -> None:
        try:
            text = self.server.text()
        except Exception:  # Whatever it is: the next scrape is another try, and Prometheus shows this one as failed.
            logger.exception("a scrape failed")
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the scrape failed; the exporter's log says why\n")
            return
        headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Vary": "Accept-Encoding"}
        if "gzip" in self.headers.get("Accept-Encoding", ""):
            text, headers["Content-Encoding"] = gzip.compress(text, _GZIP_LEVEL), "gzip"
        self._answer(HTTPStatus.OK, text, **headers)

    def _answer(self, status: HTTPStatus, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "text/plain; charset=utf-8"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """A line for each scrape would hide what matters."""
        logger.debug(format, *args)
