"""Reading passages back: rows know where their words are, the history has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

from contextkit.documents import Document, parse_chunk_handle
from contextkit.errors import StoreReadOnly
from contextkit.log import Entry
from contextkit.recall import rows as segments
from contextkit.recall.passages import Passage, passage_of_chunk, passages_of
from contextkit.recall.rows import Row, row_of, said
from contextkit.recall.words import stemmer_name
from contextkit.store import HistoryStore, ThreadRecord

SEGMENT = 256
"""Entries whose rows are kept together."""
PAGE = 1024
"""Entries that are read at a time; a multiple of a segment."""
GAP = 8
"""Entries between two wanted ones that cost less to read than another query."""


HELD_ENTRIES = 4096
"""Entries whose passages stay in memory."""


class Shelf:
    """The passages and rows of one thread. Rows of whole segments are cut into terms once, then kept."""

    def __init__(self, store: HistoryStore, record: ThreadRecord) -> None:
        self.store, self.record = store, record
        self._space = f"terms/2/{stemmer_name()}"
        self._open: list[Row] = []
        """Rows of the newest segment, which is not whole yet."""
        self._cut_passages: dict[int, list[Passage]] = {}

    def n_entries(self) -> int:
        return self.store.head(self.record).n_entries

    def documents(self) -> list[Document]:
        return self.store.documents(self.record)

    # -- rows ----------------------------------------------------------------------------------

    def log_rows(self, start: int, stop: int) -> Iterator[tuple[int, list[Row]]]:
        """(where they end, rows) of the entries `start <= seq < stop`; a caller goes on at such an end."""
        while start < stop:
            end = min(stop, start - start % PAGE + PAGE)
            kept = self._segments(start, end)
            while start < end:
                edge = min(end, start - start % SEGMENT + SEGMENT)
                yield edge, kept[start] if start in kept else self._cut(start, edge)
                start = edge

    def document_rows(self, document: Document) -> list[Row]:
        """Rows of a document's chunks."""
        key = f"{document.number}/{document.digest}/{document.name}"
        kept = self.store.load_memo(self.record.tenant, self._space, [key])
        if key in kept:
            with suppress(ValueError):
                return segments.load(kept[key])
        chunks = self.store.chunks(self.record, document.number)
        rows = [row_of(passage_of_chunk(chunk, document)) for chunk in chunks if chunk.text.strip()]
        self._save(key, rows)
        return rows

    def _segments(self, start: int, stop: int) -> dict[int, list[Row]]:
        """Kept rows of whole segments, by the `seq` they begin with."""
        keys: dict[str, int] = {}
        for at in range(-(-start // SEGMENT) * SEGMENT, stop - SEGMENT + 1, SEGMENT):
            last = self.store.entries(self.record, at + SEGMENT - 1, at + SEGMENT)
            keys[last[0].chain.hex()] = at
        kept = self.store.load_memo(self.record.tenant, self._space, list(keys)) if keys else {}
        found: dict[int, list[Row]] = {}
        for key, value in kept.items():
            with suppress(ValueError):
                found[keys[key]] = segments.load(value)
        return found

    def _cut(self, start: int, stop: int) -> list[Row]:
        """Rows of a part of one segment, made from its words."""
        entries = self.store.entries(self.record, start, stop)
        rows = [row_of(passage) for entry in entries for passage in passages_of(entry)]
        segment = rows if start % SEGMENT == 0 else self._open + rows
        is_whole = stop % SEGMENT == 0
        if is_whole:
            self._save(entries[-1].chain.hex(), segment)
        self._open = [] if is_whole else segment
        return rows

    def _save(self, key: str, rows: Sequence[Row]) -> None:
        with suppress(StoreReadOnly):
            self.store.save_memo(self.record.tenant, self._space, {key: segments.dump(rows)})

    # -- words ---------------------------------------------------------------------------------

    def passages(self, rows: Sequence[Row]) -> list[Passage]:
        """The passages of rows, in their order."""
        cut = self._cut_passages
        missing = [row.start for row in rows if row.start >= 0 and row.start not in cut]
        cut.update((seq, passages_of(entry)) for seq, entry in self._entries(missing).items())
        chunks = self._chunks([row.handle for row in rows if row.start < 0])
        found = [cut[row.start][row.part] if row.start >= 0 else chunks[row.handle] for row in rows]
        while len(cut) > HELD_ENTRIES:
            del cut[next(iter(cut))]
        return found

    def said(self, rows: Sequence[Row]) -> list[str]:
        """What is indexed and embedded of rows."""
        return [said(passage) for passage in self.passages(rows)]

    def _entries(self, seqs: Sequence[int]) -> dict[int, Entry]:
        found: dict[int, Entry] = {}
        for start, stop in _ranges(sorted(set(seqs))):
            entries = self.store.entries(self.record, start, stop)
            found.update((entry.seq, entry) for entry in entries)
        return found

    def _chunks(self, handles: Sequence[str]) -> dict[str, Passage]:
        wanted: dict[int, list[int]] = {}
        for handle in handles:
            number, chunk_number = parse_chunk_handle(handle) or (0, None)
            wanted.setdefault(number, []).append(chunk_number or 0)
        found: dict[str, Passage] = {}
        for document in self.documents() if wanted else []:
            numbers = sorted(set(wanted.get(document.number, ())))
            for start, stop in _ranges(numbers):
                for chunk in self.store.chunks(self.record, document.number, start, stop):
                    found[chunk.handle] = passage_of_chunk(chunk, document)
        return found


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as few ranges, with small gaps in them."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and number - ranges[-1][1] <= GAP:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return ranges
