"""Makes the pictures of the inspector in docs/images: `python docs/screenshots.py`.

A store is filled with the shipped recording and some made-up threads, the inspector is served over it
and looked at with Chromium. Needs `pip install "contextkit[inspector]" playwright` and a Chromium.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

import contextkit
from contextkit.backend import Reply
from contextkit.demo.recorded import load_recording
from contextkit.inspector.web import running
from contextkit.messages import text_message
from contextkit.replay.recording import Said, find_calls
from contextkit.thread import Thread
from contextkit.usage import Usage

IMAGES = Path(__file__).parent / "images"
TOPICS = ("invoice", "refund", "seat", "baggage", "visa", "upgrade", "voucher", "route")


def fill(folder: Path) -> contextkit.ContextManager:
    """A store with one recorded run, one long thread, a fork and a few short conversations."""
    manager = contextkit.load(
        {
            "backend": {"kind": "echo", "provider": "anthropic", "model": "claude-sonnet-4-5"},
            "budget": {"window": 4096, "reply_reserve": 512},
            "history": {"kind": "sql", "url": f"sqlite:///{folder / 'history.db'}"},
            "policies": ["tool_results", "sliding_window", "cacheable_prefix"],
        }
    )
    chance = random.Random(11)
    for number, topic in enumerate(TOPICS):
        thread = manager.thread(
            f"{topic}/{1000 + 37 * number}", tenant=("acme", "globex")[number % 2]
        )
        talk(thread, 2 + number, chance)
    manager.thread("drafts/empty", tenant="globex").append("Nobody has asked a model yet.")
    talk(manager.thread("builds/nightly", tenant="acme"), 420, chance)
    manager.thread("builds/nightly", tenant="acme").fork(name="builds/what-if")
    replay(manager.thread("support/airline-downgrades"), chance)
    return manager


def replay(thread: Thread, chance: random.Random) -> None:
    """The shipped recording, as if a provider had answered and reported its usage."""
    _, messages = load_recording()
    asked = {call.n_before for call in find_calls([Said(message) for message in messages])}
    for index, message in enumerate(messages):
        if index in asked:
            call = thread.assemble()
            thread.record(call, Reply(message, usage(call, chance)))
        else:
            thread.append(message)


def talk(thread: Thread, n_turns: int, chance: random.Random) -> None:
    """A conversation of made-up turns."""
    thread.append({"role": "system", "content": "You help with builds and bookings. " * 24})
    for turn in range(1, n_turns + 1):
        words = " ".join(chance.choices(TOPICS, k=chance.randint(15, 160)))
        call = thread.assemble(f"Step {turn}: look at {words}")
        answer = text_message(
            "assistant", "Done: " + "checked and booked. " * chance.randint(4, 40)
        )
        thread.record(call, Reply(answer, usage(call, chance)))


def usage(call: contextkit.Call, chance: random.Random) -> Usage:
    """What a provider might report: mostly what was expected, now and then a lost cache entry."""
    read = 0 if chance.random() < 0.04 else call.ledger.forecast.read_tokens
    return Usage(call.input_tokens, chance.randint(40, 220), read, call.input_tokens - read)


def look(page: Page, address: str) -> None:
    """Every picture, one after another."""

    def shot(name: str) -> None:
        page.wait_for_timeout(250)
        page.screenshot(path=IMAGES / f"{name}.png")

    def thread(tenant: str, name: str, **more: str) -> None:
        page.goto(f"{address}thread?{urlencode({'tenant': tenant, 'name': name, **more})}")
        page.wait_for_selector("#detail .ledger tbody tr")
        page.wait_for_selector("#figures:not(:has(.progress)) > div")

    page.set_viewport_size({"width": 1360, "height": 860})
    page.goto(address)
    page.wait_for_selector("#threads tbody tr")
    shot("inspector-threads")
    thread("default", "support/airline-downgrades")
    shot("inspector-thread")
    page.locator(".split").scroll_into_view_if_needed()
    page.evaluate("window.scrollTo(0, document.querySelector('.split').offsetTop - 70)")
    shot("inspector-turn")
    page.keyboard.press("d")
    page.wait_for_selector("#diff[open] table, #diff[open] p")
    shot("inspector-diff")
    page.keyboard.press("Escape")
    page.locator(
        "#detail .ledger .is-replace button, #detail .ledger .is-drop button"
    ).first.click()
    page.wait_for_selector("#original[open] .message")
    shot("inspector-original")
    thread("acme", "builds/nightly", turn="300")
    shot("inspector-long")
    page.emulate_media(color_scheme="dark")
    shot("inspector-dark")
    page.set_viewport_size({"width": 320, "height": 720})
    thread("default", "support/airline-downgrades")
    shot("inspector-narrow")


def main() -> None:
    """Fill, serve, look."""
    IMAGES.mkdir(exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with (
        tempfile.TemporaryDirectory() as folder,
        fill(Path(folder)) as manager,
        running(manager) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(device_scale_factor=1.5)
        page.on("console", lambda message: print("console:", message.text))
        page.on("pageerror", lambda error: print("error:", error))
        look(page, address)
        browser.close()


if __name__ == "__main__":
    main()
