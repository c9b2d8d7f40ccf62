"""Options that several commands have."""

from __future__ import annotations

import click

from gridq.units import parse_seconds


def seconds(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """`10m`, `90s`, `2h`, as the callback of an option."""
    try:
        return None if value is None else parse_seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
