"""What the proxy adds: the same requests straight to a local upstream and through `contextkit serve`.

    python docs/bench/proxy.py latency --messages 10000 --pairs 300 --window 32768
    python docs/bench/proxy.py streams --streams 200 --seconds 300
    python docs/bench/proxy.py streams --streams 50 --seconds 480 --characters 16000 --turns 10 \\
        --remember-mib 32

`latency`: a client that re-sends its whole history, one turn after another, each turn once straight and
once through, in changing order; what is told is the difference of the two, to the first byte and to the
last. `streams`: so many streams at once for so long, every event checked to be its own stream's; memory,
connections and threads of the proxy every twenty seconds, with the bytes of bodies that it remembers. The
last form reaches that bound early: memory must stay where it is then. Client, upstream and proxy are
three processes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

WORDS = "gate alpha seven luggage early train museum ticket river hotel coffee window".split()
JSON = {"content-type": "application/json", "authorization": "Bearer sk-bench"}
MODEL = "gpt-4o"
EVERY_S = 20.0
WARM = 6
"""Turns before the first that counts."""

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def upstream(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send
) -> None:
    """Answers at once, or in ten events with a pause; every event repeats what was asked last."""
    if scope["type"] != "http":
        return
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"".join(parts)
    if b'"stream":true' not in body[-200:]:
        reply = {"role": "assistant", "content": "It leaves from gate twelve."}
        choice = {"index": 0, "message": reply, "finish_reason": "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 6, "total_tokens": 106}
        await _begin(send, b"application/json")
        value = {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}
        await send({"type": "http.response.body", "body": json.dumps(value).encode()})
        return
    await _begin(send, b"text/event-stream")
    mark = (re.findall(rb"<(\d+-\d+)>", body) or [b"0-0"])[-1].decode()
    for n in range(10):
        delta = {"content": f"{mark}/{n} "}
        finish = "stop" if n == 9 else None
        event = {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        data = f"data: {json.dumps(event)}\n\n".encode()
        await send({"type": "http.response.body", "body": data, "more_body": True})
        await asyncio.sleep(PAUSE_S)
    await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})


PAUSE_S = float(os.environ.get("PROXY_BENCH_PAUSE_S", "0"))


async def _begin(send: Send, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})


@contextmanager
def process(*command: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A child that says where it listens."""
    child = subprocess.Popen(
        [sys.executable, *command],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert child.stderr is not None
        for line in child.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield child, found[0]
                return
        raise SystemExit("a server did not start")
    finally:
        child.terminate()
        child.wait(60)


@contextmanager
def both(
    window: int, folder: Path, pause_s: float, remember_mib: int = 256
) -> Iterator[tuple[str, str, int]]:
    """The upstream's address, the proxy's, and the proxy's process id."""
    config = {
        "backend": {"kind": "openai", "model": MODEL, "api_key": "unused"},
        "budget": {"window": window, "reply_reserve": 1024},
        "history": {"kind": "sql", "url": f"sqlite:///{folder}/threads.db"},
    }
    path = folder / "agent.yaml"
    path.write_text(json.dumps(config))
    with process(__file__, "upstream", PROXY_BENCH_PAUSE_S=str(pause_s)) as (_, direct):
        options = ["--config", str(path), "--upstream", direct, "--port", "0"]
        options += ["--remember-mib", str(remember_mib)]
        with process("-m", "contextkit.cli", "serve", *options) as (child, through):
            httpx.get(f"{through}/healthz", timeout=60).raise_for_status()
            yield direct, through, child.pid


def serve_upstream() -> None:
    import socket

    import uvicorn

    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        sys.stderr.write(f"http://127.0.0.1:{listening.getsockname()[1]}\n")
        sys.stderr.flush()
        config = uvicorn.Config(upstream, log_level="critical", lifespan="off", ws="none")
        uvicorn.Server(config).run(sockets=[listening])


def latency(options: argparse.Namespace) -> None:
    """The difference of every pair, as percentiles."""
    rng = random.Random(7)

    def say(role: str) -> dict[str, str]:
        return {"role": role, "content": " ".join(rng.choices(WORDS, k=18))}

    history = [say("assistant" if n % 2 else "user") for n in range(options.messages - 1)]
    with (
        tempfile.TemporaryDirectory() as folder,
        both(options.window, Path(folder), 0.0) as (direct, through, pid),
    ):
        pairs = _pairs(options, history, say, direct, through, pid)
    for stream in (False, True):
        rows = [row for row in pairs if row[0] is stream]
        for name, column in (("first byte", 1), ("last byte", 2), ("the same, straight", 3)):
            values = sorted(1e3 * row[column] for row in rows)
            cuts = statistics.quantiles(values, n=100)
            kind = "streamed" if stream else "whole"
            print(
                f"{kind:9} {name:20} p50 {cuts[49]:6.2f} ms  p90 {cuts[89]:6.2f}  p99 {cuts[98]:6.2f}"
            )


def _pairs(
    options: argparse.Namespace, history: list[Any], say: Any, direct: str, through: str, pid: int
) -> list[tuple[bool, float, float, float]]:
    rows: list[tuple[bool, float, float, float]] = []
    used = 0.0
    with httpx.Client(timeout=120) as client:
        for turn in range(options.pairs + WARM):
            stream = turn % 2 == 1
            request = {"model": MODEL, "messages": history}
            body = json.dumps(request | ({"stream": True} if stream else {}), separators=(",", ":"))
            order = [direct, through] if turn % 4 < 2 else [through, direct]
            times = {origin: _timed(client, origin, body.encode()) for origin in order}
            (first, last), (straight_first, straight_last) = times[through], times[direct]
            if turn == 0:
                print(f"body {len(body):,} bytes; first, unknown request: {1e3 * last:.0f} ms")
            if turn == WARM:
                used = _cpu_s(pid)
            if turn >= WARM:
                difference = first - straight_first, last - straight_last
                rows.append((stream, *difference, straight_last))
            content = "0-0/0 " + " ".join(f"0-0/{n}" for n in range(1, 10)) + " "
            said = content if stream else "It leaves from gate twelve."
            history += [{"role": "assistant", "content": said}, say("user")]
    told = 1e3 * (_cpu_s(pid) - used) / max(1, options.pairs - 1)
    print(f"processor time of the proxy for one request: {told:.2f} ms")
    return rows


def _cpu_s(pid: int) -> float:
    """Seconds of processor that a process took so far, in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _timed(client: httpx.Client, origin: str, body: bytes) -> tuple[float, float]:
    since = time.perf_counter()
    first = 0.0
    url = f"{origin}/v1/chat/completions"
    with client.stream("POST", url, content=body, headers=JSON) as response:
        if response.status_code != 200:
            raise SystemExit(response.read().decode())
        for _ in response.iter_raw():
            first = first or time.perf_counter() - since
    return first, time.perf_counter() - since


def streams(options: argparse.Namespace) -> None:
    """Many at once for a while: memory, connections, tasks, and whose events they were."""
    with (
        tempfile.TemporaryDirectory() as folder,
        both(options.window, Path(folder), options.pause, options.remember_mib) as (
            _,
            through,
            pid,
        ),
    ):
        asyncio.run(_streams(options, through, pid))


async def _streams(options: argparse.Namespace, origin: str, pid: int) -> None:
    until = time.monotonic() + options.seconds
    done = [0] * options.streams
    said = " ".join(random.Random(7).choices(WORDS, k=options.characters // 6))
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=options.streams)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client:

        async def one(number: int) -> None:
            history: list[dict[str, str]] = []
            while time.monotonic() < until:
                mark = f"{number}-{done[number]}"
                question = f"{said[number % 97 :]} <{mark}> what is my mark?"
                history.append({"role": "user", "content": question})
                history.append(
                    {"role": "assistant", "content": await _ask(client, origin, history, mark)}
                )
                done[number] += 1
                if len(history) >= 2 * options.turns:
                    history.clear()

        async def watch() -> None:
            while time.monotonic() < until:
                since = options.seconds - (until - time.monotonic())
                print(
                    f"{since:5.0f} s  {_state(pid)}, {await _remembered(client, origin)}",
                    flush=True,
                )
                await asyncio.sleep(EVERY_S)

        await asyncio.gather(watch(), *(one(number) for number in range(options.streams)))
    await asyncio.sleep(2)
    print(f"  end    {_state(pid)}")
    async with httpx.AsyncClient() as client:
        metrics = (await client.get(f"{origin}/metrics")).text
    told = re.findall(
        r"^contextkit_(?:turns_total|requests_under_way)[^#\n]*", metrics, re.MULTILINE
    )
    print(f"streams {sum(done)}, all of them whole and their own; {'; '.join(told)}")


async def _remembered(client: httpx.AsyncClient, origin: str) -> str:
    told = (await client.get(f"{origin}/metrics")).text
    held = re.search(r"^contextkit_remembered_bytes (\S+)", told, re.MULTILINE)
    assert held is not None
    return f"{float(held[1]) / 2**20:5.1f} MiB of bodies"


async def _ask(client: httpx.AsyncClient, origin: str, history: list[Any], mark: str) -> str:
    body = json.dumps({"model": MODEL, "messages": history, "stream": True}, separators=(",", ":"))
    url = f"{origin}/v1/chat/completions"
    said = ""
    async with client.stream("POST", url, content=body, headers=JSON) as response:
        if response.status_code != 200:
            raise SystemExit(f"{response.status_code}: {(await response.aread()).decode()}")
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                said += json.loads(line[6:])["choices"][0]["delta"]["content"]
    expected = "".join(f"{mark}/{n} " for n in range(10))
    if said != expected:
        raise SystemExit(f"stream {mark} got {said!r}")
    return said


def _state(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text()
    resident = re.search(r"VmRSS:\s+(\d+)", status)
    threads = re.search(r"Threads:\s+(\d+)", status)
    n_open = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    assert resident is not None
    assert threads is not None
    return f"{int(resident[1]) / 1024:6.0f} MiB, {n_open:4} open files, {threads[1]} threads"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("latency", "streams", "upstream"))
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--window", type=int, default=32_768)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--pause", type=float, default=0.2, help="Seconds between events.")
    parser.add_argument(
        "--characters", type=int, default=0, help="Of each question, beside its mark."
    )
    parser.add_argument("--turns", type=int, default=30, help="Of a conversation.")
    parser.add_argument("--remember-mib", type=int, default=256)
    options = parser.parse_args()
    {"latency": latency, "streams": streams, "upstream": lambda _: serve_upstream()}[options.what](
        options
    )


if __name__ == "__main__":
    main()
