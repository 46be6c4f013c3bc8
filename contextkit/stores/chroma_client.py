"""Chroma's client, opened without telemetry or a model of its own, and its errors in contextkit's words."""

from __future__ import annotations

import importlib
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from contextkit.errors import (
    ConfigError,
    ContextKitError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreReadOnly,
)

_DAMAGE = re.compile(
    r"malformed|not a database|hnsw|pickle|finding id|getting embedding|segment|no such table"
)
_NO_WRITES = re.compile(
    r"readonly database|read-only|disk is full|disk I/O|permission denied", re.I
)


def import_chroma() -> Any:
    """The module `chromadb`; `ConfigError` names the extra where it is missing."""
    try:
        return importlib.import_module("chromadb")
    except ImportError as error:
        raise ConfigError(
            f'vectors chroma: {error.name} is not installed; pip install "contextkit[chroma]"'
        ) from error


def settings(chroma: Any) -> Any:
    """The settings of every client; one process may open a folder with one set only."""
    return chroma.config.Settings(anonymized_telemetry=False)


def open_folder(chroma: Any, path: str) -> Any:
    """A client of a folder. Chroma would hand out one that failed to open a second time: forgets it."""
    shared = importlib.import_module("chromadb.api.shared_system_client").SharedSystemClient
    try:
        return chroma.PersistentClient(path=path, settings=settings(chroma))
    except BaseException:
        for table in ("_identifier_to_system", "_identifier_to_refcount"):
            getattr(shared, table, {}).pop(path, None)
        raise


def open_server(chroma: Any, server: Mapping[str, Any], timeout_s: float) -> Any:
    """A client of a server. Chroma's own would wait for an answer without end."""
    httpx = importlib.import_module("httpx")
    scheme = "https" if server["ssl"] else "http"
    address = f"{scheme}://{server['host']}:{server['port']}/api/v2/heartbeat"
    httpx.get(address, headers=server["headers"], timeout=timeout_s)
    client = chroma.HttpClient(**server, settings=settings(chroma))
    for session in _sessions(client):
        session.timeout = timeout_s
    return client


def close_client(client: Any) -> None:
    """Close a client with the connections that Chroma's own `close` leaves open."""
    sessions = _sessions(client)
    client.close()
    for session in sessions:
        session.close()


def _sessions(client: Any) -> list[Any]:
    """The HTTP sessions of a client: it has one of its own and one for the administration."""
    parts = (client, getattr(client, "_admin_client", None))
    servers = (getattr(part, "_server", None) for part in parts)
    sessions = (getattr(server, "_session", None) for server in servers)
    return [session for session in sessions if session is not None]


@contextmanager
def telling(place: str) -> Generator[None]:
    """Turn what Chroma and its transport raise into `StoreError`."""
    try:
        yield
    except ContextKitError:
        raise
    except BaseException as error:
        told = _told(error, place)
        if told is None:
            raise
        raise told from error


def is_missing(error: BaseException) -> bool:
    """Whether the collection is not there (any more)."""
    return type(error).__name__ == "NotFoundError"


def _told(error: BaseException, place: str) -> StoreError | None:
    origin = type(error).__module__.partition(".")[0]
    said = " ".join(str(error).split())[:400]
    if type(error).__name__ == "PanicException":
        return _damaged(place, said)
    if origin in ("httpx", "httpcore"):
        return StoreError(
            f"{place}: the Chroma server does not answer ({said}); start it (`chroma run`) or correct "
            "host and port"
        )
    if origin != "chromadb":
        return None
    if _DAMAGE.search(said):
        return _damaged(place, said)
    if "database is locked" in said:
        return StoreBusy(f"{place}: another process writes ({said}); try again")
    if _NO_WRITES.search(said):
        return StoreReadOnly(
            f"{place}: the index takes no writes ({said}); make its folder writable, or free some space"
        )
    return StoreError(f"{place}: {type(error).__name__}: {said}")


def _damaged(place: str, said: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{place}: the vector index is damaged ({said}); run `contextkit reindex`, it is made again "
        "from the history and nothing is lost"
    )
