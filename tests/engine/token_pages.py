"""Storage that holds token ids where the engine's holds keys and values: what was written can be read."""

from __future__ import annotations

from contextkit_backends.local.engine.sequence import Sequence
from contextkit_backends.local.engine.storage import Filled

P = 4
"""Tokens of a page in these tests."""


class TokenPages:
    """Pages of token ids, full-precision ones first, then packed ones."""

    def __init__(self, n_pages: int, n_packed: int = 0, n_short: int = 0) -> None:
        self.short: list[list[int | None]] = [[] for _ in range(n_short)]
        self.sinks = 0
        """How many tokens of a page a short place takes."""
        self.pages: list[list[int | None]] = [[None] * P for _ in range(n_pages + n_packed)]
        self.packed: list[Filled] = []

    def copy_page(self, source: int, target: int) -> None:
        self.pages[target] = [*self.pages[source]]

    def pack(self, filled: list[Filled]) -> None:
        self.packed += filled
        for page in filled:
            self.copy_page(page.source, page.target)

    def shorten(self, source: int, target: int) -> None:
        self.short[target] = self.pages[source][: self.sinks % P]

    def write(self, sequence: Sequence, token_ids: list[int]) -> None:
        """What the engine does with a chunk."""
        slots = sequence.reserve(len(token_ids))
        assert len({*slots}) == len(token_ids)
        for slot, token in zip(slots, token_ids, strict=True):
            self.pages[slot // P][slot % P] = token
        sequence.commit(token_ids)

    def read(self, sequence: Sequence) -> dict[int, int | None]:
        """Position to token, through the block table, as the kernels read it."""
        row, found = sequence.row(), dict[int, int | None]()
        assert row.tail_first >= row.n_head_pages
        for n, (index, kind) in enumerate(zip(row.table, row.is_packed, strict=True)):
            block = n if n < row.n_head_pages else row.tail_first + n - row.n_head_pages
            in_full = kind < 2
            page = (
                self.pages[index + sequence.pages.n_pages * kind] if in_full else self.short[index]
            )
            found |= {block * P + m: token for m, token in enumerate(page)}
        return found
