"""Local checkpoints: open-weight models in this process; needs `contextkit[local]`."""

from contextkit_backends.local.backend import LocalBackend
from contextkit_backends.local.counter import HuggingFaceCounter

__all__ = ["HuggingFaceCounter", "LocalBackend"]
