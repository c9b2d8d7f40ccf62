"""`gridq flower`: Flower with a page of GPUs."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from gridq.cli.extras import extra
from gridq.cli.look import console, headed
from gridq.cli.session import Session, pass_session
from gridq.config import mask
from gridq.errors import ConfigError

PORT = 5555


@click.command(name="flower", epilog="Example:  gridq flower --host 0.0.0.0 --basic-auth-file /etc/gridq/flower.auth")
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help=f"Port to listen on; 0 takes a free one. [default: {PORT}]")
@click.option(
    "--basic-auth-file",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Who may come in, `name:password` a line. Needed where others can reach the host.",
)
@click.option("--no-auth", is_flag=True, help="Let everybody in: for behind something that asks for itself.")
@click.option(
    "--db",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where the history is kept. [default: flower/history in the setting runtime_dir]",
)
@pass_session
def command(
    session: Session, host: str | None, port: int | None, file: Path | None, no_auth: bool, db: Path | None
) -> None:
    """Flower, Celery's web page, with a page of GPUs.

    Passwords come from a file or from FLOWER_BASIC_AUTH; Flower's other FLOWER_… variables count too. While it runs,
    workers tell of their tasks. Ctrl-C or SIGTERM ends it, and its history is saved.
    """
    with extra("monitor", "Flower"):
        from gridq.flower import site
    from gridq.credentials import read_credentials

    credentials = tuple(read_credentials(file)) if file else ()
    history = _history(session, db)
    broker = mask(session.needed_broker())
    site.configure(site.Wishes(host, port, credentials, no_auth, history))
    flower = site.build(session.app)
    site.serve(flower, lambda url: _ready(console(), broker, history, url))


def _ready(out: Console, broker: str, history: Path, url: str) -> None:
    out.print(headed("broker", broker))
    out.print(headed("history", str(history)))
    out.print(headed("flower", f"{url} · GPUs at {url}/gpus"))
    out.print("ready: Ctrl-C stops", style="green")


def _history(session: Session, db: Path | None) -> Path:
    """The file of the history. It is read as a pickle, so nobody else may write to its folder.

    Raises:
        ConfigError: when somebody may, or there is no such folder.
    """
    if db is None:
        from gridq.private import private_dir

        return private_dir(private_dir(session.settings.runtime_dir) / "flower") / "history"
    folder = db.absolute().parent
    if not folder.is_dir() or folder.stat().st_mode & 0o002:
        got = "one that everybody may write to" if folder.is_dir() else "none"
        raise ConfigError(f"--db: expected the folder {folder} with your files only, got {got}", hint=f"mkdir {folder}")
    return db.absolute()
