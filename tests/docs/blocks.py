"""Finds the fenced blocks of the Markdown pages: language, the words behind it, text and line."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = tuple(
    path.relative_to(ROOT).as_posix()
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
)
_FENCE = re.compile(r"^( *)```(\w+)(?: ([^\n]*))?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; `words` is what follows the language."""

    page: str
    line: int
    language: str
    words: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, language: str | None = None) -> Iterator[Block]:
    """The blocks of a page from top to bottom, of one language where it is named."""
    text = (ROOT / page).read_text("utf-8")
    for match in _FENCE.finditer(text):
        if language in (None, match[2]):
            line = text.count("\n", 0, match.start()) + 1
            yield Block(page, line, match[2], match[3] or "", textwrap.dedent(match[4]))
