"""Builds summaries in levels over a log, one transaction each: killed at any instant, it goes on there.

A summary of level 1 stands for whole groups of entries, cut where they reach `leaf_tokens`; once `FINE`
more than `fan_out` summaries of a level are in force, the oldest `fan_out` give way to one of the next, so
the newest stay the finest. Where they are cut depends on the log alone, not on when they are built.
Every way to summarise is tried in its order and checked; where none holds, the entries stay raw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event
from typing import ClassVar

from contextkit.errors import BackendError, BudgetExceeded
from contextkit.log import Entry
from contextkit.messages import text_message
from contextkit.store import CoverMoved, HistoryStore, ThreadRecord
from contextkit.summaries.check import faults
from contextkit.summaries.extractive import extract
from contextkit.summaries.said import Said, read_lines, said_in
from contextkit.summaries.values import Made, Shape, Summarizer, SummaryRefused, Task
from contextkit.summary import Source, Summary, source_digest
from contextkit.tokens import TokenCounter, add

PAGE = 64
FINE = 2
"""Summaries of a level that stay in force beside the next level."""
MOST_ENTRIES = 1024
"""Entries that one summary of level 1 stands for, however short they are."""


class Extractive:
    """The sentences that say most; never refused for what it says, since it says it word for word."""

    kind: ClassVar[str] = "extractive"

    def summarize(self, task: Task) -> Made:
        """Word for word what says most. Raises `SummaryRefused` where nothing can be read."""
        text = extract(task.said, task.target_tokens, task.count)
        if not text:
            raise SummaryRefused("nothing in it fits the target")
        return Made(text, self.kind)


class Builder:
    """Makes the summaries that a thread lacks; several may work at once, one of them wins each time."""

    def __init__(
        self,
        store: HistoryStore,
        record: ThreadRecord,
        counter: TokenCounter,
        shape: Shape,
        ways: Sequence[Summarizer],
    ) -> None:
        self.store, self.record, self.counter = store, record, counter
        self.shape, self.ways = shape, tuple(ways)

    def run(self, stop: Event | None = None) -> int:
        """Make all that are due, or until `stop` is set; returns how many were. Raises `StoreError`."""
        n_made = 0
        while not (stop is not None and stop.is_set()) and self.step():
            n_made += 1
        return n_made

    def step(self) -> bool:
        """Make one summary and put it in force; False where none is due."""
        cover = self.store.cover(self.record)
        replaced = self._gathered(cover)
        if replaced:
            summary = self._parent(replaced)
        else:
            leaf = self._leaf(cover)
            if not leaf:
                return False
            summary = self._made(1, said_in(leaf), leaf, [_source(leaf)], self._upper(leaf))
        try:
            self.store.add_summary(self.record, summary, replaced)
        except CoverMoved:
            return True  # another builder was first: look again
        return True

    def _gathered(self, cover: Sequence[Summary]) -> list[Summary]:
        """The oldest summaries of a level of which enough are in force; none where no level is full."""
        for level in range(1, self.shape.levels):
            found = [each for each in cover if each.level == level]
            if len(found) >= self.shape.fan_out + FINE:
                return found[: self.shape.fan_out]
        return []

    def _leaf(self, cover: Sequence[Summary]) -> list[Entry]:
        """The next entries to stand together: whole groups, once the next group has begun."""
        start = cover[-1].stop if cover else self._opening()
        found: list[Entry] = []
        measure = self.counter.zero
        for entry in self._entries(start):
            full = (
                self.counter.upper(measure) >= self.shape.leaf_tokens or len(found) >= MOST_ENTRIES
            )
            if found and full and entry.group == entry.seq:
                return found
            found.append(entry)
            measure = add(measure, entry.measure)
        return []

    def _parent(self, children: Sequence[Summary]) -> Summary:
        start, stop = children[0].start, children[-1].stop
        entries = self.store.entries(self.record, start, stop)
        said: list[Said] = []
        tokens = 0
        for child in children:
            below = entries[child.start - start : child.stop - start]
            said += _told(child, below)
            tokens += self._upper(below) if child.is_raw else self._count(child.text)
        sources = [_source(entries[c.start - start : c.stop - start]) for c in children]
        return self._made(children[0].level + 1, said, entries, sources, tokens)

    def _made(
        self,
        level: int,
        said: Sequence[Said],
        entries: Sequence[Entry],
        sources: Sequence[Source],
        source_tokens: int,
    ) -> Summary:
        """The first summary that holds, or none at all: then the entries stay as they are."""
        start, stop = entries[0].seq, entries[-1].seq + 1
        target = self.shape.target_tokens
        task = Task(start, stop, level, tuple(said), source_tokens, target, self._count)
        original = said_in(entries)
        made, refused = Made("", "raw"), list[str]()
        for way in self.ways if said else ():
            try:
                found = way.summarize(task)
            except (SummaryRefused, BackendError, BudgetExceeded) as error:
                refused.append(f"{way.kind}: {type(error).__name__}: {error}")
                continue
            fault = next(self._faults(found, task, original), "")
            if not fault:
                made = found
                break
            refused.append(f"{way.kind}: {fault}")
        return Summary(
            start=start,
            stop=stop,
            level=level,
            text=made.text,
            sources=tuple(sources),
            method=made.method,
            prompt=made.prompt,
            model=made.model,
            tainted=any(each.tainted for each in original),
            refused=tuple(refused),
        )

    def _faults(self, made: Made, task: Task, original: Sequence[Said]) -> Iterator[str]:
        tokens = self._count(made.text)
        if made.method != Extractive.kind:
            yield from faults(made.text, original, tokens=tokens, source_tokens=task.source_tokens)
        elif tokens >= task.source_tokens:
            yield f"it takes {tokens:,} tokens, its sources take {task.source_tokens:,}"

    def _opening(self) -> int:
        """How many system messages open the log: they are never summarised."""
        for entry in self._entries(0):
            if entry.message.role not in ("system", "developer"):
                return entry.seq
        return 0

    def _entries(self, start: int) -> Iterator[Entry]:
        while page := self.store.entries(self.record, start, start + PAGE):
            yield from page
            start += len(page)

    def _upper(self, entries: Sequence[Entry]) -> int:
        measure = self.counter.zero
        for entry in entries:
            measure = add(measure, entry.measure)
        return self.counter.upper(measure)

    def _count(self, text: str) -> int:
        return self.counter.upper(self.counter.measure(text_message("user", text)))


def _source(entries: Sequence[Entry]) -> Source:
    digests = (entry.message.digest for entry in entries)
    return Source(entries[0].seq, entries[-1].seq + 1, source_digest(digests))


def _told(child: Summary, below: Sequence[Entry]) -> list[Said]:
    """What a summary says, as the source of the next level."""
    if child.is_raw:
        return said_in(below)
    if child.method == Extractive.kind:
        return read_lines(child.text)
    return [Said(child.start, "summary", child.text, child.tainted)]
