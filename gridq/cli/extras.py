"""Libraries that only some commands need: who lacks one is told which extra brings it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gridq.errors import GridqError


@contextmanager
def extra(name: str, library: str) -> Iterator[None]:
    """For the imports of a command that needs a library of an extra.

    Raises:
        GridqError: when an import in the block fails.
    """
    try:
        yield
    except ImportError as error:
        raise GridqError(
            f"expected {library} to be installed, got: {error}", hint=f"pip install 'gridq[{name}]'"
        ) from error
