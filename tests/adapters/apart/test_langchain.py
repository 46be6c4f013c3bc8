"""The examples of LangChain and LangGraph, whose OpenAI package is none of the others' environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.test_examples import run_block, run_example
from tests.fakes.provider import FakeProvider

pytest.importorskip("langchain_openai")


@pytest.mark.parametrize("name", ["langchain_agent", "langgraph_agent"])
def test_an_example(
    name: str,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_example(name, provider, monkeypatch, tmp_path, capsys)


def test_the_block_of_the_page(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_block("LangChain", provider, monkeypatch, tmp_path)
