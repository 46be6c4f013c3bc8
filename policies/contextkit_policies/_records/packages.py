"""Packages that only the graph needs, imported when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from contextkit.errors import ConfigError


def require(package: str, extra: str) -> Any:
    """The package. Raises `ConfigError` naming the extra that brings it."""
    try:
        return import_module(package)
    except ImportError:
        raise ConfigError(
            f"graph_of_records: needs {package}, which is not installed; "
            f"pip install 'contextkit[{extra}]'"
        ) from None
