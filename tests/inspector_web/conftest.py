"""What the tests of the web inspector share: a store with a lived-in thread, a client, a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("jinja2", reason="jinja2 is not installed")

import httpx

import contextkit
from contextkit.backend import Reply
from contextkit.inspector.web import create_app, running
from contextkit.messages import text_message
from contextkit.thread import Thread
from contextkit.usage import Usage

TURNS = 40
LOST = 6
HOSTILE = (
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'> \x00\x1b[31m "
    "\u202egnp.exe \u05e9\u05dc\u05d5\u05dd {{ 7 * 7 }} end"
)
NAME = "a/<b>&\"' \u05e9\u05dc\u05d5\u05dd"

Get = Callable[..., Any]


def manager_of(history: Any, **more: Any) -> contextkit.ContextManager:
    return contextkit.load(
        {
            "backend": {"kind": "echo", "provider": "anthropic", "model": "claude-sonnet-4-5"},
            "budget": {"window": 3000, "reply_reserve": 64},
            "history": history,
            "policies": ["tool_results", "sliding_window", "cacheable_prefix"],
            **more,
        }
    )


def talk(thread: Thread, turn: int, words: str = "") -> None:
    """One recorded turn, with the usage that was expected; turn `LOST` finds no cache."""
    call = thread.assemble(words or f"question {turn} " + "word " * 220)
    read = 0 if turn == LOST else call.ledger.forecast.read_tokens
    usage = Usage(call.input_tokens, 60, read, call.input_tokens - read)
    thread.record(call, Reply(text_message("assistant", "fine " * 60), usage))


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[contextkit.ContextManager]:
    """A store in a file with a long thread, a hostile one, an empty one, and a second tenant."""
    path: Path = tmp_path_factory.mktemp("inspector") / "h.db"
    with manager_of({"kind": "sql", "url": f"sqlite:///{path}"}) as manager:
        long = manager.thread("support/42")
        long.append({"role": "system", "content": "You help. " * 200})
        for turn in range(1, TURNS + 1):
            talk(long, turn)
        call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        hostile = manager.thread(NAME, tenant="<i>acme</i>")
        hostile.append(
            [
                {"role": "user", "content": HOSTILE},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "x" * 1_000_000 + "END"},
                {"role": "assistant", "content": "found"},
            ]
        )
        talk(hostile, 1, HOSTILE)
        manager.thread("quiet", tenant="acme").append("nobody has asked yet")
        manager.thread("bare", tenant="acme")
        yield manager


@pytest.fixture
def get(lived: contextkit.ContextManager) -> Get:
    """Asks the app in-process for a path of the thread `support/42`; returns the JSON."""
    import anyio

    app = create_app(lived)

    def ask(path: str, *, status: int = 200, raw: bool = False, **query: Any) -> Any:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost"
            ) as client:
                return await client.get(path, params=query)

        if path.startswith(("/api/t", "/api/o", "/api/d", "/api/s", "/thread", "/original")):
            query = {"name": "support/42", **query} if path != "/api/threads" else query
        response = anyio.run(send)
        assert response.status_code == status, response.text
        return response if raw else response.json()

    return ask


@pytest.fixture(scope="session")
def address(lived: contextkit.ContextManager) -> Iterator[str]:
    with running(lived) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium by Playwright; skipped with a reason where either is missing.

    Playwright runs an event loop in this Python thread: other modules want theirs, so it ends here.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page of its own; whatever it complains of on its console fails the test."""
    found = browser.new_page(viewport={"width": 1280, "height": 800})
    said: list[str] = []
    found.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    found.on("pageerror", lambda error: said.append(f"error: {error}"))
    yield found
    found.close()
    assert said == []
