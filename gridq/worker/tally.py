"""What a worker counts of itself from its start on, and tells with its heartbeats."""

from __future__ import annotations

from collections import Counter

#: How many kinds of XID are told apart on a GPU; further ones count as `other`. Few drivers know more than two hundred.
MOST_XIDS = 32
OTHER = "other"


class Tally:
    """The counts; they begin anew with the worker, as Prometheus expects of counters.

    Attributes:
        round_trip: seconds that Redis took to answer the last heartbeat; None before the first answer.
        idle_while_waiting: seconds in which the worker took work and ran nothing, while work that fits it waited.
    """

    def __init__(self) -> None:
        self.round_trip: float | None = None
        self.idle_while_waiting = 0.0
        self._starving_since: float | None = None
        self._xids: dict[str, Counter[str]] = {}

    def renewed(self, sent_at: float, answered_at: float, *, starving: bool, ran_at: float) -> None:
        """A heartbeat was answered.

        Args:
            sent_at, answered_at: seconds of `deadline.now()`.
            starving: whether the worker took work and ran nothing, and work that fits it waited.
            ran_at: when its last task ended, by the same clock. A time between two heartbeats counts if the worker was
                starving at both ends and ran nothing between.
        """
        self.round_trip = round(answered_at - sent_at, 6)
        since = self._starving_since
        if starving and since is not None and ran_at < since:
            self.idle_while_waiting += sent_at - since
        self._starving_since = sent_at if starving else None

    def count_xid(self, uuid: str, number: int) -> None:
        """An XID error happened on this GPU."""
        counts = self._xids.setdefault(uuid, Counter())
        known = str(number) in counts or len(counts) < MOST_XIDS
        counts[str(number) if known else OTHER] += 1

    def xids(self, uuid: str) -> dict[str, int]:
        """How often each XID has happened on this GPU, by number."""
        return dict(self._xids.get(uuid, ()))
