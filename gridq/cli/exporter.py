"""`gridq exporter`: what Prometheus scrapes."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import click

from gridq.cli.extras import extra
from gridq.cli.look import console, headed
from gridq.cli.session import Session, pass_session
from gridq.version import VERSION

PORT = 9470

_FILE = click.Path(path_type=Path, dir_okay=False)


def _hash_password(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    """Print the hash of a password that is typed, or comes on stdin, and end."""
    if not wanted:
        return
    from gridq.exporter.logins import hashed

    if sys.stdin.isatty():
        password = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        raise click.UsageError("expected a password on stdin, got none")
    click.echo(hashed(password))
    context.exit()


@click.command(name="exporter", epilog=f"Example:  gridq exporter --host 0.0.0.0 --port {PORT}")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@click.option("--tls-cert", type=_FILE, metavar="FILE", help="Certificate chain, PEM, for HTTPS.")
@click.option("--tls-key", type=_FILE, metavar="FILE", help="Its key, PEM, without a passphrase.")
@click.option(
    "--basic-auth-file", "users", type=_FILE, metavar="FILE", help="Who may scrape: user:password or user:hash a line."
)
@click.option(
    "--hash-password",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_hash_password,
    help="Ask for a password and print its hash for that file.",
)
@pass_session
def command(
    session: Session, host: str, port: int, tls_cert: Path | None, tls_key: Path | None, users: Path | None
) -> None:
    """Show Prometheus the fleet on /metrics, until Ctrl-C or SIGTERM. /healthz says that the exporter runs.

    It keeps nothing: any number of them may run, and all show the same. Without the broker gridq_broker_up is 0.
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("expected --tls-cert and --tls-key, got one of them")
    with extra("monitor", "prometheus-client"):
        from gridq.exporter.scrape import Scraper
        from gridq.exporter.server import Listening, Server
    from gridq.broker.connection import open_client
    from gridq.exporter.logins import Logins

    session.needed_broker()
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    listening = Listening(host, port, tls, Logins.read(users) if users else None)
    scraper = Scraper(lambda: open_client(session.app), VERSION)
    with Server(listening, scraper.text) as server:
        console().print(headed("exporter", server.url))
        _serve(server)


def _serve(server: Any) -> None:
    from gridq.cli.interrupts import Interrupts

    with Interrupts() as interrupts:
        threading.Thread(target=server.serve_forever, name="gridq-exporter", daemon=True).start()
        while not interrupts.wait(3600):
            pass
        server.shutdown()
