"""Frameworks that may not be installed: imported when their adapter is, or one clear sentence."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from contextkit.adapters._framework import missing


def needed(module: str, extra: str) -> Any:
    """The framework's module. Raises `ConfigError` naming the extra that brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise missing(extra.replace("-", "_"), extra, error) from error
