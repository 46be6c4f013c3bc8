"""Drives a conversation closed-loop through a thread and has every call judged."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import contextkit
from contextkit import Call, ContextManager, Message, Thread
from contextkit.dialects import parse_message

from . import judge
from .conversations import Conversation
from .stacks import Stack

BACKENDS: dict[str, dict[str, Any]] = {
    "exact": {"kind": "echo", "context_window": 1_000_000},
    "estimating": {
        "kind": "echo", "context_window": 1_000_000, "provider": "anthropic",
        "model": "claude-sonnet-4-5", "dialect": "anthropic",
    },
}  # fmt: skip
MODES = ("input", "append", "mixed", "twice")


@dataclass
class Outcome:
    """What became of the calls of one cell."""

    counts: Counter[str] = field(default_factory=Counter[str])


def manager(
    stack: Stack, budget: int, backend: str = "exact", history: Any = "memory"
) -> ContextManager:
    """A manager for one cell."""
    return contextkit.load({
        "backend": BACKENDS[backend],
        "budget": {"window": budget, "reply_reserve": max(1, budget // 10)},
        "history": history,
        "embedder": stack.embedder,
        "policies": [dict(row) for row in stack.policies],
    })  # fmt: skip


class Drive:
    """One thread, its own copy of the log, and the call before."""

    def __init__(self, cm: ContextManager, stack: Stack, name: str = "t", tenant: str = "default",
                 tools: Sequence[Any] = ()) -> None:  # fmt: skip
        self.cm, self.stack, self.tools = cm, stack, tools
        self.thread: Thread = cm.thread(name, tenant=tenant)
        self.log: list[Message] = []
        self.before: Call | None = None
        self.outcome = Outcome()
        self.limit = cm.window - cm.reply_reserve

    def run(self, conversation: Conversation, mode: str = "mixed") -> Outcome:
        """Every recorded assistant message is the reply to a call made just before it."""
        pending: list[Any] = []
        for index, raw in enumerate(conversation):
            if raw["role"] == "assistant" and (pending or self.log):
                self.turn(pending, raw, mode, index)
                pending = []
            else:
                pending.append(raw)
        if pending:
            self.turn(pending, None, mode, len(conversation))
        self.finish()
        return self.outcome

    def turn(self, pending: list[Any], reply: Any, mode: str, index: int) -> None:
        as_input = pending and (mode == "input" or (mode in ("mixed", "twice") and index % 2))
        if pending and not as_input:
            self.append(pending)
        new = [parse_message(m) for m in pending] if as_input else []
        call = self.assemble(pending if as_input else None, new)
        if call is None:
            self.append([*(pending if as_input else []), *([reply] if reply else [])])
            return
        if mode == "twice" and index % 3 == 0:
            call = self.assemble(pending if as_input else None, new)
            assert call is not None
        self.record(call, new, reply or {"role": "assistant", "content": f"reply {index}"})

    def append(self, raw: list[Any]) -> None:
        if raw:
            self.thread.append(raw)
            self.log += [parse_message(m) for m in raw]

    def assemble(self, given: Any, new: list[Message]) -> Call | None:
        """A judged call, or None where the refusal was judged right."""
        log = [*self.log, *new]
        n_before = len(self.thread)
        try:
            call = self.thread.assemble(given, tools=self.tools)
        except contextkit.BudgetExceeded as error:
            judge.check_refusal(error, log, self.stack, self.limit, self.cm.counter.exact)
            self.outcome.counts["refused"] += 1
            judge.need(len(self.thread) == n_before, "4 log", "a refusal changed the log")
            return None
        except contextkit.InvalidMessage as error:
            says_nothing = all(m.is_empty for m in log) or any(m.is_empty for m in new)
            judge.need(says_nothing, "2 refusal", error)
            self.outcome.counts["nothing to send"] += 1
            return None
        judge.need(len(self.thread) == n_before, "4 log", "assemble changed the log")
        self.check(call, log)
        again = self.thread.assemble(given, tools=self.tools)
        judge.need(again.fingerprint == call.fingerprint, "5 twice", "another fingerprint")
        judge.need(_bytes(again) == _bytes(call), "5 twice", "other bytes")
        self.outcome.counts["moved" if call.ledger.prefix.moved else "ok"] += 1
        return call

    def check(self, call: Call, log: list[Message]) -> None:
        judge.check_count(call, self.limit)
        judge.check_wires(call)
        judge.check_reasoning(call, log)
        judge.check_present(call, log, self.stack)
        judge.check_ledger(call, log)
        judge.check_prefix(self.before, call)
        json.dumps(call.to_dict())
        call.ledger.table()
        call.to_text()

    def record(self, call: Call, new: list[Message], reply: Any) -> None:
        self.thread.record(call, reply)
        self.log += [*new, parse_message(reply)]
        self.before = call
        for decision in judge.left_out(call.ledger.decisions):
            self.check_expansion(decision)

    def check_expansion(self, decision: contextkit.Decision) -> None:
        """Law 7: the handle gives the original back."""
        found = [judge.canonical(m) for m in self.thread.expand(decision.handle)]
        expected = [judge.canonical(m) for m in self.log[decision.start : decision.stop]]
        judge.need(found == expected, "7 expand", decision)
        self.outcome.counts["expanded"] += 1

    def finish(self) -> None:
        """Law 4 and 8: the log is what was said, and the store verifies."""
        found = [judge.canonical(m) for m in self.thread.history()]
        judge.need(found == [judge.canonical(m) for m in self.log], "4 log", "is not what was said")
        problems = self.cm.verify()
        judge.need(not problems, "8 verify", problems)


def _bytes(call: Call) -> bytes:
    return json.dumps(
        [call.to_openai(), call.to_anthropic(), call.ledger.to_dict()["decisions"]]
    ).encode()
