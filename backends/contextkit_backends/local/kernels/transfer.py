"""Numbers between the host and where the model is, without waiting for what runs there.

A copy out of ordinary memory waits until the GPU has done all that it was told before; one out of pinned
memory, or into it, takes its turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def bring(values: Any, device: Any) -> Any:
    """A tensor of the host on `device`."""
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)


def fetch(values: Any) -> Callable[[], Any]:
    """A copy to the host, on its way from now on; what is returned waits for it and gives it as numpy."""
    if not values.is_cuda:
        return lambda: values.cpu().numpy()
    import torch

    found = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    found.copy_(values, non_blocking=True)
    event: Any = torch.cuda.Event
    there = event()
    there.record()

    def wait() -> Any:
        there.synchronize()
        return found.numpy()

    return wait
