"""A library that begins to use CUDA when it is imported; it also notes in which process that was."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from ledger import VARIABLE

#: The path of a stand-in for the driver's library.
LIBRARY = "SHOP_CUDA"

Path(os.environ[VARIABLE]).with_name(f"likecupy.{os.getpid()}").touch()
if LIBRARY in os.environ:
    ctypes.CDLL(os.environ[LIBRARY]).fake_use()


class LikeCupyError(Exception):
    """What it raises."""
