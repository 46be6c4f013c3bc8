"""From hits to those that fit a room when they are rendered: filled by their lines, checked as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from contextkit.recall.hits import Hit
from contextkit.recall.packing import fill
from contextkit.recall.passages import Passage
from contextkit.recall.rendering import goes_on, heading, line


def quote(
    hits: Sequence[Hit],
    room: int,
    *,
    line_tokens: Callable[[str], int],
    whole_tokens: Callable[[Sequence[Hit]], int],
    fence_tokens: int,
    group_of: Callable[[Hit], str] = lambda hit: "",
) -> list[Hit]:
    """The hits that take at most `room` tokens as messages: one, and one more for each named group.

    `line_tokens` counts a line, `fence_tokens` is what a message without lines takes, and
    `whole_tokens`, which has the last word, counts the messages that some hits make.
    """

    def headings_of(hit: Hit) -> list[tuple[str, int]]:
        group, above = group_of(hit), heading(hit.passage)
        paid = [(f"fence {group}", fence_tokens)] if group else []
        if above:
            short = heading(hit.passage, year=hit.passage.year)
            tokens, whole = line_tokens(short + "\n"), line_tokens(above + "\n")
            paid += [(f"{group} {above}", tokens), (f"{group} {hit.passage.year}", whole - tokens)]
        return paid

    def saved_of(hit: Hit, taken: Sequence[Hit]) -> int:
        saved = 0
        for each in taken:
            for above, below in ((each.passage, hit.passage), (hit.passage, each.passage)):
                if below.start == above.stop and goes_on(below, above):
                    saved += line_tokens(line(below)) - line_tokens(line(below, named=False))
        return saved

    chosen = fill(
        hits,
        lambda hit: line_tokens(line(hit.passage) + "\n"),
        room - fence_tokens,
        headings_of=headings_of,
        is_told=says_again,
        saved_of=saved_of,
    )
    while chosen and whole_tokens(chosen) > room:
        chosen.remove(min(chosen, key=lambda hit: hit.score))
    return chosen


def says_again(hit: Hit, taken: Sequence[Hit]) -> bool:
    """Whether a summary and what it stands for would both be quoted, so that words are paid for twice.

    That is a summary over entries that another one tells, and a message beside a summary that tells
    its words.
    """
    return any(_meet(hit.passage, each.passage) for each in taken)


def _meet(one: Passage, other: Passage) -> bool:
    if not (one.level or other.level) or one.is_chunk or other.is_chunk:
        return False
    if one.level and other.level:
        return one.start < other.stop and other.start < one.stop
    summary, said = (one, other) if one.level else (other, one)
    return " ".join(said.text.split()) in " ".join(summary.text.split())
