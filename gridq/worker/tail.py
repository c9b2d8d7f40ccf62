"""A file that a task prints into, read while it grows and kept small."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import signal
from collections import deque

from gridq.store.output import Part

#: Bytes of the file that are read into one part at most.
PART = 16 * 1024
#: When so much of a file has been read, it is emptied once all has been; when so much, whatever else there is.
_READ_ENOUGH, _TOO_MUCH = 1024 * 1024, 16 * 1024 * 1024


class Tail:
    """What one file holds, in parts, from its beginning to its end. The file may be renamed meanwhile.

    Args:
        file: a descriptor that reads it; it belongs to the tail from now on.
        most: bytes that wait here to be taken at most; of more, the latest are kept.
    """

    def __init__(self, file: int, most: int) -> None:
        self._most = most
        self._file = file
        self._at = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._gap = 0
        self._waiting = 0
        self.parts: deque[Part] = deque()

    def look(self) -> list[Part]:
        """Read what has come since the last look; returns the new parts, which are appended to `parts` too.

        A task that prints faster than this is called, times `most`, is read from the latest on only.
        """
        size = os.fstat(self._file).st_size
        if size < self._at:
            # Somebody has emptied it; `command > /dev/stdout` does.
            self._at = 0
        if size - self._at > self._most:
            self._gap += size - self._at - self._most
            self._at = size - self._most
        fresh: list[Part] = []
        while data := os.pread(self._file, min(PART, self._most, size - self._at), self._at):
            self._at += len(data)
            self._take(self._decoder.decode(data), fresh)
        if self._at >= _READ_ENOUGH:
            self._empty()
        return fresh

    def finish(self) -> list[Part]:
        """The last look: what is there of a character that was never completed comes too."""
        fresh = self.look()
        self._take(self._decoder.decode(b"", final=True), fresh)
        return fresh

    def taken(self) -> None:
        """The first of the parts has arrived where it should."""
        self._waiting -= len(self.parts.popleft().text)

    @property
    def is_written(self) -> bool:
        """Whether some process still has the file open to write, such as one that a task has left behind.

        The kernel grants a lease on a file only where nobody has. Should somebody open it at this very moment, the
        holder of the lease gets a signal, which is set to one that does nothing.
        """
        try:
            fcntl.fcntl(self._file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(self._file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(self._file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
        except OSError:
            # A file system without leases: then nobody is awaited.
            return False
        return False

    def close(self) -> None:
        """All has been read: give the disk back its room, also where a process that was forked meanwhile holds the file
        open."""
        with contextlib.suppress(OSError):
            self._truncate()
        os.close(self._file)

    def _take(self, text: str, fresh: list[Part]) -> None:
        """Append a part, if there is one, and drop the oldest of those for which there is no room."""
        if not text:
            return
        part, self._gap = Part(text, self._gap), 0
        fresh.append(part)
        self.parts.append(part)
        self._waiting += len(text)
        while self._waiting > self._most and len(self.parts) > 1:
            lost, first = self.parts.popleft(), self.parts.popleft()
            self._waiting -= len(lost.text)
            gap = lost.gap + len(lost.text.encode("utf-8", "replace")) + first.gap
            self.parts.appendleft(Part(first.text, gap))

    def _empty(self) -> None:
        """Give the disk back its room. Whoever writes appends, so the next byte is the first again. What comes between
        the look and this is lost, a few microseconds' worth of megabytes."""
        unread = os.fstat(self._file).st_size - self._at
        if unread and self._at < _TOO_MUCH:
            return
        with contextlib.suppress(OSError):
            self._truncate()
            self._at = 0
            self._gap += max(0, unread)

    def _truncate(self) -> None:
        # By name it might be another file meanwhile; and this descriptor is none to write with, see is_written.
        os.truncate(f"/proc/self/fd/{self._file}", 0)
