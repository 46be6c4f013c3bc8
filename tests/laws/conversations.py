"""Conversations to hold the laws against: recorded ones, and nasty ones drawn by hypothesis."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "agents"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "agents"

Wire = dict[str, Any]
Conversation = list[Wire]

IMAGE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


# -- recorded ------------------------------------------------------------------------------------


@cache
def recorded(name: str, limit: int = 12) -> tuple[Conversation, ...]:
    """The first runs of a recorded file, from the fixtures or the folder beside the checkout; or none."""
    for folder in (FIXTURES, SHARED):
        path = folder / f"{name}.jsonl.gz"
        if path.exists():
            return tuple(_read(path, limit))
    return ()


def _read(path: Path, limit: int) -> Iterator[Conversation]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for _, line in zip(range(limit), lines, strict=False):
            yield json.loads(line)["messages"]


def without_system(conversation: Conversation) -> Conversation:
    """The same run under a short system message, so that small budgets can hold it."""
    rest = [m for m in conversation if m["role"] not in ("system", "developer")]
    return [{"role": "system", "content": "You are an airline agent."}, *rest]


# -- texts ---------------------------------------------------------------------------------------

WORDS = (
    "gate",
    "flight",
    "window",
    "seat",
    "refund",
    "delay",
    "baggage",
    "ticket",
    "cabin",
    "runway",
)


def text(kind: int, size: int, salt: int = 0) -> str:
    """A text of about `size` words; `kind` chooses what it is made of."""
    if kind == 0:
        return " ".join(WORDS[(i * 7 + salt) % len(WORDS)] for i in range(size)) or "ok"
    if kind == 1:
        return "\n".join(["the same line again"] * max(1, size // 4))
    if kind == 2:
        return "Grüße 東京 🛫👩‍✈️ \u202eabc\u202c " + "naïve ﷽ " * (size // 3)
    if kind == 3:
        return json.dumps({"rows": [{"id": i, "gate": f"B{i % 9}"} for i in range(size // 6)]})
    if kind == 4:
        return f"<|endoftext|> <|im_start|>system\n{'x' * size}</s> [INST]"
    if kind == 5:
        return "PIN-ME " + text(0, size, salt)
    if kind == 6:
        return "  \n\t leading and trailing \r\n" + "a" * (size % 97) + "\n  "
    return "0\x00\x1b[31m" + str(salt) + ("Z" * min(size, 400))


N_TEXTS = 8
EMPTY: tuple[Any, ...] = ("", "  ", "\n")
SIZES = (0, 3, 12, 40, 120, 400, 2500)


# -- drawn ---------------------------------------------------------------------------------------


@st.composite
def conversations(draw: st.DrawFn, max_steps: int = 25) -> Conversation:
    """A log that `append` must take: whatever the order, each result has its call."""
    steps = draw(st.lists(_STEP, min_size=1, max_size=max_steps))
    anthropic = draw(st.booleans())
    return build(steps, anthropic=anthropic, reuse_ids=draw(st.booleans()))


_STEP = st.tuples(
    st.sampled_from([
        "system", "developer", "user", "user", "user", "users", "user-blocks", "image", "assistant",
        "assistant", "assistant-empty", "assistant-null", "thinking", "calls", "calls", "calls",
        "batches", "answer-all", "answer-all", "answer-all", "answer-some", "answer-reversed",
        "answer-and-ask", "answer-equal", "empty-user",
    ]),
    st.integers(0, N_TEXTS - 1),
    st.sampled_from(SIZES),
    st.integers(1, 4),
)  # fmt: skip

Step = tuple[str, int, int, int]


def build(steps: list[Step], *, anthropic: bool, reuse_ids: bool) -> Conversation:
    """The wire messages of a list of steps; a step that makes no sense where it stands is left out."""
    builder = _Builder(anthropic, reuse_ids)
    for step in steps:
        builder.take(*step)
    return builder.out


class _Builder:
    def __init__(self, anthropic: bool, reuse_ids: bool) -> None:
        self.anthropic, self.reuse_ids = anthropic, reuse_ids
        self.out: Conversation = []
        self.open: list[str] = []
        self.made = 0

    def take(self, what: str, kind: int, size: int, count: int) -> None:
        words = text(kind, size, len(self.out))
        if what == "calls":
            self._ask(count, words if kind % 2 else "")
        elif what == "batches":
            self._ask(count, "")
            self._ask(1, "")
        elif what == "thinking":
            self._think(words)
        elif what.startswith("answer"):
            self._answer(what, words, count)
        else:
            self.out += self._plain(what, words, count)

    def _plain(self, what: str, words: str, count: int) -> list[Wire]:
        match what:
            case "system" | "developer" | "user" | "assistant":
                return [{"role": what, "content": words}]
            case "users":
                return [{"role": "user", "content": f"{words} {i}"} for i in range(count)]
            case "user-blocks":
                blocks = [{"type": "text", "text": t} for t in (words, "and more")]
                return [{"role": "user", "content": blocks}]
            case "image":
                return [
                    {"role": "user", "content": [{"type": "text", "text": words}, self._image()]}
                ]
            case "assistant-empty":
                return [{"role": "assistant", "content": EMPTY[count % 3]}]
            case "assistant-null":
                return [{"role": "assistant", "content": None}]
            case _:
                return [{"role": "user", "content": EMPTY[count % 3]}]

    def _image(self) -> Wire:
        if self.anthropic:
            source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
            return {"type": "image", "source": source}
        return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}

    def _ids(self, count: int) -> list[str]:
        ids: list[str] = []
        number = 0
        while len(ids) < count:
            if self.reuse_ids:
                number += 1
                call_id = f"call_{number}"
            else:
                self.made += 1
                call_id = f"toolu_{self.made}"
            if call_id not in self.open:
                ids.append(call_id)
        return ids

    def _ask(self, count: int, words: str, thinking: str = "") -> None:
        ids = self._ids(count)
        self.open += ids
        if not self.anthropic:
            calls = [
                {"id": i, "type": "function",
                 "function": {"name": "look_up", "arguments": json.dumps({"q": i})}} for i in ids
            ]  # fmt: skip
            self.out.append({"role": "assistant", "content": words or None, "tool_calls": calls})
            return
        blocks: list[Wire] = []
        if thinking:
            blocks.append(
                {"type": "thinking", "thinking": thinking, "signature": f"sig=={len(self.out)}"}
            )
        if words.strip():
            blocks.append({"type": "text", "text": words})
        blocks += [{"type": "tool_use", "id": i, "name": "look_up", "input": {"q": i}} for i in ids]
        self.out.append({"role": "assistant", "content": blocks})

    def _think(self, words: str) -> None:
        if self.anthropic:
            self._ask(1, "", thinking=words)
        else:
            self.out.append({"role": "assistant", "content": words, "reasoning_content": "hm"})

    def _answer(self, what: str, words: str, count: int) -> None:
        ids = self.open[:count] if what == "answer-some" else list(self.open)
        if what == "answer-reversed":
            ids.reverse()
        self.open = [i for i in self.open if i not in ids]
        texts = {i: words if what == "answer-equal" else f"{i} {words}" for i in ids}
        if not ids:
            return
        if not self.anthropic:
            self.out += [{"role": "tool", "tool_call_id": i, "content": texts[i]} for i in ids]
            if what == "answer-and-ask":
                self.out.append({"role": "user", "content": "and now?"})
            return
        blocks: list[Wire] = [
            {"type": "tool_result", "tool_use_id": i, "content": [{"type": "text", "text": texts[i]}]
             if n % 2 else texts[i], "is_error": n == 2} for n, i in enumerate(ids)
        ]  # fmt: skip
        if what == "answer-and-ask":
            blocks.append({"type": "text", "text": f"and now? {words[:50]}"})
        self.out.append({"role": "user", "content": blocks})
