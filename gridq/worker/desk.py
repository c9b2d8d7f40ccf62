"""Where a worker and the processes of its tasks leave word for each other: four folders.

A file's name is its claim and its task, so that what a worker that was killed has left can still be told apart.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote

from gridq.private import private_dir

#: What file systems allow is 255 bytes.
_LONGEST = 240


@dataclass(frozen=True, slots=True)
class Desk:
    """The folders of one worker.

    Attributes:
        pads: what tasks print while they run, a file for each child, see worker/pad.py.
        printed: what tasks have printed, a file for each.
        reported: how far they are, a file for each.
        broken: which children cannot go on, see worker/stale.py.
    """

    pads: Path
    printed: Path
    reported: Path
    broken: Path

    @classmethod
    def of(cls, runtime_dir: Path, worker: str) -> Self:
        """Those of the worker of that name, made where they are missing.

        Raises:
            ConfigError: when somebody else could write to them.
            OSError: when they cannot be made.
        """
        own = runtime_dir / "output" / worker.replace("/", "_")
        for folder in (own.parent, own):
            private_dir(folder)
        return cls(*(private_dir(own / name) for name in ("pads", "printed", "reported", "broken")))

    def remove(self) -> None:
        """Remove the folders, if nothing is left in them."""
        with contextlib.suppress(OSError):
            for folder in (self.pads, self.printed, self.reported, self.broken, self.printed.parent):
                folder.rmdir()


def file_name(claim: str, task_id: str) -> str:
    """The name of a task's files. A claim is never used twice, so a name cut short is still this claim's alone."""
    return f"{claim}.{quote(task_id, safe='')}"[:_LONGEST]


def parse_name(name: str) -> tuple[str, str]:
    """The claim and the task's id; of an id too long for a file's name, as much as is there."""
    claim, _, task_id = name.partition(".")
    return claim, unquote(task_id)
