"""Retrieve: what was said long ago, or stands in a document, comes back when the request asks for it.

Room is set aside before the policies that shrink; once they have decided what leaves, the likeliest
passages that the call does not show fill it, as one quoted message before the request. It lives for one
call and stands behind the cached prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from contextkit.draft import Draft
from contextkit.messages import text_message
from contextkit.policy import Policy, Stage, Turn
from contextkit.recall.hits import Hit
from contextkit.recall.memory import Memory
from contextkit.recall.passages import Passage
from contextkit.recall.quoting import quote
from contextkit.recall.rendering import render
from contextkit.summaries.as_passages import candidates
from contextkit.tokens import add
from contextkit_policies import _groups

SECTION = "retrieved"
SUMMARIES = "summaries"
DEFAULT_SHARE = 0.25
SMALLEST = 64
"""Tokens below which it is not worth to quote anything."""


class Retrieve(Policy):
    """Put passages found for the request before it, within the `retrieved` share of the budget."""

    kind: ClassVar[str] = "retrieve"
    stage: ClassVar[Stage] = Stage.GATHER
    sections: ClassVar[tuple[str, ...]] = (SECTION,)

    top_k: int = Field(default=80, ge=1, description="Passages at the most")
    max_tokens: int | None = Field(
        default=None,
        ge=16,
        description="Tokens at the most; by default the budget's share `retrieved`, else a quarter",
    )
    apart: bool = Field(
        default=False,
        description="A message for each document and one for the conversation; what reorder moves",
    )
    summaries: bool = Field(
        default=False,
        description="The thread's summaries, of every level, compete with the passages",
    )

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Set room aside where something may be found that the call does not show."""
        memory = turn.memory if turn.query.strip() else None
        if memory is None:
            return draft
        fits = draft.upper_tokens <= draft.limit_tokens
        if fits and _shows_all(draft) and not memory.n_documents:
            return draft
        free = draft.limit_tokens - _fixed_tokens(draft)
        return replace(
            draft, limit_tokens=draft.limit_tokens - max(0, min(self._share(turn), free // 2))
        )

    def settle(self, draft: Draft, turn: Turn) -> Draft:
        """Fill the room with the likeliest passages, none of which the call shows already."""
        memory = turn.memory if turn.query.strip() else None
        if memory is None:
            return draft
        room = min(self._share(turn), draft.limit_tokens - draft.upper_tokens)
        if room < SMALLEST or (_shows_all(draft) and not memory.n_documents):
            return draft
        shown = [(piece.start, piece.stop) for piece in draft.pieces if piece.is_log]
        told = _told(draft)
        hits = memory.search(
            turn.query,
            top=self.top_k + sum(text.count("\n") for text in told),
            before=turn.request,
            shown=shown,
            beside=self._beside(draft, turn, shown),
        )
        hits = _untold(told, hits)[: self.top_k]
        for note in memory.notes:
            draft = draft.note(note)
        before = draft.upper_tokens
        draft, hits = self.ranked(draft, turn, memory, hits, room)
        room -= draft.upper_tokens - before
        for group in _grouped(_packed(draft, hits, room, self.apart), self.apart):
            draft = draft.insert(
                draft.log.entry(turn.request).group,
                [render([hit.passage for hit in group])],
                section=SECTION,
                policy=self.kind,
                why=_why(group, len(hits)),
                sticky=False,
                detail=_groups.label(max(hit.score for hit in group), _source(group[0])),
            )
        return draft

    def ranked(
        self, draft: Draft, turn: Turn, memory: Memory, hits: list[Hit], room: int
    ) -> tuple[Draft, list[Hit]]:
        """The hits as they are to be packed, for policies that know more than the search does.

        The draft may be given notes, and items that fit `room`; passages get what is left of it.
        """
        return draft, hits

    def _beside(self, draft: Draft, turn: Turn, shown: Sequence[tuple[int, int]]) -> list[Passage]:
        """The summaries that may be quoted: the whole tree without what the call tells already."""
        tree = turn.summaries if self.summaries else None
        if tree is None:
            return []
        made = tree.all((turn.n_calls, draft.log.stop))
        return candidates(made, before=turn.request, shown=shown, told=_told(draft))

    def _share(self, turn: Turn) -> int:
        granted = (
            turn.share_tokens(SECTION)
            if SECTION in turn.shares
            else int(DEFAULT_SHARE * turn.limit_tokens)
        )
        return granted if self.max_tokens is None else min(granted, self.max_tokens)


def _shows_all(draft: Draft) -> bool:
    """Whether every entry of the log is in the call as it was said."""
    return all(piece.is_log or piece.is_inserted for piece in draft.pieces)


def _untold(summaries: Sequence[str], hits: list[Hit]) -> list[Hit]:
    """The hits that no summary in the call tells word for word already."""
    told = _flat("\n".join(summaries))
    return [hit for hit in hits if f" {_flat(hit.passage.text)}" not in told] if told else hits


def _told(draft: Draft) -> list[str]:
    """The summaries in the call."""
    pieces = (piece for piece in draft.pieces if piece.section == SUMMARIES)
    return [message.text for piece in pieces for message in piece.shown or ()]


def _flat(text: str) -> str:
    return " ".join(text.split())


def _fixed_tokens(draft: Draft) -> int:
    """What no policy can take out: the frame, what is pinned, the request and the newest batch."""
    total = draft.upper(draft.frame)
    for piece in draft.pieces:
        if piece.pinned:
            total += draft.upper(piece.measure)
    for guard in draft.protected:
        total += draft.upper(draft.log.span(guard.start, guard.stop))
    return total


def _packed(draft: Draft, hits: Sequence[Hit], room: int, apart: bool) -> list[Hit]:
    """The hits that together, rendered, take at most `room` tokens."""
    counter = draft.counter
    opening = draft.upper(counter.measure(text_message("user", "-\n")))

    def line_tokens(text: str) -> int:
        return draft.upper(counter.measure(text_message("user", "-\n" + text))) - opening

    return quote(
        hits,
        room,
        line_tokens=line_tokens,
        whole_tokens=lambda chosen: _cost(draft, chosen, apart),
        fence_tokens=draft.upper(counter.measure(render([]))),
        group_of=lambda hit: _source(hit) if apart and hit.passage.is_chunk else "",
    )


def _cost(draft: Draft, hits: Sequence[Hit], apart: bool) -> int:
    """What the rendered hits add to the call, at the upper end of the error bar."""
    measure = draft.measure
    for group in _grouped(hits, apart):
        measure = add(measure, draft.counter.measure(render([hit.passage for hit in group])))
    return draft.upper(measure) - draft.upper_tokens


def _source(hit: Hit) -> str:
    """What a hit belongs to: the conversation (`log`) or a document (`d3`)."""
    return hit.handle.partition(".")[0] if hit.passage.is_chunk else "log"


def _grouped(hits: Sequence[Hit], apart: bool) -> list[list[Hit]]:
    """The hits of each message: all in one, or each document's, then the conversation's."""
    if not apart or not hits:
        return [list(hits)] if hits else []
    sources = sorted({_source(hit) for hit in hits}, key=lambda s: (s == "log", len(s), s))
    return [[hit for hit in hits if _source(hit) == source] for source in sources]


def _why(chosen: Sequence[Hit], n_found: int) -> str:
    """Where the passages come from, the likeliest first."""
    said = "; ".join(
        f"{hit.handle} rank {hit.rank}, score {hit.score:.1f} ({hit.why})"
        for hit in sorted(chosen, key=lambda hit: hit.rank)
    )
    return f"{len(chosen)} of {n_found} passages found for the request: {said}"
