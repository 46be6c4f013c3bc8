"""Compress: what an agent read long ago is told in fewer tokens, what carries the meaning stays.

Where `tool_results` leaves a preview or a stub, `compress` leaves an outline that still parses
(`structure`) or the sentences and words that say most (the other methods). Old results and passages stand
inside the cached prefix, so they are told shorter together, in one step, when the call passes the high
water.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import ClassVar, Literal

from pydantic import Field

from contextkit.compression.base import Compressed, Method
from contextkit.compression.in_step import Task, compress_many
from contextkit.compression.methods import EncoderKind, MethodName, encoder, method, scorer
from contextkit.draft import Draft
from contextkit.log import Entry
from contextkit.messages import Message, Part, TextPart, ToolResultPart, text_message
from contextkit.piece import entry_handle
from contextkit.policy import Policy, Stage, Turn

BLOCK = 64
REACH = 8
"""Windows of history that are looked at: beyond, what is old has to leave by another policy anyway."""


class Compress(Policy):
    """Tell large tool results and long passages in fewer tokens; each keeps a handle to its original."""

    kind: ClassVar[str] = "compress"
    stage: ClassVar[Stage] = Stage.SHRINK

    method: MethodName = Field(
        default="structure",
        description="Whole items, rows, bodies leave (`structure`), or sentences and words (the others)",
    )
    scorer: str = Field(
        default="surprisal", description="What tells how much a word says: `surprisal`, `local`"
    )
    model: str = Field(default="pocket", description="The checkpoint of the scorer `local`")
    encoder: EncoderKind | None = Field(
        default=None,
        description="What reads the request with the text for `llmlingua2`: `minilm`, an extra",
    )
    rate: float = Field(default=0.25, gt=0, lt=1, description="Share of the tokens that is kept")
    target_tokens: int | None = Field(
        default=None, ge=16, description="At most this many tokens a text, whatever the rate"
    )
    over_tokens: int = Field(default=512, ge=32, description="Shorter messages stay as they are")
    keep_recent: int = Field(default=3, ge=0, description="Newest large messages that stay whole")
    passages: bool = Field(default=True, description="Also long passages of earlier user messages")
    high_water: float = Field(
        default=0.8, ge=0, le=1, description="Share of the input limit at which a step starts"
    )
    min_gain: float = Field(
        default=0.1, ge=0, le=1, description="Share of the input limit that a step must free"
    )
    on_protected: Literal["error", "stub"] = Field(
        default="stub", description="Where numbers, names, negations alone are over the target"
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """Modules that have to be installed: those of the encoder."""
        return () if self.encoder is None else encoder(self.encoder).needs

    @property
    def extra(self) -> str:
        """The extra that installs them."""
        return self.encoder or ""

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Tell what is old and large shorter, in one step. Raises `ProtectedMass` where so configured."""
        water = self.high_water / 2 if turn.cold else self.high_water  # then a step moves no prefix
        if draft.upper_tokens <= water * draft.limit_tokens:
            return draft
        old = self._large(draft, turn)
        if not self._worth_it(draft, sum(draft.upper(entry.measure) for entry in old)):
            return draft
        edits = self._shorter(draft, turn, old)
        if not self._worth_it(
            draft, sum(_gain(draft, entry, message) for entry, message, _ in edits)
        ):
            return draft
        for entry, message, why in edits:
            draft = draft.replace(entry.seq, entry.seq + 1, (message,), policy=self.kind, why=why)
        return draft

    def _worth_it(self, draft: Draft, gain: int) -> bool:
        """Whether a step frees enough to pay for the prefix that it moves, or is needed."""
        pressing = draft.upper_tokens > draft.limit_tokens
        return gain > 0 and (pressing or gain >= self.min_gain * draft.limit_tokens)

    def _large(self, draft: Draft, turn: Turn) -> list[Entry]:
        """Large messages that may be told shorter, oldest first, without the newest few.

        From the newest back, and no further than what the call could hold.
        """
        found: list[Entry] = []
        seen = 0
        for piece, low, high in reversed([*draft.free(0, draft.log.stop)]):
            stop = high
            while piece.is_log and stop > low and seen <= REACH * draft.limit_tokens:
                start = max(low, stop - BLOCK)
                entries = draft.log.entries(start, stop)
                found.extend(e for e in reversed(entries) if self._may(draft, turn, e))
                seen += draft.upper(draft.log.span(start, stop))
                stop = start
        return found[self.keep_recent :][::-1]

    def _may(self, draft: Draft, turn: Turn, entry: Entry) -> bool:
        message = entry.message
        asked = entry.seq in (turn.task, turn.request)
        passage = self.passages and message.role == "user" and not asked
        large = draft.upper(entry.measure) > self.over_tokens
        return large and (bool(message.tool_results) or passage)

    def _shorter(
        self, draft: Draft, turn: Turn, entries: Sequence[Entry]
    ) -> list[tuple[Entry, Message, str]]:
        """The messages that gain, with their texts told shorter, all in step, and why."""
        tasks: list[Task] = []
        for entry in entries:
            handle = entry_handle(entry.seq, entry.seq + 1)
            for text in _texts(entry.message):
                tasks.append(self._task(draft, turn, text, handle))
        told = iter(compress_many(self._method, tasks))
        found: list[tuple[Entry, Message, str]] = []
        for entry in entries:
            made = [*islice(told, len(_texts(entry.message)))]
            message = _with_texts(entry.message, [each.text for each in made])
            if message != entry.message and _gain(draft, entry, message) > 0:
                found.append((entry, message, self._why(made)))
        return found

    def _task(self, draft: Draft, turn: Turn, text: str, handle: str) -> Task:
        target = max(16, int(self.rate * _count(draft, text)))
        if self.target_tokens is not None:
            target = min(target, self.target_tokens)
        return Task(text, target, lambda text: _count(draft, text), turn.query, handle)

    def _why(self, made: Sequence[Compressed]) -> str:
        requested, achieved = (
            sum(getattr(each, name) for each in made)
            for name in ("target_tokens", "achieved_tokens")
        )
        kinds = " ".join(dict.fromkeys(each.note for each in made if each.note not in ("", "fits")))
        said = f" as {kinds}" if kinds else ""
        return f"compressed by {self.method}{said}: {requested:,} tokens requested, {achieved:,} achieved"

    @property
    def _method(self) -> Method:
        fields = {} if self.scorer == "surprisal" else {"model": self.model}
        reader = None if self.encoder is None else encoder(self.encoder)
        return method(self.method, self.on_protected, scorer(self.scorer, **fields), reader)


