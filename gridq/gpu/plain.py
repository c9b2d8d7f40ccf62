"""Dataclasses from JSON that another version may have written: what it says more is ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any


def known(kind: type, plain: Mapping[str, Any]) -> dict[str, Any]:
    """The items of `plain` that are fields of a dataclass."""
    return {field.name: plain[field.name] for field in fields(kind) if field.name in plain}
