"""`contextkit run`: a recorded conversation through the configured policies, with its ledger."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from contextkit.cli.importing import Conversation, is_stdin, read_conversation
from contextkit.cli.opening import (
    UsageError,
    aside,
    keeps_nothing,
    open_manager,
    open_trial,
    out,
    print_json,
    progress,
)
from contextkit.inspector import CallReport, Overview, thread_json, to_json
from contextkit.inspector.words import clean
from contextkit.manager import ContextManager
from contextkit.replay.playing import play
from contextkit.thread import Thread


@dataclass(frozen=True, slots=True)
class Options:
    """How a conversation is to be run; see the command's help."""

    index: int
    question: str | None
    respond: bool
    replay_turns: bool
    keep: bool
    as_json: bool

    @property
    def is_kept(self) -> bool:
        """Whether the configured store gets a new thread; else it is neither read nor written."""
        return self.keep or self.respond or self.replay_turns


def run_file(path: Path, config: Path | None, options: Options) -> None:
    """Import into a fresh thread, then assemble the next call, answer it, or replay every turn."""
    if is_stdin(path) and options.question == "-":
        raise UsageError("stdin holds the conversation: give --input its words, or a file")
    conversation = read_conversation(path, options.index)
    asked = sys.stdin.read() if options.question == "-" else options.question
    with open_manager(config) if options.is_kept else open_trial(config) as manager:
        if options.keep and keeps_nothing(manager):
            raise UsageError("--keep: history: {kind: memory} keeps nothing; {kind: sql} does")
        thread = _fresh_thread(manager, conversation.name)
        _run(thread, conversation, asked, options)
        if options.keep:
            aside().print(Text(clean(f"kept as thread {thread.name!r}")), style="dim")


def _run(thread: Thread, conversation: Conversation, asked: str | None, options: Options) -> None:
    as_json = options.as_json
    if thread.manager.embedder is not None:
        thread.memory.wait_for_vectors()
    if options.replay_turns:
        _replay(thread, conversation, as_json=as_json)
        return
    _import(thread, conversation, asked)
    if options.respond:
        _respond(thread, asked, conversation.tools, as_json=as_json)
    else:
        call = thread.assemble(asked, tools=conversation.tools)
        print_json(call.to_dict()) if as_json else out().print(CallReport(call.ledger))


def _fresh_thread(manager: ContextManager, name: str) -> Thread:
    """A thread of that name, with a number behind it where the name is taken."""
    taken = {record.name for record in manager.threads()}
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return manager.thread(candidate)


def _import(thread: Thread, conversation: Conversation, asked: str | None) -> None:
    """All messages; without a question, those before the last answer, whose call is then shown."""
    messages = list(conversation.messages)
    if asked is None:
        while len(messages) > 1 and messages[-1].role == "assistant":
            messages.pop()
        if len(messages) < len(conversation.messages):
            aside().print(
                "the conversation ends with an answer: showing the call before it "
                "(--input asks something new)",
                style="dim",
            )
    thread.append(messages)


def _respond(thread: Thread, asked: str | None, tools: tuple[Any, ...], *, as_json: bool) -> None:
    reply = thread.respond(asked, tools=tools)
    ledger = thread.turns()[-1]
    if as_json:
        print_json({"reply": reply.text, "ledger": to_json(ledger)})
        return
    console = out()
    console.print(Text(clean(reply.text)))
    console.print()
    console.print(CallReport(ledger))


def _replay(thread: Thread, conversation: Conversation, *, as_json: bool) -> None:
    n_answers = sum(message.role == "assistant" for message in conversation.messages)
    with progress("replaying", n_answers) as advance:
        for _ in play(thread, conversation.messages, tools=conversation.tools):
            advance()
    turns = thread.turns()
    if as_json:
        print_json(thread_json(thread.name, thread.tenant, turns))
    elif turns:
        out().print(Overview(turns))
    else:
        out().print("the conversation holds no answer to replay", style="dim")
