"""Histories that threads are remembered from: in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contextkit.manager import ContextManager, load

Opened = Callable[..., ContextManager]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens a manager over one and the same SQLite file."""
    managers: list[ContextManager] = []

    def open_it(**config: object) -> ContextManager:
        url = f"sqlite:///{tmp_path / 'history.db'}"
        managers.append(load({"history": {"kind": "sql", "url": url}, **config}))
        return managers[-1]

    yield open_it
    for manager in managers:
        manager.close()
