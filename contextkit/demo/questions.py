"""Questions about a long dialogue: is the evidence in the call, and what does a small model answer?

Two ways under the same window: the newest messages that fit, and contextkit with `pin`. The claim is
about the evidence; the answers of a 22-million-parameter model illustrate it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contextkit.call import Call
from contextkit.config import read
from contextkit.demo.dialogue import FACTS, MARKERS, Fact, holds, make_dialogue
from contextkit.errors import ConfigError
from contextkit.manager import ContextManager
from contextkit.messages import Message, text_message
from contextkit.replay.playing import play
from contextkit.tokens import add

WINDOW, RESERVE = 1024, 24
"""Tokens; half of what the pocket model reads."""

LOCAL = {"kind": "local", "model": "pocket", "max_new_tokens": RESERVE}
STAND_IN = {"kind": "echo", "tokenizer": "o200k_base"}
"""Counts where the local model is not asked; its answers are not shown."""


@dataclass(frozen=True, slots=True)
class Side:
    """One way's call for one question."""

    input_tokens: int
    has_evidence: bool
    answer: str | None = None
    """What the model said; None where it was not asked."""
    is_right: bool | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One question, what is true, and what became of it in both ways."""

    text: str
    expected: str
    was_changed: bool
    told_at: int
    truncated: Side
    contextkit: Side


@dataclass(frozen=True)
class Questions:
    """All questions, none left out, and what was asked."""

    window: int
    n_messages: int
    dialogue_tokens: int
    model: str
    """Name of the model that answered; empty where none did."""
    why_no_model: str
    rows: tuple[Question, ...]

    def count(self, side: str, what: str) -> int:
        """In how many rows `has_evidence` or `is_right` holds on a side."""
        return sum(bool(getattr(getattr(row, side), what)) for row in self.rows)


def ask_questions(
    *, with_model: bool, n_facts: int | None = None, advance: Callable[[], None] = lambda: None
) -> Questions:
    """Build both calls for every question and, with a model, let it answer each."""
    facts = FACTS[-n_facts:] if n_facts else FACTS
    backend, why = _backend(with_model)
    dialogue = make_dialogue()
    policies = [{"kind": "pin", "contains": MARKERS}, "tool_results", "sliding_window"]
    with _manager(backend, policies) as ours, _manager(ours.backend, []) as plain:
        kept = _calls_of_contextkit(ours, dialogue, facts)
        cut = _calls_of_truncation(plain, dialogue, facts)
        rows = [
            Question(
                fact.question,
                fact.expected,
                bool(fact.changed),
                2 * fact.at,
                _side(plain, cut[i], fact, asks=not why, advance=advance),
                _side(ours, kept[i], fact, asks=not why, advance=advance),
            )
            for i, fact in enumerate(facts)
        ]
        name = "" if why else str(LOCAL["model"])
        tokens = _tokens(ours, dialogue)
        return Questions(WINDOW, len(dialogue), tokens, name, why, tuple(rows))


def _backend(with_model: bool) -> tuple[Any, str]:
    """The backend, and why the model is not asked where it is not."""
    if not with_model:
        return STAND_IN, "the model was not asked (--no-model)"
    try:
        from importlib import import_module

        for module in ("torch", "transformers"):
            import_module(module)
        return read({"backend": LOCAL}).backend, ""
    except ImportError as error:
        return STAND_IN, f'{error.name} is not installed: pip install "contextkit[local]"'
    except ConfigError as error:
        return STAND_IN, str(error)


def _manager(backend: Any, policies: list[Any]) -> ContextManager:
    return ContextManager(
        backend, budget={"window": WINDOW, "reply_reserve": RESERVE}, policies=policies
    )


def _calls_of_contextkit(
    manager: ContextManager, dialogue: Sequence[Message], facts: Sequence[Fact]
) -> list[Call]:
    """The dialogue turn by turn, as an agent would have had it; then a call for each question."""
    thread = manager.thread("trip")
    for _ in play(thread, dialogue):
        pass
    return [thread.assemble(fact.question) for fact in facts]


def _calls_of_truncation(
    manager: ContextManager, dialogue: Sequence[Message], facts: Sequence[Fact]
) -> list[Call]:
    """For each question the newest messages that fit beside it."""
    calls: list[Call] = []
    counter = manager.counter
    for index, fact in enumerate(facts):
        room = manager.limit_tokens
        room -= counter.upper(
            add(manager.frame(()), counter.measure(text_message("user", fact.question)))
        )
        start = len(dialogue)
        while start and (cost := counter.upper(counter.measure(dialogue[start - 1]))) <= room:
            start, room = start - 1, room - cost
        thread = manager.thread(f"trip/{index}")
        thread.append(list(dialogue[start:]))
        calls.append(thread.assemble(fact.question))
    return calls


def _side(
    manager: ContextManager, call: Call, fact: Fact, *, asks: bool, advance: Callable[[], None]
) -> Side:
    answer = manager.backend.complete(call).text.strip() if asks else None
    advance()
    right = None if answer is None else _is_right(answer, fact.expected)
    return Side(call.input_tokens, holds(call.messages, fact), answer, right)


def _is_right(answer: str, expected: str) -> bool:
    """Whether the answer holds the expected words; case, spaces and punctuation aside."""
    return _plain(expected) in _plain(answer)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _tokens(manager: ContextManager, messages: Sequence[Message]) -> int:
    total = manager.frame(())
    for message in messages:
        total = add(total, manager.counter.measure(message))
    tokens: int = manager.counter.tokens(total)
    return tokens
