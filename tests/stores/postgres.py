"""A PostgreSQL server for the time of a test session: Debian's binaries, a Unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg


def find_binaries() -> Path | None:
    """The folder with `initdb` and `postgres`, the newest version first."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    folders += [Path(on_path).resolve().parent] if on_path else []
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


class Server:
    """Started at once, stopped by `stop`; may be stopped and started again in between."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        if self._as_user:
            os.chown(self.folder, self._as_user["user"], self._as_user["group"])
        settings = ["-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
        command = [str(binaries / "initdb"), "-D", f"{self.folder}/data", *settings]
        subprocess.run(
            command, check=True, capture_output=True, cwd=self.folder, timeout=120, **self._as_user
        )
        self.start()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://tester:secret@/{database}?host={self.folder}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(f"host={self.folder} user=tester dbname={database}", autocommit=True)

    def create(self, database: str) -> str:
        """The url of a new, empty database."""
        with self.connect() as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def start(self) -> None:
        binary, data = str(self._binaries / "postgres"), f"{self.folder}/data"
        command = [binary, "-D", data, "-k", str(self.folder), "-c", "listen_addresses="]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                **self._as_user,
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def halt(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=60)
            self._process = None

    def stop(self) -> None:
        self.halt(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


def _unprivileged() -> dict[str, Any]:
    """`initdb` refuses root: then the server runs as another user."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
