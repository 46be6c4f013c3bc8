"""LlamaIndex: `ChatMemoryBuffer` and its successor `Memory`."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from contextkit.testing.conversations import Wire
from contextkit.testing.counting import Count
from contextkit.testing.peers.base import Origins, Peer, apart, encoder, load, text_of, wait


def _native(messages: list[Wire], origins: Origins) -> list[Any]:
    """LlamaIndex's messages; calls and results are bound by `additional_kwargs`."""
    types: Any = load("llama_index.core.llms")
    made: list[Any] = []
    for wire in messages:
        bound = {k: wire[k] for k in ("tool_calls", "tool_call_id") if k in wire}
        native = types.ChatMessage(
            role=wire["role"], content=text_of(wire), additional_kwargs=bound
        )
        origins.put(_key(native), wire)
        made.append(native)
    return made


def _key(native: Any) -> str:
    bound = json.dumps(native.additional_kwargs, sort_keys=True)
    return f"{native.role.value} {native.content} {bound}"


def _back(natives: list[Any], origins: Origins) -> list[Wire]:
    def written(native: Any) -> list[Wire]:
        return [{"role": native.role.value, "content": native.content}]

    return [wire for n in natives for wire in origins.back(_key(n), n, written)]


def _buffer(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    opening, rest, room = apart(messages, budget_tokens, count)
    origins = Origins()
    memory: Any = load("llama_index.core.memory").ChatMemoryBuffer.from_defaults(
        chat_history=_native(rest, origins), token_limit=room, tokenizer_fn=encoder()
    )
    return [*opening, *_back(memory.get(), origins)]


def _memory(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
    opening, rest, room = apart(messages, budget_tokens, count)
    origins = Origins()
    natives = _native(rest, origins)
    memory: Any = load("llama_index.core.memory").Memory.from_defaults(
        session_id=uuid4().hex,
        token_limit=room,
        token_flush_size=max(1, room // 10),
        tokenizer_fn=encoder(),
    )

    async def put_and_get() -> Any:
        for native in natives:
            await memory.aput(native)
        kept = await memory.aget()
        await memory.sql_store._async_engine.dispose()
        return kept

    return [*opening, *_back(wait(put_and_get()), origins)]


def _peer(name: str, about: str, trim: Any) -> Peer:
    return Peer(name, "llama-index-core", "llama_index", lambda: trim, about)


PEERS = (
    _peer("llama-index-buffer", "`ChatMemoryBuffer`", _buffer),
    _peer("llama-index-memory", "`Memory` without blocks, a tenth flushed at a time", _memory),
)
