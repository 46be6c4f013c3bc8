"""Text and Markdown as blocks: paragraphs with the headings above them; together they are the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s+(.*?)\s*#*\s*$")

LONGEST_HEADING = 400
"""Longer lines are no headings, however they begin."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some text that belongs together, with the place where it stands."""

    text: str
    place: str = ""


def text_blocks(text: str, place: str = "") -> Iterator[Block]:
    """Paragraphs, each with the blank lines after it."""
    paragraph = ""
    is_over = False
    for line in text.splitlines(keepends=True):
        if is_over and line.strip():
            yield Block(paragraph, place)
            paragraph, is_over = "", False
        paragraph += line
        is_over = is_over or bool(paragraph.strip() and not line.strip())
    if paragraph:
        yield Block(paragraph, place)


def markdown_blocks(text: str) -> Iterator[Block]:
    """Paragraphs and whole code fences; the place is the path of headings, a heading begins a block."""
    path: list[tuple[int, str]] = []
    held, fence = "", ""
    for line in text.splitlines(keepends=True):
        opened = _FENCE.match(line)
        heading = None if fence or len(line) > LONGEST_HEADING else _HEADING.match(line)
        if heading:
            yield from _held(held, path)
            held = ""
            level = len(heading[1])
            path = [step for step in path if step[0] < level]
            path.append((level, heading[2]))
        if opened and (not fence or opened[1].startswith(fence)):
            if not fence:
                yield from _held(held, path)
                held = line
            else:
                yield Block(held + line, _place(path))
                held = ""
            fence = "" if fence else opened[1]
        else:
            held += line
    if fence:
        yield Block(held, _place(path))
    else:
        yield from _held(held, path)


def _held(text: str, path: list[tuple[int, str]]) -> Iterator[Block]:
    return text_blocks(text, _place(path))


def _place(path: list[tuple[int, str]]) -> str:
    return " > ".join(title for _, title in path)
