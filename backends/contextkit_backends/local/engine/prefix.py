"""Shared prefixes: a page that is full is found again by the tokens up to its end.

The key of a page is a SHA-256 chain over the tokens of all pages before it and its own, begun with what
else its content depends on: model, weights' dtype, quantisation, rotary settings, page size, sinks,
window, and a salt for each tenant, which the server sets and a caller's text never reaches (a shared
cache is a timing side channel, CVE-2025-46570). Tokens are compared on a hit.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Mapping
from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from typing import Any

from contextkit_backends.local.engine.pages import PagePool
from contextkit_backends.local.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class PrefixStats:
    """What the index was asked and what it had, in tokens of prompts."""

    n_lookups: int
    asked_tokens: int
    hit_tokens: int
    n_entries: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One page of known content: its key, its own tokens (as bytes), where it lies."""

    key: bytes
    tokens: bytes
    page: int


@dataclass(slots=True)
class PageChain:
    """The history of one sequence: the key of its last full page, and the tokens since."""

    index: PrefixIndex
    key: bytes
    pending: list[int] = field(default_factory=list[int])

    def extend(self, token_ids: Tokens[int], pages: list[int]) -> None:
        """Tokens were written; each of `pages` became full by them."""
        size = self.index.pages.page_tokens
        self.pending += token_ids
        for n, page in enumerate(pages):
            tokens = as_bytes(self.pending[n * size : (n + 1) * size])
            self.key = next_key(self.key, tokens)
            self.index.publish(Entry(self.key, tokens, page))
        del self.pending[: len(pages) * size]

    def copy(self) -> PageChain:
        """The same history for a fork."""
        return PageChain(self.index, self.key, [*self.pending])


class PrefixIndex:
    """Full pages of one engine by key. `identity` names everything that a page's content depends on.

    Takes over `pages.on_evict`: a page taken back is forgotten here.
    """

    def __init__(
        self,
        pages: PagePool,
        identity: Mapping[str, Any],
        *,
        sinks: int = 0,
        window: int | None = None,
    ) -> None:
        self.pages = pages
        self._identity = {
            **identity, "page_tokens": pages.page_tokens, "sinks": sinks, "window": window
        }  # fmt: skip
        self._by_key: dict[bytes, Entry] = {}
        self._by_page: dict[int, Entry] = {}
        self._n_lookups = self._asked_tokens = self._hit_tokens = 0
        pages.on_evict = self._forget

    def root(self, salt: str = "") -> PageChain:
        """The empty history of a tenant."""
        said = json.dumps({"identity": self._identity, "salt": salt}, sort_keys=True)
        return PageChain(self, hashlib.sha256(said.encode()).digest())

    def open(self, sequence: Sequence, token_ids: Tokens[int], salt: str = "") -> int:
        """Let an empty sequence begin with the pages of a known prefix; how many tokens they hold.

        At least one token is left to be computed, so that there are logits. From here on the sequence
        publishes the pages it fills.
        """
        size = self.pages.page_tokens
        found = self._find(token_ids, salt, (len(token_ids) - 1) // size)
        n_head = -(-sequence.head // size)
        n, first = _longest(found, n_head, size, sequence.window)
        entries = [
            entry for entry in (*found[: min(n_head, n)], *found[first:n]) if entry is not None
        ]
        for entry in entries:
            self.pages.retain(entry.page)
        pages = [entry.page for entry in entries]
        chain = self.root(salt)
        if n:
            n_kept = min(n_head, n)
            sequence.adopt(pages[:n_kept], max(first, n_head), pages[n_kept:], n * size)
            chain.key = entries[-1].key
        sequence.chain = chain
        self._n_lookups += 1
        self._asked_tokens += len(token_ids)
        self._hit_tokens += n * size
        return n * size

    def publish(self, entry: Entry) -> None:
        """Make a full page findable; where two sequences computed the same one, the first stays."""
        if entry.key in self._by_key:
            return
        self.pages.remember(entry.page)
        self._by_key[entry.key] = self._by_page[entry.page] = entry

    def stats(self) -> PrefixStats:
        """Counts since the engine was loaded."""
        return PrefixStats(self._n_lookups, self._asked_tokens, self._hit_tokens, len(self._by_key))

    def _find(self, token_ids: Tokens[int], salt: str, n_blocks: int) -> list[Entry | None]:
        """For each full block of the prompt its page, or None where it is not known."""
        size = self.pages.page_tokens
        key = self.root(salt).key
        found: list[Entry | None] = []
        for n in range(n_blocks):
            tokens = as_bytes(token_ids[n * size : (n + 1) * size])
            key = next_key(key, tokens)
            entry = self._by_key.get(key)
            found.append(entry if entry is not None and entry.tokens == tokens else None)
        return found

    def _forget(self, page: int) -> None:
        del self._by_key[self._by_page.pop(page).key]


def _longest(
    found: list[Entry | None], n_head: int, size: int, window: int | None
) -> tuple[int, int]:
    """The most blocks a sequence can begin with, and the first one after the head that it still sees.

    Blocks that have left the window need not be cached any more; their tokens are in the key.
    """
    n_leading = next((n for n, entry in enumerate(found) if entry is None), len(found))
    best, first, run = min(n_leading, n_head), min(n_leading, n_head), 0
    for n, entry in enumerate(found, start=1):
        run = run + 1 if entry is not None else 0
        low = 0 if window is None else max(0, n * size - window) // size
        needed = max(low, n_head)
        if n_leading >= n_head and n > n_head and n - run <= needed:
            best, first = n, min(needed, n)
    return best, first


def as_bytes(token_ids: Tokens[int]) -> bytes:
    """Tokens as eight bytes each."""
    return array("q", token_ids).tobytes()


def next_key(key: bytes, tokens: bytes) -> bytes:
    """The key of the page that follows `key` and holds `tokens`."""
    return hashlib.sha256(key + tokens).digest()
