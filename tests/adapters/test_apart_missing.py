"""Adapters whose framework is not installed say so in one sentence."""

from __future__ import annotations

import subprocess
import sys

import pytest

ADAPTERS = {
    "agent_framework": ("agent_framework", "agent-framework"),
    "anthropic_middleware": ("anthropic", "anthropic"),
    "autogen": ("autogen_core", "autogen"),
    "google_adk": ("google.adk", "google-adk"),
    "litellm": ("litellm", "litellm"),
    "openai_agents": ("agents", "openai-agents"),
    "strands": ("strands", "strands"),
}

TRY = """
import sys
from importlib import import_module
from contextkit.errors import ConfigError
for pair in sys.argv[1:]:
    adapter, framework = pair.split(":")
    sys.modules[framework] = None
    try:
        import_module(f"contextkit.adapters.{adapter}")
    except ConfigError as error:
        print(error)
"""


@pytest.fixture(scope="module")
def sentences() -> dict[str, str]:
    pairs = [f"{adapter}:{framework}" for adapter, (framework, _) in ADAPTERS.items()]
    told = subprocess.run(
        [sys.executable, "-c", TRY, *pairs], capture_output=True, text=True, check=True
    )
    return dict(zip(ADAPTERS, told.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_missing_framework_is_one_sentence(adapter: str, sentences: dict[str, str]) -> None:
    framework, extra = ADAPTERS[adapter]
    sentence = sentences[adapter]
    assert sentence.endswith(f'is not installed; pip install "contextkit[{extra}]"')
    assert framework.split(".")[0] in sentence
