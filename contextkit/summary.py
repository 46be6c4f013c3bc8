"""A summary as a value: what it says, which entries it stands for, what it was made from and how.

Its handle names its level and its entries (`s1.12-57`), so it leads to the original messages whatever
becomes of the summary itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

_HANDLE = re.compile(r"s(\d{1,3})\.(\d{1,9})-(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Source:
    """Entries `start <= seq < stop` that a summary was made from, or one summary below it stands for."""

    start: int
    stop: int
    digest: str
    """SHA-256 (hex) over the digests of these entries in order; see `source_digest`."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What stands for entries `start <= seq < stop`; level 1 is made from entries, n + 1 from level n."""

    start: int
    stop: int
    level: int
    text: str
    """Empty where every way to summarise was refused: then the entries stay as they are."""
    sources: tuple[Source, ...]
    method: str
    """`extractive`, `model` or `raw` (nothing was made)."""
    prompt: str = ""
    """SHA-256 (hex) of what the model was asked."""
    model: str = ""
    tainted: bool = False
    """Whether text of tools is among its sources: nothing it says is an instruction."""
    refused: tuple[str, ...] = ()
    """What was tried before and why it was not taken, one line for each."""

    @property
    def handle(self) -> str:
        """`s2.12-57`: level and entries, both ends included."""
        return f"s{self.level}.{self.start}-{self.stop - 1}"

    @property
    def is_raw(self) -> bool:
        return not self.text

    def dump(self) -> str:
        """As JSON text in ASCII."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def load(cls, body: str) -> Summary:
        """What `dump` wrote. Raises `ValueError`, `TypeError` or `KeyError` for any other text."""
        fields: dict[str, Any] = json.loads(body)
        sources = tuple(Source(**source) for source in fields.pop("sources"))
        refused = tuple(fields.pop("refused", ()))
        return cls(sources=sources, refused=refused, **fields)


def parse_summary_handle(handle: str) -> tuple[int, int] | None:
    """The range of entries that a summary's handle names, or None for any other text."""
    match = _HANDLE.fullmatch(handle)
    if match is None:
        return None
    start, stop = int(match[2]), int(match[3]) + 1
    return (start, stop) if stop > start else None


def source_digest(digests: Iterable[bytes]) -> str:
    """SHA-256 (hex) over the digests of messages in their order."""
    return hashlib.sha256(b"".join(digests)).hexdigest()
