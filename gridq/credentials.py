"""Files of passwords, which nobody else may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gridq.errors import ConfigError

_USERS_HINT = "one line for each user: umask 077; printf 'ada:%s\\n' \"$(openssl rand -hex 16)\" > FILE"
_PASSWORD_HINT = "the password and nothing else: umask 077; openssl rand -hex 24 > FILE"  # nosec B105 # a hint


def read_credentials(file: Path) -> list[str]:
    """The `name:password` lines of a file.

    Raises:
        ConfigError: when others may read it, or it holds anything else. The error never shows what the file holds.
    """
    numbered = [(number, line.strip()) for number, line in enumerate(_lines(file, "credentials", _USERS_HINT), 1)]
    numbered = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not numbered:
        raise ConfigError(f"{file}: expected at least one line `name:password`, got none", hint=_USERS_HINT)
    for number, line in numbered:
        name, colon, password = line.partition(":")
        if not (name and colon and password):
            got = "a line without one of them"
            raise ConfigError(f"{file}:{number}: expected `name:password`, got {got}", hint=_USERS_HINT)
    return [line for _, line in numbered]


def read_password(file: Path) -> str:
    """The one password that a file holds, without the line's end.

    Raises:
        ConfigError: when others may read it, or it holds anything else. The error never shows what the file holds.
    """
    lines = _lines(file, "a password", _PASSWORD_HINT)
    if len(lines) != 1 or not lines[0]:
        raise ConfigError(f"{file}: expected a password on one line, got {len(lines)} lines", hint=_PASSWORD_HINT)
    if not lines[0].isprintable() or lines[0] != lines[0].strip():
        got = "spaces around it or what cannot be printed"
        raise ConfigError(f"{file}: expected a password on one line, got {got}", hint=_PASSWORD_HINT)
    return lines[0]


def _lines(file: Path, what: str, hint: str) -> list[str]:
    """The lines of a file that nobody else may read or change."""
    try:
        status, lines = file.stat(), file.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        # The error itself quotes the bytes.
        raise ConfigError(
            f"{file}: expected a readable file of {what}, got no UTF-8: {error.reason}", hint=hint
        ) from None
    except OSError as error:
        raise ConfigError(f"{file}: expected a readable file of {what}, got: {error}", hint=hint) from error
    # A group may read it: that is how Kubernetes and systemd hand secrets to a process.
    if status.st_mode & 0o027 or status.st_uid not in (os.geteuid(), 0):
        got = f"mode {stat.S_IMODE(status.st_mode):04o} and owner {status.st_uid}"
        raise ConfigError(f"expected {file} to be read by you alone, got {got}", hint=f"chmod 600 {file}")
    return lines
