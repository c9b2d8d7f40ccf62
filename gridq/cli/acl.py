"""`gridq acl`: what each role may do in Redis, as lines of its users.acl."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import click

from gridq.cli.look import emit_json
from gridq.store import acl

#: Redis refuses to start with it, so that nobody forgets to put a password there.
_PLACEHOLDER = "#SHA256-OF-THE-PASSWORD"
_PREFIX = re.compile(r"[\w.:@+/{}-]*")
#: A pattern of queues must not be one of keys that are no queues.
_TAKEN = ("gridq:", "_kombu.", "unacked", "celeryev.", "celery-task")


def _prefix(context: click.Context, option: click.Parameter, value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise click.BadParameter(f"expected letters, digits and any of . : @ + / {{ }} - _, got {value!r}")
    return value


def _queues(context: click.Context, option: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for queue in value:
        name = queue.removesuffix("*")
        if not name or not _PREFIX.fullmatch(name):
            raise click.BadParameter(f"expected the name of a queue, or the beginning of some and a *, got {queue!r}")
        if name.startswith(_TAKEN) or (queue.endswith("*") and any(other.startswith(name) for other in _TAKEN)):
            raise click.BadParameter(f"expected queues alone, got {queue!r}, a name that other keys of a fleet have")
    return value


@click.command(name="acl", epilog="Example:  gridq acl worker --password-file /etc/gridq/worker-password")
@click.argument("role", required=False, type=click.Choice(acl.ROLES))
@click.option("--user", metavar="NAME", callback=_prefix, default="", help="The user's name. [default: the role's]")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Its password, of which the SHA-256 is printed, as Redis takes it.",
)
@click.option("--prefix", callback=_prefix, default="", help="The global_keyprefix of the broker.")
@click.option("--results-prefix", callback=_prefix, default="", help="The global_keyprefix of the result backend.")
@click.option(
    "--database",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    metavar="N",
    help="The number in the broker's URL.",
)
@click.option(
    "--queue",
    "queues",
    multiple=True,
    callback=_queues,
    metavar="NAME",
    help="A queue beside gridq's own, or NAME* for all that begin so. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: role and rules, without users and passwords.")
def command(role: str | None, user: str, password_file: Path | None, as_json: bool, **scope: Any) -> None:
    """Print what users of Redis may do, ready for its users.acl; all roles, or one.

    A producer publishes and reads results, a worker works, a monitor reads, an operator is a monitor who also cancels,
    drains, retries and gives orders. For Redis 7 and newer, and for Valkey.
    """
    from gridq.credentials import read_password

    if (user or password_file) and role is None:
        raise click.UsageError("expected a role with --user and --password-file, got none")
    lines = {name: " ".join(acl.rules(name, acl.Scope(**scope))) for name in ([role] if role else acl.ROLES)}
    if as_json:
        emit_json(lines)
        return
    password = _PLACEHOLDER
    if password_file is not None:
        password = "#" + hashlib.sha256(read_password(password_file).encode()).hexdigest()
    if role is None:
        click.echo(acl.DEFAULT_USER)
    for name, rules in lines.items():
        click.echo(f"user {user or name} on {password} {rules}")
