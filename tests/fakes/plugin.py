"""Pytest fixtures: one fake provider a session, cleared for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .provider import FakeProvider


@pytest.fixture(scope="session")
def running_provider() -> Iterator[FakeProvider]:
    provider = FakeProvider()
    provider.start()
    yield provider
    provider.stop()


@pytest.fixture
def provider(running_provider: FakeProvider) -> FakeProvider:
    """A local provider that speaks OpenAI chat, OpenAI Responses and Anthropic messages."""
    running_provider.reset()
    return running_provider
