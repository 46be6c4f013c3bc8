"""What the tests of adapters share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contextkit import ContextManager

from .scenario import made


@pytest.fixture
def manager() -> Iterator[ContextManager]:
    with made() as manager:
        yield manager
