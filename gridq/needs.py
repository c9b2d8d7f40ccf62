"""What a task asks for: GPUs, memory, models, a node; checked where it is written, before anything is published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

from gridq.errors import NeedError, suggestion
from gridq.units import MIB, format_bytes, parse_bytes

#: The keywords of `@app.task(...)` and `apply_async(...)` that speak of needs.
NEED_NAMES = ("gpu", "gpus", "vram", "models", "node")

#: `priority="high"`: kombu's Redis lists are read from step 0 on, so the smallest number goes first.
PRIORITIES = {"high": 0, "normal": 3, "low": 6}

MAX_GPUS = 64


@dataclass(frozen=True, slots=True)
class Needs:
    """What one task needs.

    Attributes:
        gpu: whether it needs a GPU at all.
        gpus: how many GPUs of one node, 1 to 64.
        vram: bytes of free memory on each of them, 1 MiB at least; 0 when not said.
        models: parts of GPU model names, any of which will do; empty means any model.
        node: the one node on which it may run; None means any.
    """

    gpu: bool = False
    gpus: int = 1
    vram: int = 0
    models: tuple[str, ...] = ()
    node: str | None = None

    @classmethod
    def of(cls, **words: Any) -> Self:
        """Needs from the words of a decorator or a call; None means "not said".

        Asking for `gpus`, `vram` or `models` implies `gpu=True`.

        Raises:
            NeedError: for an unknown word or a wrong value.
        """
        return cls().override(**words)

    def override(self, **words: Any) -> Self:
        """These needs with the given words in place of the own ones."""
        given = {name: _CHECKS[name](value) for name, value in _known(words).items() if value is not None}
        if given.keys() & {"gpus", "vram", "models"}:
            given.setdefault("gpu", True)
        if given.get("gpu") is False and given.keys() & {"gpus", "vram", "models"}:
            raise NeedError("expected gpus, vram and models only together with gpu=True, got gpu=False")
        if given.get("gpu") is False:
            # What the task declared of its GPUs must not travel on: it would ask for a GPU again.
            given |= {"gpus": 1, "vram": 0, "models": ()}
        fields = {name: getattr(self, name) for name in NEED_NAMES}
        return type(self)(**(fields | given))

    def to_message(self) -> dict[str, Any]:
        """The needs as they travel in a message's `gridq` header; only what was said."""
        plain = {name: getattr(self, name) for name in NEED_NAMES}
        plain["models"] = list(self.models)
        return {name: value for name, value in plain.items() if value != _UNSAID[name]}

    @classmethod
    def from_message(cls, header: object) -> Self:
        """Needs from a message's `gridq` header.

        Raises:
            NeedError: when the header is not what `to_message` writes.
        """
        if not isinstance(header, Mapping):
            raise NeedError(f"expected a mapping of needs in the message's gridq header, got {header!r}")
        vram = header.get("vram", 0)
        if not isinstance(vram, int):
            raise NeedError(f"expected a whole number of bytes as vram in the message's gridq header, got {vram!r}")
        return cls.of(**{str(name): value for name, value in header.items() if name in NEED_NAMES})

    def __str__(self) -> str:
        if not self.gpu:
            return "cpu" + (f" node={self.node}" if self.node else "")
        parts = [f"gpus={self.gpus}"] if self.gpus > 1 else ["gpu"]
        if self.vram:
            parts.append(f"vram={format_bytes(self.vram)}")
        if self.models:
            parts.append(f"models={'|'.join(self.models)}")
        if self.node:
            parts.append(f"node={self.node}")
        return " ".join(parts)


def describe(header: object) -> str:
    """The needs of a message's `gridq` header for people; what stands there, where it is not what gridq writes."""
    try:
        return str(Needs.from_message(header))
    except NeedError:
        return f"not to be read: {header!r}"


_UNSAID: dict[str, Any] = {"gpu": False, "gpus": 1, "vram": 0, "models": [], "node": None}


def priority_number(priority: object) -> int:
    """Celery's number for `high`, `normal`, `low` or a number from 0 (first) to 9 (last).

    Raises:
        NeedError: for anything else.
    """
    if isinstance(priority, str) and priority in PRIORITIES:
        return PRIORITIES[priority]
    if isinstance(priority, int) and not isinstance(priority, bool) and 0 <= priority <= 9:
        return priority
    raise NeedError(f"expected priority to be high, normal, low or a number from 0 (first) to 9, got {priority!r}")


def misspelt(words: Iterable[str]) -> tuple[str, str] | None:
    """The first of the words that is almost, but not quite, the name of a need, and that name."""
    for word in words:
        meant = _almost_a_need(word)
        if meant:
            return word, meant
    return None


@lru_cache(maxsize=1024)
def _almost_a_need(word: str) -> str | None:
    if word in NEED_NAMES:
        return None
    return next((name for name in NEED_NAMES if _is_slip(word, name)), None)


def _is_slip(word: str, name: str) -> bool:
    """Whether a word is a name with one letter too many or too few, or with two letters swapped.

    No more than that: `mode`, `code`, `note` and `cpus` are one letter from a need, and words of their own.
    """
    if word[:1] != name[:1] or len(name) < 4:
        return False
    longer, shorter = (word, name) if len(word) > len(name) else (name, word)
    if len(longer) == len(shorter) + 1:
        return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))
    swaps = (name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in range(len(name) - 1))
    return word in swaps


def _known(words: Mapping[str, Any]) -> Mapping[str, Any]:
    for word in words:
        if word not in NEED_NAMES:
            raise NeedError(
                f"expected a need ({', '.join(NEED_NAMES)}), got {word!r}", hint=suggestion(word, NEED_NAMES)
            )
    return words


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise NeedError(f"expected gpu to be True or False, got {value!r}", hint="how many GPUs is said with gpus=2")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_GPUS:
        raise NeedError(f"expected gpus to be a whole number from 1 to {MAX_GPUS}, got {value!r}")
    return value


def _memory(value: object) -> int:
    try:
        amount = parse_bytes(value)
    except ValueError as error:
        raise NeedError(f"vram: {error}", hint='write it as in vram="12GiB"') from None
    # Nobody means 12 bytes: a forgotten unit would let the task start on any GPU.
    if 0 < amount < MIB:
        hint = 'a number without a unit is bytes; write it as in vram="12GiB"'
        raise NeedError(f"vram: expected 1MiB or more, got {value!r}", hint=hint)
    return amount


def _models(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(
        isinstance(n, str) and re.search("[A-Za-z0-9]", n) for n in names
    ):
        raise NeedError(f'expected models to be a name or names such as ["H100", "A100"], got {value!r}')
    return tuple(sorted({name.strip() for name in names}))


def _node(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or set(value) & set("@ \t\n\0"):
        raise NeedError(f"expected node to be a host's name without spaces or '@', got {value!r}")
    return value


_CHECKS = {"gpu": _flag, "gpus": _count, "vram": _memory, "models": _models, "node": _node}
