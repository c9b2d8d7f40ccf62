"""A worker's lease as its own processes see it: who it is, and until when it may hold tasks."""

from __future__ import annotations

import os
import secrets
import signal
from pathlib import Path

from gridq.store.leases import Claimant, Terms
from gridq.worker.deadline import SharedEnd, now


class Lease:
    """This worker's lease.

    Args:
        name: the worker's name.
        name_lock: the file whose lock this process holds for the name.
        terms: how long it lasts.
        node: the host.
    """

    def __init__(self, name: str, name_lock: Path, terms: Terms, node: str = "") -> None:
        self.name = name
        self.node = node
        self.terms = terms
        self.end = SharedEnd()
        self.epoch: str | None = None
        self._lock = _identity(name_lock)
        self._token = secrets.token_hex(8)

    @property
    def claimant(self) -> Claimant:
        """This incarnation of the worker."""
        return Claimant(self.name, self._token, self._lock, self.node)

    def reincarnate(self) -> None:
        """After a lease was lost: whoever held it is no more."""
        self._token = secrets.token_hex(8)

    def renewed(self, sent_at: float) -> None:
        """The lease runs from the moment before its renewal was sent, so it ends here before it ends in Redis."""
        self.end.ends = sent_at + self.terms.lease

    def lost(self) -> None:
        """The lease is another's, or nobody's: the guard acts at once."""
        self.end.ends = 0.0

    @property
    def holds(self) -> bool:
        """Whether tasks may run."""
        return now() < self.end.ends

    def insist(self) -> None:
        """In a child: end here and now if the lease has ended, so that nothing is started or stored without it."""
        if not self.holds:
            os.kill(os.getpid(), signal.SIGKILL)


def _identity(file: Path) -> str:
    """What tells this lock file from every other, on this machine since it was started."""
    status = file.stat()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{status.st_dev}:{status.st_ino}"
