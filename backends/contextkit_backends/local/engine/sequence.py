"""One sequence in the pool: which pages hold its keys, what is visible, what has left.

Positions are counted from 0 in the sequence; logical block `b` holds positions `b·P … (b+1)·P - 1`. Key `j`
is visible to query `t` where `j <= t` and (`j < head` or `j >= low(t)`). Without sinks, window and eviction
that is plain causal attention. Head keys are answered by a query rotated back by `gap(t)`, as if what left
had never been there (StreamingLLM, arXiv:2309.17453).
"""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from typing import NamedTuple

from contextkit.errors import ConfigError, EngineError
from contextkit_backends.local.engine.pages import PagePool
from contextkit_backends.local.engine.storage import Chain, Filled, Storage


class Row(NamedTuple):
    """One row of the block table, as indices into the tensors of each page's class."""

    table: tuple[int, ...]
    is_packed: tuple[int, ...]
    """0: full precision, 1: packed, 2: of the short pool."""
    n_head_pages: int
    tail_first: int


class Sequence:
    """Pages of one sequence; not thread-safe. `version` grows whenever `row()` would answer otherwise.

    `sinks` tokens at the start stay visible for ever; `window` is how many tokens before the query are
    (None: all). `packs`: pages are quantised when they fill, except those that hold the head.
    """

    def __init__(
        self,
        pages: PagePool,
        storage: Storage,
        *,
        sinks: int = 0,
        window: int | None = None,
        chain: Chain | None = None,
    ) -> None:
        if window is not None and window < max(sinks, 1):
            raise ConfigError(f"window: {window} must be at least 1 and at least sinks ({sinks})")
        self.pages, self.storage, self.chain = pages, storage, chain
        self.window = window
        self.head = self.sinks = sinks if window is not None else 0
        self.floor = 0
        self.length = 0
        self.version = 0
        self.head_pages: list[int] = []
        self.tail_pages: list[int] = []
        self.tail_first = self._blocks(self.head)
        self._reserved = 0
        self._targets: list[int] = []
        self._row: tuple[int, Row] | None = None
        self.short_head: int | None = None
        """Where the sinks of the head's last page are, once its other tokens have left."""

    def low(self, position: int) -> int:
        """The first position after the head that a query at `position` sees."""
        if self.window is None:
            return self.floor
        return max(self.floor, position - self.window)

    def gap(self, position: int) -> int:
        """By how many positions the query at `position` is rotated back for the head's keys."""
        return max(0, self.low(position) - self.head)

    @property
    def n_cached(self) -> int:
        """Tokens that the next query sees without itself."""
        return self.length - self.gap(self.length)

    def reserve(self, n: int) -> list[int]:
        """Slots (`page·P + offset`, full precision) for the next `n` tokens; PoolExhausted takes none.

        The last page is copied first where a fork shares it.
        """
        if self._reserved:
            raise EngineError(
                "reserve: the tokens reserved before were neither committed nor abandoned"
            )
        size = self.pages.page_tokens
        stop = self.length + n
        held = self._blocks(self.length)
        shared = bool(self.length % size and n) and self.pages.references(self._page(held - 1)) > 1
        fresh = self.pages.allocate(self._blocks(stop) - held + shared)
        try:
            self._targets = self.pages.allocate(self._count_packable(stop), packed=True)
        except EngineError:
            for page in fresh:
                self.pages.release(page)
            raise
        if shared:
            self._replace_shared(held - 1, fresh.pop())
        for block, page in enumerate(fresh, start=held):
            self._pages_of(block).append(page)
        self._reserved = n
        self.version += bool(fresh) or shared
        return self._slots(self.length, stop)

    def commit(self, token_ids: Tokens[int]) -> None:
        """The reserved tokens are written in every layer: pack, publish and release pages."""
        if len(token_ids) != self._reserved:
            raise EngineError(
                f"commit: {len(token_ids)} tokens, but {self._reserved} were reserved"
            )
        size = self.pages.page_tokens
        first, self.length, self._reserved = self.length // size, self.length + len(token_ids), 0
        full = range(first, self.length // size)
        if self._targets:
            self._pack(full)
        if self.chain is not None:
            self.chain.extend(token_ids, [self._page(block) for block in full])
        self.release_invisible()

    def abandon(self) -> None:
        """Give reserved pages back: the forward pass failed, or was only to look ahead."""
        self.shorten(0)

    def shorten(self, n: int) -> None:
        """Of the reserved tokens the first `n` will be committed; what the others took is given back."""
        held = self._blocks(self.length + n)
        for pages, keep in (
            (self.tail_pages, max(0, held - self.tail_first)),
            (self.head_pages, held),
        ):
            while len(pages) > keep:
                self.pages.release(pages.pop())
        while len(self._targets) > self._count_packable(self.length + n):
            self.pages.release(self._targets.pop())
        self._reserved = n
        self.version += 1

    def release_invisible(self) -> None:
        """Give back tail pages that no query from `length` on can see."""
        size = self.pages.page_tokens
        self._shorten_head()
        n_gone = min(self.low(self.length) // size - self.tail_first, len(self.tail_pages))
        if n_gone <= 0:
            return
        for page in self.tail_pages[:n_gone]:
            self.pages.release(page)
        del self.tail_pages[:n_gone]
        self.tail_first += n_gone
        self.version += 1

    def evict(self, start: int, stop: int) -> None:
        """Positions `start … stop - 1` leave: later queries see those before and after as neighbours.

        A sequence has one gap, so a further eviction begins where the first began, or before it.
        Pages written from now on depend on it and are not published.
        """
        if not 0 <= start < stop <= self.length:
            raise EngineError(
                f"evict: {start} … {stop} is no range of the {self.length} tokens in the cache"
            )
        low = self.low(self.length)
        if low > self.head and (start > self.head or stop < low):
            raise EngineError(
                f"evict: positions {self.head} … {low - 1} have left already, and a sequence has one gap; "
                f"start at {self.head} or before and stop at {low} or after, not {start} … {stop}"
            )
        self._move_head(start)
        self.floor = stop
        self.chain = None
        self.version += 1
        self.release_invisible()

    def truncate(self, length: int) -> None:
        """Forget what was read from position `length` on, behind the head and the gap.

        Only to a page's start, or within the page in progress: full pages are shared or packed.
        What is written from now on is not published.
        """
        size = self.pages.page_tokens
        whole = length % size == 0 or length // size == self.length // size
        if self._reserved or not whole or not max(self.head, self.floor) <= length <= self.length:
            raise EngineError(
                f"truncate: {length} is neither a page's start nor in the page in progress of the "
                f"{self.length} tokens in the cache"
            )
        for _ in range(self._blocks(length), self._blocks(self.length)):
            self.pages.release((self.tail_pages or self.head_pages).pop())
        self.length = length
        self.chain = None
        self.version += 1

    def skip(self, position: int) -> None:
        """Go on at `position`, as one that read all the way there and kept nothing but its head."""
        size = self.pages.page_tokens
        if self.length != self.head or position < self.length:
            raise EngineError(
                f"skip: only a sequence that has read exactly its head ({self.head} tokens) can skip, and "
                f"forward; this one has read {self.length} and was told {position}"
            )
        block = position // size
        if position % size and block >= self._blocks(self.head):
            self.tail_pages = self.pages.allocate()
        self.tail_first = max(self.tail_first, block)
        self.length = self.floor = position
        self.chain = None
        self.version += 1

    def adopt(self, head_pages: list[int], tail_first: int, tail_pages: list[int], n: int) -> None:
        """Begin with `n` tokens that are already in these pages, which the caller has retained."""
        if self.length or self._reserved:
            raise EngineError("adopt: only an empty sequence can begin with pages of a prefix")
        self.head_pages, self.tail_first, self.tail_pages = head_pages, tail_first, tail_pages
        self.length = n
        self.version += 1

    def fork(self) -> Sequence:
        """The same past, shared page by page; what either writes from now on is its own."""
        if self._reserved:
            raise EngineError("fork: commit or abandon the reserved tokens first")
        twin = Sequence(self.pages, self.storage, sinks=self.sinks, window=self.window)
        twin.head, twin.floor, twin.length = self.head, self.floor, self.length
        twin.head_pages, twin.tail_pages = [*self.head_pages], [*self.tail_pages]
        twin.tail_first = self.tail_first
        twin.chain = self.chain.copy() if self.chain is not None else None
        for page in (*twin.head_pages, *twin.tail_pages):
            self.pages.retain(page)
        if self.short_head is not None and self.pages.short is not None:
            self.pages.short.retain(self.short_head)
            twin.short_head = self.short_head
        return twin

    def close(self) -> None:
        """Release every page, the newest first: what is evicted first is the end of a prefix."""
        self.abandon()
        for pages in (self.tail_pages, self.head_pages):
            while pages:
                self.pages.release(pages.pop())
        self._release_short_head()
        self.length, self.chain = 0, None

    def row(self) -> Row:
        """This sequence's row of the block table, reserved pages included."""
        if self._row is None or self._row[0] != self.version:
            places = [*map(self._place, self.head_pages)]
            if self.short_head is not None:
                places.append((self.short_head, 2))
            n_head = len(places)
            places += map(self._place, self.tail_pages)
            table, kinds = zip(*places, strict=True) if places else ((), ())
            row = Row(table, kinds, n_head, self.tail_first)
            self._row = (self.version, row)
        return self._row[1]

    def _place(self, page: int) -> tuple[int, int]:
        """A page's index in the tensors of its class, and the class."""
        packed = self.pages.is_packed(page)
        return page - self.pages.n_pages * packed, int(packed)

    def _blocks(self, n_tokens: int) -> int:
        return -(-n_tokens // self.pages.page_tokens)

    def _pages_of(self, block: int) -> list[int]:
        return self.head_pages if block < self._blocks(self.head) else self.tail_pages

    def _index(self, block: int) -> int:
        return block if block < self._blocks(self.head) else block - self.tail_first

    def _page(self, block: int) -> int:
        return self._pages_of(block)[self._index(block)]

    def _slots(self, start: int, stop: int) -> list[int]:
        size = self.pages.page_tokens
        slots: list[int] = []
        for block in range(start // size, self._blocks(stop)):
            shift = (self._page(block) - block) * size
            slots += range(max(start, block * size) + shift, min(stop, (block + 1) * size) + shift)
        return slots

    def _count_packable(self, stop: int) -> int:
        if not self.pages.n_packed:
            return 0
        size = self.pages.page_tokens
        return max(0, stop // size - max(self.length // size, self._blocks(self.head)))

    def _pack(self, full: range) -> None:
        blocks = [block for block in full if block >= self._blocks(self.head)]
        filled = [
            Filled(self._page(block), target, block * self.pages.page_tokens)
            for block, target in zip(blocks, self._targets, strict=True)
        ]
        self.storage.pack(filled)
        for block, page in zip(blocks, filled, strict=True):
            self.tail_pages[self._index(block)] = page.target
            self.pages.release(page.source)
        self._targets = []
        self.version += 1

    def _replace_shared(self, block: int, page: int) -> None:
        shared = self._page(block)
        self.storage.copy_page(shared, page)
        self._pages_of(block)[self._index(block)] = page
        self.pages.release(shared)

    def _shorten_head(self) -> None:
        """Of the head's last page keep the sinks alone, once nothing else in it can be seen."""
        n_head, short = self._blocks(self.head), self.pages.short
        gone = self.low(self.length) >= n_head * self.pages.page_tokens
        whole = not self.head % self.pages.page_tokens or self.head != self.sinks
        if short is None or whole or not gone or self.short_head is not None:
            return
        if short.has_room(1):
            [self.short_head] = short.allocate()
            self.storage.shorten(self.head_pages[-1], self.short_head)
            self.pages.release(self.head_pages.pop())
            self.version += 1

    def _release_short_head(self) -> None:
        if self.short_head is not None and self.pages.short is not None:
            self.pages.short.release(self.short_head)
        self.short_head = None

    def _move_head(self, head: int) -> None:
        """Move pages between head and tail so that the head ends at position `head`."""
        n_old, n_new = self._blocks(self.head), self._blocks(head)
        self.head = head
        if (
            self.short_head is not None
        ):  # what stood behind it has left, and so will what is dropped
            if n_new < n_old:
                self._release_short_head()
            while len(self.head_pages) > n_new:
                self.pages.release(self.head_pages.pop())
            return
        if n_new > n_old:
            self.head_pages += self.tail_pages[: n_new - n_old]
            del self.tail_pages[: n_new - n_old]
            self.tail_first = n_new
            return
        dropped = self.head_pages[n_new:]
        del self.head_pages[n_new:]
        if self.tail_first == n_old:
            self.tail_pages[:0] = dropped
            self.tail_first = n_new
            return
        for page in dropped:
            self.pages.release(page)
