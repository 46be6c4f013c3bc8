"""What the tests of replay share: a provider, the folder of shared recordings where it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contextkit import replay

from .making import PROVIDER


@pytest.fixture(scope="session")
def provider() -> replay.Provider:
    return replay.find_provider(PROVIDER)


@pytest.fixture(scope="session")
def shared_agents() -> Path:
    """The folder of recorded agent runs that are measured on and never shipped."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    folder = Path(os.environ.get("CONTEXTKIT_SHARED", beside)) / "data" / "agents"
    if not (folder / "sweagent_claude4_dev.jsonl.gz").exists():
        pytest.skip("data/agents/sweagent_claude4_dev.jsonl.gz is not in CONTEXTKIT_SHARED")
    return folder
