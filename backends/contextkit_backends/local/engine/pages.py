"""Which page of the pool belongs to whom: identifiers and counts only, no tensors.

Identifiers `0 … n_pages - 1` are full-precision pages, those from `n_pages` on are packed (quantised) ones.
A page is free, used (somebody holds a reference), or cached (nobody does, but the prefix index knows
what is in it). Cached pages are taken back least recently used first when free ones run out. Every
operation takes constant time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from contextkit.errors import ConfigError, PoolExhausted


@dataclass(frozen=True, slots=True)
class PageCounts:
    """How many pages of one class there are, and in which state."""

    total: int
    free: int
    cached: int

    @property
    def available(self) -> int:
        """Pages that can be handed out now: free ones, and cached ones at the price of forgetting."""
        return self.free + self.cached

    @property
    def used(self) -> int:
        """Pages that somebody holds."""
        return self.total - self.free - self.cached


class PagePool:
    """Reference counts, free lists and the order of eviction for `n_pages + n_packed` pages.

    `on_evict(page)` is called when a cached page is taken back, before it is handed out again.
    """

    def __init__(
        self,
        n_pages: int,
        *,
        page_tokens: int = 64,
        n_packed: int = 0,
        n_short: int = 0,
        on_evict: Callable[[int], None] | None = None,
    ) -> None:
        if page_tokens < 1 or page_tokens & (page_tokens - 1):
            raise ConfigError(f"page_tokens: {page_tokens} is not a power of two (16, 32, 64, 128)")
        if n_pages < 1:
            raise ConfigError(f"pool_tokens: less than one page of {page_tokens} tokens")
        self.n_pages = n_pages
        self.n_packed = n_packed
        self.page_tokens = page_tokens
        self.short = PagePool(n_short, page_tokens=page_tokens) if n_short else None
        """Of a packed pool: places for the sinks of a page whose other tokens have left."""
        self.on_evict = on_evict
        self.reclaim: Callable[[], bool] | None = None
        """Asked for pages when too few are available; True where it gave some back."""
        self.n_evicted = 0
        self._references = [0] * (n_pages + n_packed)
        self._known = [False] * (n_pages + n_packed)
        self._free = (
            list(range(n_pages - 1, -1, -1)),
            list(range(n_pages + n_packed - 1, n_pages - 1, -1)),
        )
        self._cached: tuple[OrderedDict[int, None], ...] = (OrderedDict(), OrderedDict())

    def is_packed(self, page: int) -> bool:
        """Whether the page lies in the packed part of the pool."""
        return page >= self.n_pages

    def references(self, page: int) -> int:
        """How many holders a page has."""
        return self._references[page]

    def counts(self, *, packed: bool = False) -> PageCounts:
        """The pages of one class by state."""
        total = self.n_packed if packed else self.n_pages
        return PageCounts(total, len(self._free[packed]), len(self._cached[packed]))

    def allocate(self, n: int = 1, *, packed: bool = False) -> list[int]:
        """Take `n` pages, each with one reference; PoolExhausted, and none taken, where fewer are left."""
        free, cached = self._free[packed], self._cached[packed]
        if not self.has_room(n, packed=packed):
            raise self._exhausted(n, packed)
        pages: list[int] = []
        for _ in range(n):
            page = free.pop() if free else self._evict(cached)
            self._references[page] = 1
            pages.append(page)
        return pages

    def has_room(self, n: int, *, packed: bool = False) -> bool:
        """Whether `n` pages can be handed out, once those are back that may be reclaimed."""
        while n > self.counts(packed=packed).available:
            if self.reclaim is None or not self.reclaim():
                return False
        return True

    def retain(self, page: int) -> None:
        """One more holder; a cached page comes back into use."""
        if not self._references[page]:
            del self._cached[self.is_packed(page)][page]
        self._references[page] += 1

    def release(self, page: int) -> None:
        """One holder less; the last one leaves the page cached where its content is known, else free."""
        if not self._references[page]:
            raise ValueError(f"page {page} is released more often than it was taken")
        self._references[page] -= 1
        if self._references[page]:
            return
        packed = self.is_packed(page)
        if self._known[page]:
            self._cached[packed][page] = None
        else:
            self._free[packed].append(page)

    def remember(self, page: int) -> None:
        """The prefix index knows this page's content: keep it when its last holder leaves."""
        if not self._references[page]:
            raise ValueError(f"page {page} is held by nobody, so nobody can vouch for its content")
        self._known[page] = True

    def clear_cached(self) -> None:
        """Forget every cached page; pages in use stay as they are."""
        for cached, free in zip(self._cached, self._free, strict=True):
            while cached:
                free.append(self._evict(cached))

    def _evict(self, cached: OrderedDict[int, None]) -> int:
        page, _ = cached.popitem(last=False)
        self._known[page] = False
        self.n_evicted += 1
        if self.on_evict is not None:
            self.on_evict(page)
        return page

    def _exhausted(self, n: int, packed: bool) -> PoolExhausted:
        counts = self.counts(packed=packed)
        asked, available = n * self.page_tokens, counts.available * self.page_tokens
        kind = "packed" if packed else "full-precision"
        return PoolExhausted(
            f"KV pool: {asked} more {kind} tokens were asked for and {available} of "
            f"{counts.total * self.page_tokens} are available; close other streams, use a smaller "
            "window, or load the engine with a larger pool_tokens",
            asked_tokens=asked,
            available_tokens=available,
        )
