"""Warnings that point at the line of whoever called, not at one of ours or of Celery's."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import celery
import kombu

_GRIDQ = Path(__file__).parents[1]
_PASSED_OVER = tuple(f"{folder}{os.sep}" for folder in (_GRIDQ, *celery.__path__, *kombu.__path__))


def warn_caller(warning: Warning) -> None:
    """Warn, at the nearest line that is neither gridq's nor Celery's nor kombu's."""
    # Counted by hand: `skip_file_prefixes` says the same, but Python 3.11 has it not.
    level, frame = 1, sys._getframe()
    while frame.f_code.co_filename.startswith(_PASSED_OVER) and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    warnings.warn(warning, stacklevel=level)
