"""A proxy in a thread of its own, and what the tests ask it for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

import contextkit
from contextkit.manager import ContextManager
from contextkit.server.running import server_of
from contextkit.server.settings import Settings

http = httpx.Client(timeout=60)
"""One client for all tests: making one takes longer than most requests."""


@dataclass(frozen=True)
class Running:
    """Where the proxy is, and its manager, to look into the threads."""

    origin: str
    manager: ContextManager

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def port(self) -> int:
        return int(self.origin.rsplit(":", 1)[1])

    def logs(self) -> dict[tuple[str, str], list[str]]:
        """What every thread of every tenant holds, as text."""
        found = self.manager.threads(None)
        return {
            (each.tenant, each.name): [
                message.text
                for message in self.manager.thread(each.name, tenant=each.tenant).history()
            ]
            for each in found
        }


def manager_of(window: int = 100_000, *policies: Any, **more: Any) -> ContextManager:
    """A manager that forwards: its backend only says how to count."""
    backend = {"kind": "openai", "model": "gpt-4o", "api_key": "k"}
    config: dict[str, Any] = {
        "backend": backend,
        "budget": {"window": window, "reply_reserve": 512},
        "policies": policies or ("tool_results", "sliding_window"),
    }
    return contextkit.load({**config, **more})


@contextmanager
def serving(manager: ContextManager, settings: Settings) -> Generator[Running]:
    """The proxy, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = server_of(manager, settings, host="127.0.0.1", port=port, log_level="critical")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the proxy did not start"
            time.sleep(0.005)
        try:
            yield Running(f"http://127.0.0.1:{port}", manager)
        finally:
            server.should_exit = True
            thread.join(20)
    assert not thread.is_alive(), "the proxy did not end"
    manager.close()
