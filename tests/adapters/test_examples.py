"""Every example of a framework, as it stands in `examples/`, against a strict local provider."""

from __future__ import annotations

import gc
import re
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.answers import Answer, text_in
from tests.fakes.provider import FakeProvider

ROOT = Path(__file__).parents[2]
EXAMPLES, DOCS = ROOT / "examples", ROOT / "docs"
NEEDS = {
    "langchain_agent": ("langchain", "langchain_openai"),
    "langgraph_agent": ("langgraph", "langchain_openai"),
    "openai_agents_session": ("agents",),
    "pydantic_ai_agent": ("pydantic_ai",),
    "llama_index_agent": ("llama_index", "llama_index.llms", "llama_index.llms.openai"),
    "agent_framework_agent": ("agent_framework_openai",),
    "smolagents_agent": ("smolagents",),
    "wrap_anthropic": ("anthropic",),
}
"""The packages of each, parents first."""
DAYS = ("Friday", "Saturday", "Sunday", "Monday")

# Some frameworks leave their HTTP clients to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


def respond(body: dict[str, Any]) -> Answer:
    """Looks the flights up, then tells the cheapest; smolagents wants answers by a tool."""
    names = [tool.get("name") or tool["function"]["name"] for tool in body["tools"]]
    last = body["messages"][-1]
    said = text_in(last).rpartition("New task:")[2]
    if last["role"] == "tool" or "tool_result" in str(last) or "Observation:" in said:
        answer = f"TP{700 + said.count('EUR') - 1} is the cheapest."
        return Answer("", (("final_answer", {"answer": answer}),)) if names[1:] else Answer(answer)
    day = next(day for day in DAYS if day in said)
    return Answer("", (("find_flights", {"day": day}),))


@pytest.mark.parametrize("name", NEEDS)
def test_an_example(
    name: str,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for package in NEEDS[name]:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed here; make test-adapters runs this example")
    run_example(name, provider, monkeypatch, tmp_path, capsys)


def run_example(
    name: str,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Run it as a user would, in an empty folder, with the provider in place of the real one."""
    _as_user(provider, monkeypatch, folder)
    provider.respond = respond
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    gc.collect()
    shown = capsys.readouterr().out
    assert [seen.status for seen in provider.seen] == [200] * 8
    assert all(f"> Which flight is the cheapest on {day}?\nTP7" in shown for day in DAYS)
    assert "tool_results" in shown or "sliding_window" in shown  # the window was reached


PAGES = {
    "Pydantic-AI": "pydantic_ai",
    "smolagents": "smolagents",
    "OpenAI Agents SDK": "agents",
    "Microsoft Agent Framework": "agent_framework_openai",
    "Anthropic SDK, as a middleware": "anthropic",
}


@pytest.mark.parametrize("title", PAGES)
def test_the_block_of_a_page(
    title: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip(PAGES[title])
    run_block(title, provider, monkeypatch, tmp_path)


def run_block(
    title: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> dict[str, Any]:
    """Run the first block of a framework's section as it stands; what it has made.

    Most blocks set an agent up and ask nothing: they fail by a name or an argument that is none.
    """
    pages = (DOCS / name for name in ("adapters.md", "adapters_more.md"))
    text = "".join(page.read_text("utf-8") for page in pages)
    section = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    block = re.search(r"```py(?:thon)?\b[^\n]*\n(.*?)```", section, re.DOTALL)
    assert block, title
    _as_user(provider, monkeypatch, folder)
    (folder / "agent.yaml").write_text("policies: [sliding_window]\n", encoding="utf-8")
    made: dict[str, Any] = {}
    exec(compile(block[1], title, "exec"), made)  # noqa: S102  the block is the page's own
    gc.collect()
    assert not provider.refused
    return made


def _as_user(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """In an empty folder, with the provider in place of the real ones."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPENAI_BASE_URL", provider.openai_url)
    monkeypatch.setenv("OPENAI_API_BASE", provider.openai_url)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_AGENTS_DISABLE_TRACING", "1")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.origin)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
