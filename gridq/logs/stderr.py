"""What commands say of their own doings: on stderr, apart from what they print."""

from __future__ import annotations

import logging
import sys
from functools import cached_property

from gridq.errors import ConfigError


def log_to_stderr(level: str) -> None:
    """Write the records of this process from that level on: DEBUG, INFO, WARNING, ERROR or CRITICAL."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Late())
    logging.basicConfig(level=level, handlers=[handler])


class _Late(logging.Formatter):
    """A formatter that is made for the first record: most commands have nothing to say, and need not wait for it."""

    @cached_property
    def _made(self) -> logging.Formatter:
        from gridq import config
        from gridq.logs.line import formatter
        from gridq.logs.mask import Mask

        try:
            form = config.load().log_format
        except ConfigError:
            # The command itself says so, if it needs the settings.
            form = "console"
        return formatter(form, dict, Mask(), colors=sys.stderr.isatty())

    def format(self, record: logging.LogRecord) -> str:
        return self._made.format(record)
