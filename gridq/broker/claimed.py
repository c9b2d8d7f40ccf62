"""A message that was claimed, as claim.lua hands it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that was claimed: from which list, how often it came back from a worker before, and how often it was
    claimed, this time included (0 where its task has no record)."""

    queue: str
    suffix: str
    raw: str
    requeues: int
    attempt: int

    @classmethod
    def of(cls, reply: Sequence[Any]) -> Self:
        """The message in claim.lua's answer."""
        queue, raw, _, requeues, suffix, attempt = reply
        return cls(bytes_to_str(queue), bytes_to_str(suffix), bytes_to_str(raw), int(requeues), int(attempt))

    def read(self) -> tuple[dict[str, Any], str | None]:
        """What kombu wrote, or why it is no message of kombu's."""
        try:
            payload = loads(self.raw)
            payload["properties"].get("delivery_info")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return {}, f"it is not a kombu message: {type(error).__name__}: {error}"
        return payload, None
