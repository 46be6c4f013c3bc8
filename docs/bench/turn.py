"""The cost of a turn: time and memory to assemble a call, beside the trimmers of other packages.

    python docs/bench/turn.py                 everything
    python docs/bench/turn.py --only warm     one part: warm, cold, scale, append, import, peers

Medians; one process a part, so that no part warms another. Peers that are not installed are named and
left out. Prints Markdown rows for docs/benchmarks.md, or JSON with --json.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WINDOW, RESERVE = 9_000, 1_000
STACKS: dict[str, list[Any]] = {
    "sliding_window + cacheable_prefix": ["sliding_window", "cacheable_prefix"],
    "tool_results + sliding_window + cacheable_prefix": [
        "tool_results",
        "sliding_window",
        "cacheable_prefix",
    ],
}
WORDS = """
deploy rollback ticket latency budget gateway retry shard replica schema migration invoice customer
refund warehouse shipment route sensor firmware battery alert dashboard query index
""".split()


def transcript(n_messages: int, seed: int = 11) -> Iterator[dict[str, Any]]:
    """An agent's history: a quarter each of requests, tool calls, tool results, answers."""
    chance = random.Random(seed)

    def words(count: int) -> str:
        return " ".join(chance.choices(WORDS, k=count))

    for i in range(n_messages):
        call = {
            "id": f"call_{i // 4}",
            "type": "function",
            "function": {"name": "read", "arguments": json.dumps({"path": words(3)})},
        }
        if i % 4 == 0:
            yield {"role": "user", "content": words(30)}
        elif i % 4 == 1:
            yield {"role": "assistant", "content": words(8), "tool_calls": [call]}
        elif i % 4 == 2:
            yield {"role": "tool", "tool_call_id": f"call_{i // 4}", "content": words(120)}
        else:
            yield {"role": "assistant", "content": words(60)}


def median_ms(
    work: Callable[[], Any], repeat: int, between: Callable[[Any], Any] | None = None
) -> float:
    """The median wall time of `work` in milliseconds; `between` is not timed."""
    times: list[float] = []
    gc.collect()
    for _ in range(repeat):
        start = time.perf_counter()
        result = work()
        times.append(time.perf_counter() - start)
        if between:
            between(result)
    return statistics.median(times) * 1e3


def manager(history: Any, policies: list[Any]) -> Any:
    import contextkit

    return contextkit.load(
        {
            "backend": "echo",
            "budget": {"window": WINDOW, "reply_reserve": RESERVE},
            "history": history,
            "policies": policies,
        }
    )


def filled(cm: Any, n_messages: int) -> Any:
    thread = cm.thread("bench")
    batch: list[Any] = []
    for message in transcript(n_messages):
        batch.append(message)
        if len(batch) == 2_000:
            thread.append(batch)
            batch = []
    if batch:
        thread.append(batch)
    call = thread.assemble("What is the state of the rollout?")
    thread.record(call, {"role": "assistant", "content": "It is under way."})
    return thread


