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
    trouble = objection(path)
    if trouble is not None:
        raise ConfigError(
            f"expected {path} to be a directory of yours that only you can write to, got {trouble}",
            hint="set runtime_dir to a directory of your own, mode 0700",
        )
    return path


def objection(path: Path) -> str | None:
    """Why the directory, which is there, is not ours alone; None where it is."""
    status = path.lstat()
    # A directory under /tmp that someone else made first could hand us a file of theirs as ours.
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022:
        return None
    kind = "" if stat.S_ISDIR(status.st_mode) else "no directory, "
    return f"{kind}owner {status.st_uid} and mode {stat.S_IMODE(status.st_mode):04o}"
