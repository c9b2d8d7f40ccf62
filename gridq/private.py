"""Directories that no other user may enter."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gridq.errors import ConfigError


def private_dir(path: Path) -> Path:
    """The directory, made with mode 0700 where it is missing, if nobody else can write to it.

    Raises:
        ConfigError: when it is another user's, or open to other users.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    # A directory under /tmp that someone else made first could hand us a file of theirs as ours.
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ConfigError(
            f"expected {path} to be a directory of yours that only you can write to, "
            f"got owner {status.st_uid} and mode {stat.S_IMODE(status.st_mode):04o}",
            hint="set runtime_dir to a directory of your own, mode 0700",
        )
    return path
