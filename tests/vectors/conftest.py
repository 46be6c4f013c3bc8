"""Vector stores to test: in memory, Chroma in a folder, Chroma behind a server started here."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contextkit.stores.chroma import ChromaVectors
from contextkit.stores.memory_vectors import MemoryVectors
from contextkit.vectors import VectorStore


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a `chroma run` on loopback."""
    pytest.importorskip("chromadb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = Path(sys.executable).with_name("chroma")
    folder = tmp_path_factory.mktemp("chroma-server")
    server = subprocess.Popen(
        [command, "run", "--path", folder, "--host", "127.0.0.1", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            break
        time.sleep(0.05)
    yield port
    server.terminate()
    server.wait(20)


@pytest.fixture
def chroma(tmp_path: Path) -> Iterator[ChromaVectors]:
    pytest.importorskip("chromadb")
    store = ChromaVectors(path=tmp_path / "vectors")
    yield store
    store.close()


@pytest.fixture(params=["memory", "chroma", "server"])
def vectors(request: pytest.FixtureRequest) -> Iterator[VectorStore]:
    """Every kind of vector store, empty."""
    if request.param == "chroma":
        yield request.getfixturevalue("chroma")
        return
    store: VectorStore = MemoryVectors()
    if request.param == "server":
        store = ChromaVectors(host="127.0.0.1", port=request.getfixturevalue("chroma_server"))
        store.reset()
    yield store
    store.close()
