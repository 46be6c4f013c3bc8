"""What a sequence asks of others: storage that copies and packs its pages, a chain that names them."""

from __future__ import annotations

from collections.abc import Sequence as Tokens
from typing import NamedTuple, Protocol


class Filled(NamedTuple):
    """A full page to be quantised: from full-precision `source` into packed `target`."""

    source: int
    target: int
    first_position: int


class Storage(Protocol):
    """Where the pages' numbers are; all page arguments are identifiers of the page pool."""

    def copy_page(self, source: int, target: int) -> None:
        """Copy all layers of a full-precision page."""
        ...

    def pack(self, filled: list[Filled]) -> None:
        """Quantise full pages, all layers."""
        ...

    def shorten(self, source: int, target: int) -> None:
        """Copy the sinks of a page to a place of the short pool, all layers."""
        ...


class Chain(Protocol):
    """Tells a prefix index which pages of this sequence are full, and of which tokens."""

    def extend(self, token_ids: Tokens[int], pages: list[int]) -> None:
        """Tokens were written; `pages` became full by them."""
        ...

    def copy(self) -> Chain:
        """The same history, to be continued by another sequence."""
        ...
