"""The file into which the tasks of one child print, one task after the other, and the label that says which of them.

To make a file and to remove it again costs more than a small task, most of all on a disk that is busy with Redis' own
writes. So a task that has printed nothing leaves the pad to the next one; one that has printed takes it along: the file
gets the task's name, and the next task a new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

#: A label is a byte that says whether it holds, the name and a newline.
_HOLDS, _EMPTY = 1, 0
_LABEL = ".label"


class Pad:
    """The child's side.

    Args:
        folder: of the worker's pads.
        printed: where files go that hold something, each under its task's name.
    """

    def __init__(self, folder: Path, printed: Path) -> None:
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._label_path = _label_of(self._path)
        self._printed = printed
        self._label: mmap.mmap | None = None

    def begin(self, name: str) -> int:
        """A task begins.

        Args:
            name: of its file, ASCII, never used before.

        Returns:
            A descriptor to write to.

        Raises:
            OSError: when there is no room, or no descriptor is left.
        """
        # Both may have been tidied away, if nothing happened for weeks.
        if self._label is None or not self._label_path.exists():
            self._label = _mapped(self._label_path)
        file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        said = name.encode("ascii") + b"\n"
        self._label[1 : 1 + len(said)] = said
        self._label[0] = _HOLDS
        return file

    def end(self, file: int, name: str) -> None:
        """The task has ended; the descriptor is closed.

        Raises:
            OSError: when the task has closed it, or somebody has tidied up.
        """
        empty = os.fstat(file).st_size == 0
        os.close(file)
        # First of all: whoever sees the name before and after opening the file has opened this task's.
        if self._label is not None:
            self._label[0] = _EMPTY
        if not empty:
            self._path.rename(self._printed / name)
        elif not self._is_untouched():
            self._path.unlink(missing_ok=True)

    def _is_untouched(self) -> bool:
        """Whether nobody has the file open: no process that the task has left behind, and nobody who reads it.

        The kernel grants a lease to write on a file only to one who alone has it open. Should somebody open it at this
        very moment, the holder of the lease gets a signal, which is set to one that does nothing.
        """
        file = os.open(self._path, os.O_RDONLY)
        try:
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            # Or a file system without leases, where each task has a file of its own then.
            return False
        finally:
            os.close(file)
        return True


def pads(folder: Path) -> Iterator[Path]:
    """The files into which children's tasks print, whether one runs or not."""
    # A folder in which nothing happened for weeks may have been tidied away.
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            if path.suffix == _LABEL:
                yield path.with_suffix("")


def owner(pad: Path) -> str | None:
    """The name of the task that prints there now; None between two, and where nothing has been printed."""
    try:
        said = _label_of(pad).read_bytes()
        if said[:1] != bytes([_HOLDS]) or pad.stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    return said[1:].partition(b"\n")[0].decode("ascii", "replace")


def open_for(name: str, pad: Path) -> int | None:
    """A descriptor that reads what this task prints; None if it does not print there any more."""
    with contextlib.suppress(FileNotFoundError):
        file = os.open(pad, os.O_RDONLY | os.O_CLOEXEC)
        if owner(pad) == name:
            return file
        os.close(file)
    return None


def collect(pad: Path, printed: Path) -> None:
    """Take the pad of a child that is gone out of the way; what its last task has printed gets that task's name."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(int(pad.name.partition("-")[0]), 0)
        return
    name = owner(pad)
    with contextlib.suppress(FileNotFoundError):
        if name is not None:
            pad.rename(printed / name)
        else:
            pad.unlink()
    remove(pad)


def remove(pad: Path) -> None:
    """Remove what is left of a pad."""
    pad.unlink(missing_ok=True)
    _label_of(pad).unlink(missing_ok=True)


def _label_of(pad: Path) -> Path:
    return pad.with_name(pad.name + _LABEL)


def _mapped(label: Path) -> mmap.mmap:
    label.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(label, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        # Where there is no room for it the task would die of writing to it.
        os.posix_fallocate(file, 0, mmap.PAGESIZE)
        return mmap.mmap(file, mmap.PAGESIZE)
    finally:
        os.close(file)