def _count(draft: Draft, text: str) -> int:
    """Tokens of a text at the upper end, without what a template puts around it."""
    if not text:
        return 0
    counter = draft.counter
    whole = counter.upper(counter.measure(text_message("user", text)))
    return max(1, whole - counter.upper(counter.measure(text_message("user", ""))))


def _gain(draft: Draft, entry: Entry, message: Message) -> int:
    return draft.upper(entry.measure) - draft.upper(draft.counter.measure(message))


def _texts(message: Message) -> list[str]:
    """Every text of a message, in order; what is no text has none."""
    found: list[str] = []
    _walk(message, found.append)
    return found


def _with_texts(message: Message, texts: Sequence[str]) -> Message:
    """The message with other texts in place of its own."""
    others = iter(texts)
    return _walk(message, lambda _: next(others))


def _walk(message: Message, tell: Callable[[str], str | None]) -> Message:
    """The message with each of its texts told anew, but where None was told; what is no text stays."""
    parts = tuple(_told(part, tell) for part in message.parts)
    return message if parts == message.parts else replace(message, parts=parts)


def _told(part: Part, tell: Callable[[str], str | None]) -> Part:
    if isinstance(part, TextPart):
        text = tell(part.text)
        return part if text is None else replace(part, text=text)
    if isinstance(part, ToolResultPart) and isinstance(part.content, str):
        text = tell(part.content)
        return part if text is None else replace(part, content=text)
    if isinstance(part, ToolResultPart) and not isinstance(part.content, str):
        return replace(part, content=tuple(_told(inner, tell) for inner in part.content))
    return part
