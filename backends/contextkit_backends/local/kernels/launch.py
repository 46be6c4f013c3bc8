"""How the kernels of a decode step are launched: tile sizes by shape, measured on an H200."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class GemvConfig:
    """Output rows of one program, columns it reads at a time, and its warps."""

    rows: int
    block: int
    warps: int


# (outputs, inputs, pairs of rows): the shapes of Llama models of 1.2 B and 8 B.
_MEASURED = {
    (1536, 2048, True): GemvConfig(2, 1024, 2),
    (2048, 2048, False): GemvConfig(2, 1024, 1),
    (8192, 2048, True): GemvConfig(4, 256, 1),
    (2048, 8192, False): GemvConfig(4, 2048, 8),
    (128256, 2048, False): GemvConfig(4, 2048, 4),
    (3072, 4096, True): GemvConfig(2, 512, 1),
    (4096, 4096, False): GemvConfig(4, 1024, 4),
    (14336, 4096, True): GemvConfig(1, 512, 1),
    (4096, 14336, False): GemvConfig(2, 1024, 2),
    (128256, 4096, False): GemvConfig(8, 256, 1),
}


def gemv_config(n_out: int, n_in: int, *, paired: bool) -> GemvConfig:
    """The tile for `n_out` outputs, each from one row of `n_in` weights or from a pair of rows."""
    default = GemvConfig(2, 512, 1) if paired else GemvConfig(4, 1024, 4)
    return _MEASURED.get((n_out, n_in, paired), default)


def interpreted() -> bool:
    """Whether Triton runs its kernels in Python, for tests without a GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def overlaps(tensor: Any) -> bool:
    """Whether a kernel may start before the one in front has ended (Hopper and later)."""
    if not tensor.is_cuda or interpreted():
        return False
    return bool(torch.cuda.get_device_capability(tensor.device)[0] >= 9)
