"""An export read line by line, and looked at from end to end before anything of it is stored."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from contextkit.cli.importing import GZIP_MAGIC, is_stdin, name_of
from contextkit.cli.opening import UsageError
from contextkit.cli.records import Header, Record, Said, ThreadHead, read_record
from contextkit.errors import InvalidMessage, StoreError
from contextkit.log import Entry, next_entry
from contextkit.messages import Message
from contextkit.store import Kept, StoredTurn, StoredView
from contextkit.stores.kept import checked

Lines: TypeAlias = Iterator[tuple[str, Record]]
"""Records, each with the words that name its line."""
Section: TypeAlias = tuple[str, Iterator[tuple[str, Any]]]
"""Lines of one kind behind one another: `head`, `said` or `kept`."""
_BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Incoming:
    """A thread that a file holds, as far as the file was read."""

    head: ThreadHead
    is_told: bool
    """Whether the file said beforehand how long it is; version 1 did not."""
    last: Entry | None = None
    forks: dict[int, Entry | None] = field(default_factory=dict[int, Entry | None])
    """The entry before each place where another thread was forked."""
    n_turns: int = 0
    is_closed: bool = False

    @property
    def n_entries(self) -> int:
        return self.last.seq + 1 if self.last else 0

    @property
    def chain(self) -> bytes:
        return self.last.chain if self.last else b""

    def add(self, message: Message) -> None:
        """Raises `InvalidMessage` where the message cannot follow."""
        self.last = next_entry(self.last, message, (0,), (0,))
        if self.n_entries in self.head.forks:
            self.forks[self.n_entries] = self.last


@contextmanager
def opened(path: Path) -> Generator[IO[bytes]]:
    """A file that can be read more than once; what comes by a pipe is put aside on disk first."""
    try:
        with nullcontext(sys.stdin.buffer) if is_stdin(path) else path.open("rb") as file:
            if not is_stdin(path) and file.seekable():
                yield file
                return
            with tempfile.TemporaryFile() as kept:
                shutil.copyfileobj(file, kept)
                yield kept
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def read_lines(path: Path, file: IO[bytes]) -> Lines:
    """Every record of a file, from its first line on. Raises `UsageError` naming the line."""
    number = 0
    try:
        for number, line in enumerate(_raw_lines(file), 1):
            text = line.removeprefix(_BOM) if number == 1 else line
            if text.strip():
                place = f"{path}: line {number}"
                yield place, _record(place, text)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise UsageError(f"{path}: is cut or is no gzip file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text") from None
    if not number:
        raise UsageError(f"{path}: holds no messages")


def _raw_lines(file: IO[bytes]) -> Iterable[bytes]:
    file.seek(0)
    is_packed = file.read(2) == GZIP_MAGIC
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if is_packed else file


def _record(place: str, line: bytes) -> Record:
    try:
        value: Any = json.loads(line.decode())
    except json.JSONDecodeError as error:
        raise UsageError(f"{place}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise UsageError(f"{place}: is nested too deep") from None
    if not isinstance(value, Mapping):
        raise UsageError(f"{place}: is no message as `contextkit export` writes them")
    fields = cast("Mapping[str, Any]", value)
    try:
        return read_record(fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if "contextkit" in fields and isinstance(error, ValueError):
            raise UsageError(f"{place}: {error}") from None
        what = fields.get("record", "message")
        raise UsageError(f"{place}: is no {what} as `contextkit export` writes them") from None


def sections(lines: Lines) -> Iterator[Section]:
    """The lines of a file, those of one kind together; its header is left out."""

    def kind(line: tuple[str, Record]) -> str:
        record = line[1]
        if isinstance(record, ThreadHead):
            return "head"
        return "said" if isinstance(record, Said) else "kept"

    yield from groupby((each for each in lines if not isinstance(each[1], Header)), kind)


def survey(
    path: Path, file: IO[bytes], tenant: str | None, max_message_bytes: int
) -> dict[tuple[str, str], Incoming]:
    """The threads of a file by tenant and name, all of it checked. Raises `UsageError`.

    Messages that name no tenant or thread belong to `default` and to a thread called as the file.
    """
    lines = read_lines(path, file)
    header: Header | None = None
    found: dict[tuple[str, str], Incoming] = {}
    current: Incoming | None = None

    def watched() -> Lines:
        nonlocal header
        for number, (place, record) in enumerate(lines):
            if isinstance(record, Header):
                if number:
                    raise UsageError(f"{place}: an export has its header once, in the first line")
                header = record
            yield place, record

    for kind, section in sections(watched()):
        if kind == "head":
            for place, head in section:
                _complete(path, current)
                current = _begin(place, head, found, tenant, told=header is not None)
        elif kind == "said":
            for place, said in section:
                thread = current if header else _implicit(path, said, found, tenant)
                _add(place, said, thread, max_message_bytes)
        else:
            _check_kept(current, section)
    _complete(path, current)
    if header is not None and header.n_threads != len(found):
        raise UsageError(f"{path}: is cut: {len(found)} of {header.n_threads} threads are there")
    if not found:
        raise UsageError(f"{path}: holds no messages")
    return found


def place_of(path: Path, said: Said, tenant: str | None) -> tuple[str, str]:
    """Where a message of a file without heads belongs."""
    whose = tenant if tenant is not None else said.tenant
    return "default" if whose is None else whose, name_of(path) if said.name is None else said.name


def _begin(
    place: str,
    head: ThreadHead,
    found: dict[tuple[str, str], Incoming],
    tenant: str | None,
    *,
    told: bool,
) -> Incoming:
    whose = head.tenant if tenant is None else tenant
    if not told:
        raise UsageError(f"{place}: the header, an export's first line, is missing")
    if (whose, head.name) in found:
        raise UsageError(f"{place}: tenant {whose!r} has a thread {head.name!r} twice")
    begun = Incoming(head, told)
    if head.parent is not None:
        parent = found.get((whose, head.parent))
        if parent is None or (head.forked_at and head.forked_at not in parent.forks):
            raise UsageError(f"{place}: {head.parent!r}, which it was forked from, is not there")
        begun.last = parent.forks.get(head.forked_at)
        inherited = set(head.forks) & set(parent.forks)
        begun.forks = {at: parent.forks[at] for at in inherited if at <= head.forked_at}
    found[whose, head.name] = begun
    return begun


def _implicit(
    path: Path, said: Said, found: dict[tuple[str, str], Incoming], tenant: str | None
) -> Incoming:
    place = place_of(path, said, tenant)
    if place not in found:
        found[place] = Incoming(ThreadHead(*place, n_entries=0, chain=""), is_told=False)
    return found[place]


def _add(place: str, said: Said, thread: Incoming | None, limit: int) -> None:
    if thread is None or thread.is_closed:
        raise UsageError(f"{place}: a message behind its thread's own")
    whose = thread.head.tenant, thread.head.name
    if thread.is_told and (said.tenant, said.name) != whose:
        raise UsageError(f"{place}: is no message of thread {thread.head.name!r}, where it stands")
    if (size := len(said.message.canonical)) > limit:
        raise UsageError(
            f"{place}: {size:,} bytes, at most {limit:,} fit one message; raise max_message_bytes"
        )
    try:
        thread.add(said.message)
    except InvalidMessage as error:
        raise UsageError(f"{place}: {error}") from None


def _check_kept(thread: Incoming | None, section: Iterator[tuple[str, Any]]) -> None:
    at = ""

    def kept() -> Iterator[Kept]:
        nonlocal at
        for place, record in section:
            at = place
            if isinstance(record, StoredView):
                _check_view(thread.n_entries if thread else 0, record)
            elif isinstance(record, StoredTurn) and thread is not None:
                _ = record.ledger
                thread.n_turns = record.number
            yield record

    if thread is not None:
        thread.is_closed = True
    try:
        for _ in checked(kept(), thread.n_entries if thread else 0):
            pass
    except StoreError as error:
        raise UsageError(f"{at}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{at}: cannot be read: {error!r}") from None


def _check_view(n_entries: int, view: StoredView) -> None:
    rows: list[dict[str, int]] = json.loads(view.body)["pieces"]
    reach = max((row["stop"] for row in rows), default=0)
    if reach > n_entries:
        raise StoreError(f"the view reaches to entry {reach} of {n_entries}")


def _complete(path: Path, thread: Incoming | None) -> None:
    """Raises `UsageError` where a thread is not all there."""
    if thread is None:
        return
    said = f"{path}: thread {thread.head.name!r}"
    if thread.n_entries != thread.head.n_entries:
        raise UsageError(
            f"{said} is cut: {thread.n_entries} of {thread.head.n_entries} messages are there"
        )
    if thread.chain.hex() != thread.head.chain:
        raise UsageError(f"{said} is not what was exported: a message was changed or lost")
