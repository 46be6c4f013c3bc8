"""The folder of an embedded Chroma index: one process at a time, and nothing damaged is ever loaded.

Two processes that write one folder lose rows without an error, and a damaged index file can end the
process that loads it (both seen with chromadb 1.5). So a lock on the folder is held while it is open; a
record of its files is left when it is closed in peace, and where the files are others than recorded, a
process of its own looks at them first.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from threading import RLock
from typing import Any

from contextkit.errors import StoreBusy, StoreCorrupt, StoreError, StoreReadOnly

LOCK, RECORD, DATABASE = "contextkit.lock", "contextkit-files.json", "chroma.sqlite3"
PROBE_S = 600
"""How long the look at a damaged index may take."""
_SEGMENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_held: dict[tuple[int, Path], Directory] = {}
_holding = RLock()


class Directory:
    """A folder held by this process; made by `hold`, given back by as many `release` calls."""

    def __init__(self, path: Path, lock: Any) -> None:
        self.path = path
        self.n_holders = 0
        self._lock = lock
        self._is_whole = False
        self._is_recorded = True

    def check(self) -> None:
        """Raises `StoreCorrupt` where what is here can't be loaded or does not find its own rows."""
        if not self._is_whole:
            if (self.path / DATABASE).exists() and _read_record(self.path) != _files(self.path):
                self._probe()
            self._is_whole = True

    def _probe(self) -> None:
        command = [sys.executable, "-m", "contextkit.stores.chroma_probe", str(self.path)]
        try:
            ran = subprocess.run(
                command, capture_output=True, text=True, timeout=PROBE_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise _damaged(self.path, f"it could not be read within {PROBE_S} s") from None
        lines = ran.stdout.splitlines()
        for line in lines:
            if line.startswith("damaged: "):
                raise _damaged(self.path, line.removeprefix("damaged: "))
        if ran.returncode or not lines or lines[-1] != "whole":
            said = ran.stderr.strip().splitlines()
            why = said[-1] if said else f"a process that loaded it ended with {ran.returncode}"
            raise _damaged(self.path, why)

    def changing(self) -> None:
        """To be called before every write: what was recorded of the files no longer holds."""
        if self._is_recorded:
            (self.path / RECORD).unlink(missing_ok=True)
            self._is_recorded = False

    def wipe(self) -> None:
        """Take away the index, and only what belongs to it; nothing may have it open."""
        self.changing()
        for path in self.path.iterdir():
            if path.is_dir() and _SEGMENT.fullmatch(path.name):
                shutil.rmtree(path)
            elif path.name.startswith(DATABASE):
                path.unlink()
        self._is_whole = True

    def release(self) -> None:
        """Give one holding back; the last one records the files and unlocks the folder."""
        with _holding:
            self.n_holders -= 1
            if self.n_holders == 0:
                _held.pop((os.getpid(), self.path), None)
                self._close()

    def _close(self) -> None:
        try:
            if self._is_whole and self.path.is_dir():
                part = self.path / f".{RECORD}.part"
                part.write_text(json.dumps(_files(self.path)), encoding="utf-8")
                part.replace(self.path / RECORD)
        finally:
            self._lock.release()


def hold(path: Path, busy_timeout_s: float) -> Directory:
    """Lock a folder for this process, whose stores share it. Raises `StoreBusy`, `StoreReadOnly`."""
    import filelock

    path = path.absolute()
    with _holding:
        directory = _held.get((os.getpid(), path))
        if directory is None:
            try:
                path.mkdir(parents=True, exist_ok=True)
                # Not bound to a thread: a store may be closed in another one than it was opened in.
                lock = filelock.FileLock(path / LOCK, thread_local=False)
                lock.acquire(timeout=busy_timeout_s)
            except filelock.Timeout:
                raise StoreBusy(
                    f"{path}: another process has this vector index open; one at a time may. Close it "
                    "there, or let several share a server: `chroma run --path …` and "
                    "{kind: chroma, host: …, port: …}"
                ) from None
            except PermissionError as error:
                raise StoreReadOnly(
                    f"{path}: the folder of the vector index takes no writes ({error.strerror}); make "
                    "it writable for this user, or set another path"
                ) from error
            except OSError as error:
                raise StoreError(
                    f"{path}: cannot be a vector index ({error.strerror}); name a folder"
                ) from error
            directory = _held[os.getpid(), path] = Directory(path, lock)
        directory.n_holders += 1
        return directory


def _damaged(path: Path, why: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path}: the vector index is damaged ({why}); run `contextkit reindex`, it is made again "
        "from the history and nothing is lost"
    )


def _files(path: Path) -> dict[str, list[int]]:
    """Size and time of change of every file of the index."""
    folders = [each for each in path.iterdir() if each.is_dir() and _SEGMENT.fullmatch(each.name)]
    files = [path / DATABASE, *(file for folder in folders for file in folder.iterdir())]
    found: dict[str, list[int]] = {f"{folder.name}/": [] for folder in folders}
    for file in files:
        if file.exists():
            stat = file.stat()
            found[str(file.relative_to(path))] = [stat.st_size, stat.st_mtime_ns]
    return found


def _read_record(path: Path) -> object:
    try:
        return json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@atexit.register
def _release_all() -> None:
    for (pid, _), directory in list(_held.items()):
        if pid == os.getpid():
            directory.n_holders = 1
            directory.release()
