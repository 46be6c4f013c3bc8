"""Memory for pages."""

from __future__ import annotations

import math
import mmap
from typing import Any

import torch

CPU_POOL_BYTES = 1 << 30
GPU_POOL_SHARE = 0.8


def free_bytes(device: Any) -> int:
    """What a pool may take where nobody said how much."""
    if torch.device(device).type != "cuda":
        return CPU_POOL_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return int(free * GPU_POOL_SHARE)


def zeros(shape: tuple[int, ...], dtype: Any, device: Any) -> Any:
    """A tensor of zeros; on a CPU its memory is taken when it is first written, not now.

    Pages are zeroed, since a masked weight of 0 times what lies in fresh memory may be NaN.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    n_bytes = math.prod(shape) * dtype.itemsize
    private = (
        {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    )
    return torch.frombuffer(mmap.mmap(-1, n_bytes, **private), dtype=dtype).view(shape)
