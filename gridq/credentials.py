"""Files of names and passwords, which nobody else may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gridq.errors import ConfigError

_HINT = "one line for each user: umask 077; printf 'ada:%s\\n' \"$(openssl rand -hex 16)\" > FILE"


def read_credentials(file: Path) -> list[str]:
    """The `name:password` lines of a file.

    Raises:
        ConfigError: when others may read it, or it holds anything else. The error never shows what the file holds.
    """
    try:
        status, lines = file.stat(), file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: expected a readable file of credentials, got: {error}", hint=_HINT) from error
    # A group may read it: that is how Kubernetes and systemd hand secrets to a process.
    if status.st_mode & 0o027 or status.st_uid not in (os.geteuid(), 0):
        got = f"mode {stat.S_IMODE(status.st_mode):04o} and owner {status.st_uid}"
        raise ConfigError(f"expected {file} to be read by you alone, got {got}", hint=f"chmod 600 {file}")
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1)]
    numbered = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    if not numbered:
        raise ConfigError(f"{file}: expected at least one line `name:password`, got none", hint=_HINT)
    for number, line in numbered:
        name, colon, password = line.partition(":")
        if not (name and colon and password):
            raise ConfigError(f"{file}:{number}: expected `name:password`, got a line without one of them", hint=_HINT)
    return [line for _, line in numbered]
