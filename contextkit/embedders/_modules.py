"""Imports the library of an embedder at its first use; a missing one is one clear sentence."""

from __future__ import annotations

import importlib
from typing import Any

from contextkit.errors import ConfigError


def require(module: str, *, kind: str) -> Any:
    """The module, imported now; `ConfigError` names the extra (it is called like the kind)."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise ConfigError(
            f'embedder {kind}: {missing} is not installed; pip install "contextkit[{kind}]"'
        ) from error
