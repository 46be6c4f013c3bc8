"""Calls that a policy makes beside the turn's own: maps, reductions, simulated questions.

Each has a budget of its own and is answered once: the reply is kept in the tenant's memo under the
model's name and the bytes that were asked, so assembling again asks nothing and gives the same call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from contextkit.backend import Backend, Reply
from contextkit.call import CachePoint, Call
from contextkit.errors import BackendError, BudgetExceeded
from contextkit.ledger import Decision, Ledger
from contextkit.memo import Memo
from contextkit.messages import Message
from contextkit.tokens import add, measure_all
from contextkit.tools import Tool

SPACE = "side-calls/1"


@dataclass(frozen=True, slots=True)
class SideReply:
    """What came back, and what it took by the provider's count, or by ours where it tells none."""

    text: str
    input_tokens: int
    output_tokens: int


def ask(
    backend: Backend,
    memo: Memo,
    prompts: Sequence[Sequence[Message]],
    *,
    purpose: str,
    limit_tokens: int,
    reply_tokens: int,
    tools: Sequence[Tool] = (),
    cache_points: Sequence[CachePoint] = (),
) -> list[SideReply]:
    """The replies to the prompts, in their order; only those that were never answered are sent, at once.

    `limit_tokens` bounds each prompt, `reply_tokens` each reply. Raises `BudgetExceeded` for a prompt
    that is too long, `BackendError` where the model could not be asked; what was answered before stays
    kept.
    """
    calls = [
        side_call(
            backend, prompt, memo.tenant, purpose, limit_tokens, reply_tokens, tools, cache_points
        )
        for prompt in prompts
    ]
    keys = [_key(backend, call) for call in calls]
    kept = {key: _load(body) for key, body in memo.load(SPACE, list(dict.fromkeys(keys))).items()}
    missing = {key: call for key, call in zip(keys, calls, strict=True) if key not in kept}
    if missing:
        replies = backend.complete_many(list(missing.values()))
        if len(replies) != len(missing):
            raise BackendError(f"{purpose}: {len(missing)} calls, {len(replies)} replies")
        made = {
            key: _measured(backend, call, reply)
            for (key, call), reply in zip(missing.items(), replies, strict=True)
        }
        memo.save(SPACE, {key: _dump(reply) for key, reply in made.items()})
        kept.update(made)
    return [kept[key] for key in keys]


def side_call(
    backend: Backend,
    messages: Sequence[Message],
    tenant: str,
    purpose: str,
    limit_tokens: int,
    reply_tokens: int,
    tools: Sequence[Tool] = (),
    cache_points: Sequence[CachePoint] = (),
) -> Call:
    """A sealed call of these messages alone, with a ledger that says what it is for.

    `tools` and `cache_points` are for a prompt that goes on from a call with them: its cache is read.
    """
    counter = backend.counter
    frame = counter.measure_frame(tools)
    measure = add(frame, measure_all(counter, messages))
    needed = counter.upper(measure)
    if needed > limit_tokens:
        raise BudgetExceeded(
            f"{purpose}: a prompt of {needed:,} tokens, {limit_tokens:,} are granted; give smaller parts",
            needed_tokens=needed,
            limit_tokens=limit_tokens,
        )
    sizes = [counter.tokens(counter.measure(message)) for message in messages]
    frame_tokens = counter.tokens(frame)
    decisions = tuple(
        Decision(
            f"x{m.digest.hex()[:6]}",
            "insert",
            purpose,
            "asked beside the turn",
            purpose,
            0,
            n,
            i,
            i,
        )
        for i, (m, n) in enumerate(zip(messages, sizes, strict=True))
    )
    ledger = Ledger(
        thread="",
        turn=0,
        window=limit_tokens + reply_tokens,
        reply_reserve=reply_tokens,
        input_tokens=frame_tokens + sum(sizes),
        upper_tokens=max(needed, frame_tokens + sum(sizes)),
        frame_tokens=frame_tokens,
        exact=counter.exact,
        counter=counter.name,
        decisions=decisions,
    )
    body = b"".join(message.digest for message in messages)
    offered = hashlib.sha256(b"".join(tool.digest for tool in tools)).hexdigest()
    return Call(
        messages=tuple(messages),
        tools=tuple(tools),
        input_tokens=ledger.input_tokens,
        upper_tokens=ledger.upper_tokens,
        max_output_tokens=reply_tokens,
        cache_points=tuple(cache_points),
        fingerprint=hashlib.sha256(offered.encode() + body).hexdigest(),
        ledger=ledger,
        tenant=tenant,
    )


def _measured(backend: Backend, call: Call, reply: Reply) -> SideReply:
    counter = backend.counter
    if reply.usage is not None and reply.usage.input_tokens:
        return SideReply(reply.text, reply.usage.input_tokens, reply.usage.output_tokens)
    return SideReply(reply.text, call.input_tokens, counter.tokens(counter.measure(reply.message)))


def _key(backend: Backend, call: Call) -> str:
    able = backend.capabilities
    named = [backend.kind, able.provider, able.model, call.fingerprint, call.max_output_tokens]
    return hashlib.sha256(json.dumps(named).encode("utf-8", "surrogatepass")).hexdigest()


def _dump(reply: SideReply) -> bytes:
    return json.dumps([reply.text, reply.input_tokens, reply.output_tokens]).encode("ascii")


def _load(body: bytes) -> SideReply:
    text, input_tokens, output_tokens = json.loads(body)
    return SideReply(text, input_tokens, output_tokens)
