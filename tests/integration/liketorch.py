"""A task module that asks for a GPU at its top, as PyTorch answers that: by CUDA, unless it is told not to."""

from __future__ import annotations

import ctypes
import os

if os.environ.get("PYTORCH_NVML_BASED_CUDA_CHECK") != "1":
    ctypes.CDLL(os.environ["SHOP_CUDA"]).fake_use()
