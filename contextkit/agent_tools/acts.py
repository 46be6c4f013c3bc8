"""What the tools do with a thread. Each act answers with text for the model, refusals included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contextkit.agent_tools.fitting import fitted, n_tokens
from contextkit.agent_tools.limits import Limits
from contextkit.agent_tools.schemas import NAMES
from contextkit.documents import parse_chunk_handle
from contextkit.messages import Message
from contextkit.piece import entry_handle, parse_handle
from contextkit.recall.passages import Passage
from contextkit.recall.rendering import render
from contextkit.summary import parse_summary_handle

if TYPE_CHECKING:
    from contextkit.thread import Thread

MOST_MESSAGES = 200
"""Messages of a range that one answer looks at."""
LOOK_BACK = 64
"""Messages among which the current request is looked for."""
SPARE = 6
"""Times as many passages are looked at as are asked for."""
REPEATED = 80
"""Characters of what was asked that an answer repeats."""
TAIL_TOKENS = 60
"""Kept free for the line that tells how to go on."""


@dataclass(frozen=True)
class Answer:
    """What a tool answered; `is_error` where it could not do what was asked."""

    text: str
    is_error: bool = False


def expand(thread: Thread, limits: Limits, handle: str, offset: int = 0) -> Answer:
    """The words behind a handle, as far as they fit, and how to get the rest.

    Raises `UnknownHandle`.
    """
    room = _room(thread, limits) - TAIL_TOKENS
    span = parse_handle(handle) or parse_summary_handle(handle)
    if span is not None and span[1] - span[0] > 1:
        thread.expand(entry_handle(span[1] - 1, span[1]))
        return _range(thread, span, offset, room)
    named = parse_chunk_handle(handle)
    if named is not None and named[1] is None:
        text = _outline(thread, handle, named[0])
    elif span is not None:
        text = _said(span[0], thread.expand(handle)[0])
    else:
        text = thread.expand(handle).text
    return _cut(thread, handle, text, offset, room)


def _cut(thread: Thread, handle: str, text: str, offset: int, room: int) -> Answer:
    """One text from `offset` on."""
    if offset >= len(text) > 0:
        return Answer(f"{handle} has {len(text):,} characters; take a smaller offset", True)
    shown = fitted(thread.manager.counter, text[offset:], max(1, room))
    end = offset + len(shown)
    if end < len(text):
        rest = len(text) - end
        shown += f"\n[{rest:,} more characters: expand {handle} with offset={end}]"
    return Answer(shown)


def _range(thread: Thread, span: tuple[int, int], offset: int, room: int) -> Answer:
    """Whole messages of a range while they fit; a first one that does not is cut by itself."""
    start, stop = span
    counter, lines = thread.manager.counter, list[str]()
    for seq, message in enumerate(thread.history(start, min(stop, start + MOST_MESSAGES)), start):
        line = _said(seq, message)
        if n_tokens(counter, "\n".join([*lines, line])) > room:
            break
        lines.append(line)
    if not lines:
        alone = _cut(thread, f"m{start}", _said(start, thread.expand(f"m{start}")[0]), offset, room)
        more = f"\n[then {entry_handle(start + 1, stop)}]"
        return Answer(alone.text + more, alone.is_error)
    at = start + len(lines)
    if at < stop:
        lines.append(f"[{stop - at:,} more messages: expand {entry_handle(at, stop)}]")
    return Answer("\n".join(lines))


def _said(seq: int, message: Message) -> str:
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    text = "\n".join(part for part in (*calls, message.text) if part)
    return f"m{seq} {message.name or message.role}: {text or '(no text)'}"


def _outline(thread: Thread, handle: str, number: int) -> str:
    """A whole document: what it is, then its text."""
    text = thread.expand(handle).text
    document = next(each for each in thread.documents() if each.number == number)
    return f"{handle}: {document.name}, {document.n_chunks} parts\n{text}"


def search(thread: Thread, limits: Limits, query: str, limit: int = 5) -> Answer:
    """Passages before the current request and in documents, the likeliest first to get a place."""
    if not query.strip():
        return Answer("query: say in a few words what to look for", True)
    found = _found(thread, query, limit)
    room = _room(thread, limits)
    kept: list[Passage] = []
    for passage in found:
        text = render([*kept, passage]).text
        if n_tokens(thread.manager.counter, text) <= room:
            kept.append(passage)
    if kept:
        return Answer(render(kept).text)
    if found:
        handles = ", ".join(dict.fromkeys(passage.handle for passage in found))
        return Answer(f"Found, but too long for one answer; expand one of {handles}")
    n_documents = len(thread.documents())
    return Answer(
        f"Nothing matches {query[:REPEATED]!r} among {len(thread)} messages and {n_documents} documents; "
        "other words may"
    )


def _found(thread: Thread, query: str, limit: int) -> list[Passage]:
    """The best passages that say something; what these tools were asked and answered is no source."""
    found: list[Passage] = []
    for hit in thread.memory.search(query, top=limit * SPARE, before=asked_in(thread)):
        passage = hit.passage
        if hit.score <= 0 or len(found) == limit:
            break
        if passage.is_chunk or not _is_ours(thread.history(passage.start, passage.stop)[0]):
            found.append(passage)
    return found


def _is_ours(message: Message) -> bool:
    """Whether a message is only a call of these tools, or their answer."""
    calls, results, _ = message.pairing
    names = [call.name for call in calls] + [result.name for result in results]
    return len(names) == len(message.parts) > 0 and all(name in NAMES for name in names)


def remember(thread: Thread, limits: Limits, text: str) -> Answer:
    """A note as a document of the thread, named after the place in the conversation where it was made."""
    if not text.strip():
        return Answer("text: a note needs words", True)
    tokens = n_tokens(thread.manager.counter, text)
    if tokens > limits.note_tokens:
        return Answer(
            f"text: {tokens:,} tokens; a note has at most {limits.note_tokens:,}, say less or make several",
            True,
        )
    known = {document.number for document in thread.documents()}
    if len(known) >= limits.notes:
        return Answer(f"There are {len(known)} documents already; no more notes are taken", True)
    name = f"note at m{max(0, len(thread) - 1)}.txt"
    document = thread.ingest(text.encode("utf-8", "replace"), name=name)
    if document.number in known:
        return Answer(f"Kept already as {document.handle} ({document.name})")
    return Answer(
        f"Kept as {document.handle}: search_history finds it, expand {document.handle} brings it back"
    )


def compact(thread: Thread, limits: Limits, focus: str = "") -> Answer:
    """What the policy `compact_on_request` will make of the call that stands in the log."""
    topic = focus.strip()[:REPEATED]
    about = f"what does not bear on {topic!r}" if topic else "what was said"
    return Answer(
        f"Noted: {about} before the current request leaves the context, at the latest when room is needed. "
        "search_history finds it, expand brings it back"
    )


def _room(thread: Thread, limits: Limits) -> int:
    return limits.room(thread.manager.limit_tokens)


def asked_in(thread: Thread) -> int:
    """`seq` of the current request; where it is further back than is looked, of what stands there."""
    n_entries = len(thread)
    start = max(0, n_entries - LOOK_BACK)
    recent = thread.history(start, n_entries)
    for back, message in enumerate(reversed(recent)):
        if message.is_request:
            return n_entries - 1 - back
    return start
