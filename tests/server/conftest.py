"""The proxy in front of the fake provider, with a window in which nothing has to leave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from contextkit.server.settings import Settings
from tests.fakes.provider import FakeProvider
from tests.server.running import Running, http, manager_of, serving


@pytest.fixture(scope="session", autouse=True)
def _closed_at_the_end() -> Iterator[None]:
    yield
    http.close()


@pytest.fixture
def proxy(provider: FakeProvider) -> Iterator[Running]:
    with serving(manager_of(), Settings(upstream=provider.origin)) as running:
        yield running


@pytest.fixture
def tight(provider: FakeProvider) -> Iterator[Running]:
    """The same with a window that a long conversation does not fit."""
    with serving(manager_of(4096), Settings(upstream=provider.origin)) as running:
        yield running