def warm(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """A turn with everything at hand: count, policies, validity, hashes, ledger."""
    for name, policies in STACKS.items():
        for kind in ("memory", "sql"):
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{folder}/bench.db"
                cm = manager({"kind": kind, "url": url} if kind == "sql" else kind, policies)
                thread = filled(cm, args.n)

                def turn(thread: Any = thread) -> Any:
                    return thread.assemble("And what is next?")

                def answer(call: Any, thread: Any = thread) -> None:
                    thread.record(call, {"role": "assistant", "content": "The next shard."})

                turn()
                yield (
                    f"contextkit {name}, {kind}, warm turn, n={args.n:,}",
                    f"{median_ms(turn, 40, answer):.2f} ms",
                )
                cm.close()


COLD = """
import sys, time, json
sys.path.insert(0, {here!r})
import turn
import contextkit, contextkit.stores.sql, contextkit.manager
cm = turn.manager({{"kind": "sql", "url": {url!r}}}, {policies!r})
cm.counter.measure(contextkit.Message("user", (contextkit.TextPart("load the encoder"),)))
start = time.perf_counter()
call = cm.thread("bench").assemble("And what is next?")
first = time.perf_counter() - start
print(json.dumps([first * 1e3, len(call.messages)]))
"""


def cold(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """A new process: open the thread in SQLite and assemble its next call; imports not counted."""
    for name, policies in STACKS.items():
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{folder}/bench.db"
            cm = manager({"kind": "sql", "url": url}, policies)
            filled(cm, args.n)
            cm.close()
            code = COLD.format(here=str(Path(__file__).parent), url=url, policies=policies)
            runs = [
                json.loads(
                    subprocess.run(
                        [sys.executable, "-c", code], check=True, text=True, capture_output=True
                    ).stdout
                )
                for _ in range(7)
            ]
            middle = statistics.median(run[0] for run in runs)
            yield (
                f"contextkit {name}, sqlite, first turn of a new process, n={args.n:,}",
                f"{middle:.1f} ms",
            )


def scale(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """From a thousand messages to a million: time and memory of a turn."""
    sizes = [1_000, 10_000, 100_000] + ([1_000_000] if args.million else [])
    for size in sizes:
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import turn; "
            f"turn.scale_one({size}, {args.folder!r})"
        )
        out = subprocess.run(
            [sys.executable, "-c", code], check=True, text=True, capture_output=True
        )
        yield f"contextkit turn from SQLite, n={size:,}", out.stdout.strip()


def scale_one(size: int, folder: str | None) -> None:
    """One size: fill in a child, then measure turns and this process's peak memory."""
    import tracemalloc

    policies = STACKS["tool_results + sliding_window + cacheable_prefix"]
    with tempfile.TemporaryDirectory(dir=folder) as place:
        url = f"sqlite:///{place}/bench.db"
        pid = os.fork()
        if pid == 0:
            cm = manager({"kind": "sql", "url": url}, policies)
            filled(cm, size)
            cm.close()
            os._exit(0)
        os.waitpid(pid, 0)
        cm = manager({"kind": "sql", "url": url}, policies)
        thread = cm.thread("bench")
        call = thread.assemble("And what is next?")
        warm_ms = median_ms(
            lambda: thread.assemble("And what is next?"),
            30,
            lambda c: thread.record(c, {"role": "assistant", "content": "The next shard."}),
        )
        tracemalloc.start()
        thread.assemble("And what is next?")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        whole = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{warm_ms:.2f} ms, {peak / 1024:.0f} KiB allocated by a turn, process {whole:.0f} MiB, "
            f"{len(call.messages)} messages, {call.input_tokens:,} tokens"
        )
        cm.close()


def append(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """One message at a time into SQLite, counted and chained, each durable when append returns."""
    for durability in ("normal", "full"):
        with tempfile.TemporaryDirectory() as folder:
            history = {"kind": "sql", "url": f"sqlite:///{folder}/b.db", "durability": durability}
            cm = manager(history, [])
            thread = cm.thread("bench")
            rows = list(transcript(4_000))
            thread.append(rows[:100])
            start = time.perf_counter()
            for row in rows[100:]:
                thread.append(row)
            rate = (len(rows) - 100) / (time.perf_counter() - start)
            yield (
                f"append one at a time, sqlite, durability {durability}",
                f"{rate:,.0f} messages/s",
            )
            cm.close()


def import_time(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """What importing costs a new interpreter."""
    for what in ("import contextkit", "import contextkit; contextkit.ContextManager"):
        code = f"import time; s = time.perf_counter(); {what}; print(time.perf_counter() - s)"
        runs = [
            float(
                subprocess.run(
                    [sys.executable, "-c", code], check=True, text=True, capture_output=True
                ).stdout
            )
            for _ in range(9)
        ]
        yield what, f"{statistics.median(runs) * 1e3:.0f} ms"


def peers(args: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """The trimmers of other packages on the same history, in the same process."""
    import peers as others

    yield from others.measure(list(transcript(args.n)), WINDOW - RESERVE, median_ms)


PARTS = {
    "import": import_time,
    "warm": warm,
    "cold": cold,
    "append": append,
    "scale": scale,
    "peers": peers,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--million", action="store_true", help="also a log of a million messages")
    parser.add_argument("--folder", help="where the large databases are made")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    rows: dict[str, Any] = {}
    if not args.json:
        print(
            f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n"
        )
        print("| what | median |\n|---|---|")
    for name in args.only or PARTS:
        for what, figure in PARTS[name](args):
            rows[what] = figure
            if not args.json:
                print(f"| {what} | {figure} |", flush=True)
    if args.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
