"""What every store refuses in the same words: names, fork points, threads it does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from contextkit.documents import Chunk, Document, content_digest
from contextkit.errors import StoreError, UnknownThread, ViewConflict
from contextkit.store import SeqTaken, ThreadRecord


def check_names(**names: str) -> None:
    """Raises `StoreError` for what is no text, and for NUL and lone surrogates, which no database takes."""
    for what, name in names.items():
        given = cast("object", name)
        if not isinstance(given, str):
            kind = type(given).__name__
            raise StoreError(
                f"the {what} name {given!r} is not text but of type {kind}; str({what}) would do"
            )
        has_surrogate = not name.isascii() and any("\ud800" <= c <= "\udfff" for c in name)
        if "\0" in name or has_surrogate:
            raise StoreError(
                f"the {what} name {name[:80]!r} holds a NUL or a lone surrogate, which databases "
                "cannot keep; escape it, every other character is allowed"
            )


def check_place(place: int, what: str) -> None:
    """Raises `StoreError` for a place in a log that is no whole number."""
    if not isinstance(cast("object", place), int):
        kind = type(place).__name__
        raise StoreError(
            f"{what}: {place!r} is no whole number but of type {kind}; entries count from 0"
        )


def check_chunk_texts(document: Document, chunks: Sequence[Chunk]) -> None:
    """Raises `StoreError` where chunks hold what no database takes, or are not those of the digest."""
    check_names(document=document.name + document.source)
    for number, chunk in enumerate(chunks):
        check_names(**{f"text of chunk {number} of document {document.name!r} as a": chunk.text})
        check_names(place=chunk.place)
    if document.digest != content_digest(document.media_type, chunks):
        raise StoreError(
            f"document {document.name!r}: the digest is not that of its chunks; make it with "
            "content_digest(media_type, chunks)"
        )


def check_fork_point(thread: ThreadRecord, at: int, n_entries: int) -> None:
    """Raises `StoreError` where the thread has no entry just before `at`."""
    if not 0 <= at <= n_entries:
        raise StoreError(
            f"thread {thread.name!r} cannot be forked at {at}: it has {n_entries} entries, "
            f"any place from 0 to {n_entries} would work"
        )


def check_counter(thread: ThreadRecord, stored: str) -> None:
    """Raises `StoreError` where the log was recounted since `thread` was opened.

    Measures of two counters do not add up, so nothing counted the old way may be appended.
    """
    if stored != thread.counter:
        raise StoreError(
            f"thread {thread.name!r} was recounted for counter {stored!r} while this process "
            f"counts with {thread.counter!r}; open the thread again"
        )


def seq_taken(thread: ThreadRecord, seq: int, n_entries: int | None = None) -> SeqTaken:
    known = "" if n_entries is None else f"; the next is {n_entries}"
    return SeqTaken(f"entry {seq} of thread {thread.name!r} is not the next{known}")


def view_conflict(thread: ThreadRecord, offered: int, stored: int) -> ViewConflict:
    return ViewConflict(
        f"the view of thread {thread.name!r} is at version {stored}, version {offered} does not "
        "follow it; nothing was stored, assemble again to see the newer view"
    )


def name_taken(tenant: str, name: str) -> StoreError:
    return StoreError(f"tenant {tenant!r} has a thread {name!r} already; fork under another name")


def refuse_forks(thread: ThreadRecord, forks: Sequence[ThreadRecord]) -> None:
    """Raises `StoreError` where forks would lose what they share."""
    if forks:
        names = ", ".join(repr(fork.name) for fork in forks[:5])
        raise StoreError(
            f"thread {thread.name!r} has {len(forks)} forks that share its entries ({names}); forget "
            "them first, or together with it: forks=True"
        )


def unknown_thread(thread: ThreadRecord, where: str) -> UnknownThread:
    return UnknownThread(
        f"{where} has no thread {thread.name!r} of tenant {thread.tenant!r} with id {thread.id}; "
        "open the thread in this store again"
    )
