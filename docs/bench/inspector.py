"""How long the inspector takes to show a long thread: `python docs/bench/inspector.py [TURNS]`.

Fills a SQLite store with a long thread and a short one, opens them in turn in Chromium and reads the
browser's own clock: from the start of the navigation until charts, table and newest turn are shown.
"""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Page, sync_playwright

import contextkit
from contextkit.backend import Reply
from contextkit.inspector.web import running
from contextkit.messages import text_message
from contextkit.usage import Usage

OPENINGS = 7
READY = "main:has(#turns tbody tr):has(#window-chart canvas) #detail .ledger tbody tr"
COMPLETE = "#figures:not(:has(.progress)) > div"


class Opening(NamedTuple):
    """One opening, in milliseconds."""

    charts_table_and_newest_turn_shown: float
    sums_of_all_turns_shown: float
    cpu_of_server_and_driver: float
    cpu_of_the_page: float


def fill(folder: Path, threads: dict[str, int]) -> contextkit.ContextManager:
    """Threads of so many recorded turns under an 8k window."""
    manager = contextkit.load(
        {
            "backend": {"kind": "echo", "provider": "anthropic", "model": "claude-sonnet-4-5"},
            "budget": {"window": 8192, "reply_reserve": 1024},
            "history": {"kind": "sql", "url": f"sqlite:///{folder / 'history.db'}"},
        }
    )
    chance = random.Random(3)
    for name, n_turns in threads.items():
        thread = manager.thread(name)
        thread.append({"role": "system", "content": "You run builds. " * 60})
        for turn in range(1, n_turns + 1):
            call = thread.assemble(f"step {turn}: " + "word " * chance.randint(20, 120))
            read = call.ledger.forecast.read_tokens
            used = Usage(call.input_tokens, 120, read, call.input_tokens - read)
            thread.record(
                call, Reply(text_message("assistant", "done " * chance.randint(10, 80)), used)
            )
    return manager


def open_thread(page: Page, address: str, name: str) -> Opening:
    """Opens a thread in a fresh page and waits for it."""
    browser_clock = page.context.new_cdp_session(page)
    browser_clock.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = time.process_time()
    page.goto(f"{address}thread?tenant=default&name={name}")
    page.wait_for_selector(READY)
    shown_ms = page.evaluate("performance.now()")
    spent_ms = 1000 * (time.process_time() - before)
    metrics = browser_clock.send("Performance.getMetrics")["metrics"]
    page_ms = 1000 * next(each["value"] for each in metrics if each["name"] == "TaskDuration")
    page.wait_for_selector(COMPLETE, timeout=120_000)
    complete_ms = page.evaluate("performance.now()")
    return Opening(shown_ms, complete_ms, spent_ms, page_ms)


def main() -> None:
    """Fill, open, report: the long thread and a short one in turn, under the same load."""
    n_turns = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    found: dict[str, list[Opening]] = {"short": [], "long": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        fill(Path(folder), {"long": n_turns, "short": 30}) as manager,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(OPENINGS):
            for name, openings in found.items():
                with running(manager) as address:
                    page = browser.new_page(viewport={"width": 1360, "height": 860})
                    openings.append(open_thread(page, address, name))
                    n_nodes = page.evaluate("document.querySelectorAll('*').length")
                    page.close()
        browser.close()
    print(f"{n_turns:,} turns against 30, {OPENINGS} openings each, a new server every time")
    for place, label in enumerate(Opening._fields):
        short, long = (sorted(row[place] for row in found[name]) for name in ("short", "long"))
        print(
            f"  {label:<42} long: median {statistics.median(long):6,.0f} (best {long[0]:,.0f}) ms"
            f"   short: median {statistics.median(short):6,.0f} (best {short[0]:,.0f}) ms"
        )
    print(f"  elements on the page of the long one: {n_nodes:,}")


if __name__ == "__main__":
    main()
