"""Opens Chroma once for each process: a folder that is locked and looked at first, or a server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from threading import RLock
from typing import Any

from contextkit.errors import StoreError
from contextkit.stores.chroma_client import (
    close_client,
    import_chroma,
    open_folder,
    open_server,
    telling,
)
from contextkit.stores.chroma_directory import Directory, hold


class Opening:
    """A client, made at its first use and anew in a forked process. Thread-safe."""

    def __init__(
        self,
        path: Path,
        busy_timeout_s: float,
        timeout_s: float,
        *,
        host: str | None,
        port: int,
        ssl: bool,
        headers: Mapping[str, str],
    ) -> None:
        self.place = str(path) if host is None else f"chroma at {host}:{port}"
        self.collections: dict[str, Any] = {}
        """Those that are in use, by tenant."""
        self.lock = RLock()
        self._path, self._busy_timeout_s, self._timeout_s = path, busy_timeout_s, timeout_s
        self._server = {"host": host, "port": port, "ssl": ssl, "headers": dict(headers)}
        self._client: Any = None
        self._directory: Directory | None = None
        self._pid = os.getpid()
        self._is_closed = False

    @property
    def is_embedded(self) -> bool:
        return self._server["host"] is None

    def client(self, *, write: bool = False) -> Any:
        """The client; `write` has to be said before something is written."""
        with self.lock:
            self._start_anew_after_fork()
            if self._client is None:
                self._client = self._open()
            if write and self._directory is not None:
                self._directory.changing()
            return self._client

    def wipe(self) -> None:
        """Take away all of an embedded index, whether it can be read or not."""
        with self.lock:
            self._start_anew_after_fork()
            directory = self._hold()
            if directory.n_holders > 1:
                raise StoreError(
                    f"{self.place}: another part of this process has the index open; close it first"
                )
            self._close_client()
            directory.wipe()

    def close(self) -> None:
        """Give back the folder or the connections, for good."""
        with self.lock:
            self._start_anew_after_fork()
            self._is_closed = True
            self._close_client()
            directory, self._directory = self._directory, None
            if directory is not None:
                directory.release()

    def _open(self) -> Any:
        if self.is_embedded:
            directory = self._hold()
            directory.check()
            chroma = import_chroma()
            with telling(self.place):
                return open_folder(chroma, str(directory.path))
        self._refuse_closed()
        chroma = import_chroma()
        with telling(self.place):
            return open_server(chroma, self._server, self._timeout_s)

    def _hold(self) -> Directory:
        self._refuse_closed()
        if self._directory is None:
            import_chroma()
            self._directory = hold(self._path, self._busy_timeout_s)
        return self._directory

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise StoreError(f"{self.place}: this vector store was closed; make a new one")

    def _start_anew_after_fork(self) -> None:
        if self._pid != os.getpid():
            self._client = self._directory = None
            self._pid = os.getpid()
            self.collections.clear()

    def _close_client(self) -> None:
        client, self._client = self._client, None
        self.collections.clear()
        if client is not None:
            close_client(client)
