"""Summaries as passages, so that all levels compete with what was said: the collapsed tree of RAPTOR.

Sarthi et al. 2024 (arXiv 2401.18059), section 4: every node of the tree in one ranking.
"""

from __future__ import annotations

from collections.abc import Sequence

from contextkit.piece import entry_handle
from contextkit.recall.passages import Passage
from contextkit.summaries.build import Extractive
from contextkit.summaries.said import TOOLS_TOLD, read_lines
from contextkit.summary import Summary

Span = tuple[int, int]


def as_passage(summary: Summary) -> Passage:
    """A summary as one passage, which says what it stands for, who told it, whether tools had a part."""
    parts = [f"{entry_handle(summary.start, summary.stop)} in short", f"level {summary.level}"]
    if summary.method == Extractive.kind:
        tells = tuple(sorted({said.seq for said in read_lines(summary.text)}))
    else:
        tells = tuple(range(summary.start, summary.stop))
        parts.append(f"told by {summary.model or 'a model'}")
        if summary.tainted:
            parts.append(TOOLS_TOLD)
    return Passage(
        summary.handle,
        summary.text,
        start=summary.start,
        stop=summary.stop,
        place="; ".join(parts),
        level=summary.level,
        tells=tells,
    )


def candidates(
    summaries: Sequence[Summary], *, before: int, shown: Sequence[Span], told: Sequence[str]
) -> list[Passage]:
    """The summaries that would say something new, in their order.

    `before`: only those of entries with `seq < before`. `shown`: ranges of entries that are in the call;
    a summary is left out where what it tells is there word for word. `told`: summaries in the call.
    """
    known = "\n".join(told)
    found: list[Passage] = []
    for summary in summaries:
        if summary.is_raw or summary.stop > before:
            continue
        passage = as_passage(summary)
        news = [seq for seq in passage.tells if not any(a <= seq < b for a, b in shown)]
        lines = summary.text.splitlines()
        if news and not all(line in known for line in lines):
            found.append(passage)
    return found
