"""Answers of the configured backend itself: a small OpenAI-compatible server, without an upstream.

Chat completions, whole and streamed, and the list of models. How the model is sampled is the backend's
own configuration; of a request's settings the limit of the reply counts.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from contextkit import bridge
from contextkit.backend import Reply, ReplyChunk
from contextkit.call import Call
from contextkit.dialects import openai
from contextkit.errors import BackendUnavailable
from contextkit.manager import ContextManager
from contextkit.server.endpoints import CHAT_API
from contextkit.server.exchange import Exchange
from contextkit.server.refusals import Refusal
from contextkit.server.relay import Workers
from contextkit.server.turns import Started
from contextkit.usage import Usage

_JSON = [(b"content-type", b"application/json")]
_EVENTS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
]
_DONE = b"data: [DONE]\n\n"


class OwnAnswers:
    """Asks the manager's backend."""

    def __init__(self, manager: ContextManager, workers: Workers) -> None:
        self._backend = manager.backend
        self._workers = workers
        self._model = manager.backend.capabilities.model or manager.backend.kind
        self._since = int(time.time())

    async def completion(self, exchange: Exchange) -> None:
        """`POST /v1/chat/completions`."""
        started = await self._workers.begin(CHAT_API, exchange)
        if started.begun is None:
            raise Refusal(400, "messages: is missing")
        request = started.body.fields
        if request.get("n") not in (None, 1):
            raise Refusal(400, "n: this model answers once; 1 would work")
        call = _limited(started.begun.call, request)
        if started.streams:
            await self._streamed(exchange, started, call)
            return
        reply = await bridge.call(self._backend.complete, call)
        await self._workers.finish(exchange, started, lambda: reply)
        answer = self._head("chat.completion") | {
            "choices": [
                {
                    "index": 0,
                    "message": _message(reply),
                    "logprobs": None,
                    "finish_reason": _finish(reply),
                }
            ],
            "usage": _usage(reply.usage, call),
        }
        await exchange.out.whole(200, _JSON, json.dumps(answer).encode())

    async def other(self, exchange: Exchange) -> None:
        """`GET /v1/models` and `/v1/models/{model}`; nothing else is here."""
        path, method = exchange.path, exchange.scope["method"]
        model = {
            "id": self._model,
            "object": "model",
            "created": self._since,
            "owned_by": "contextkit",
        }
        if method == "GET" and path == "/v1/models":
            found: dict[str, Any] = {"object": "list", "data": [model]}
        elif method == "GET" and path == f"/v1/models/{self._model}":
            found = model
        else:
            raise Refusal(
                404,
                f"{method} {path}: not served without an upstream; POST /v1/chat/completions and "
                "GET /v1/models are",
            )
        await exchange.out.whole(200, _JSON, json.dumps(found).encode())

    async def _streamed(self, exchange: Exchange, started: Started, call: Call) -> None:
        """Chunks as the model writes; the last ones once the turn is stored."""
        out, head = exchange.out, self._head("chat.completion.chunk")
        chunks: AsyncIterator[ReplyChunk] = bridge.iterate(partial(self._backend.stream, call))
        reply: Reply | None = None
        async with aclosing(chunks):  # type: ignore[type-var]
            async for chunk in chunks:
                if not out.status:
                    await out.begin(200, _EVENTS)
                    await out.write(_event(head, {"role": "assistant", "content": ""}))
                if chunk.text:
                    await out.write(_event(head, {"content": chunk.text}))
                reply = chunk.reply or reply
        if reply is None:
            raise BackendUnavailable("the backend's stream ended before its reply was whole")
        whole = reply
        await self._workers.finish(exchange, started, lambda: whole)
        for delta in _call_deltas(reply):
            await out.write(_event(head, delta))
        await out.write(_event(head, {}, _finish(reply)))
        options = started.body.fields.get("stream_options")
        if isinstance(options, Mapping) and options.get("include_usage"):  # pyright: ignore[reportUnknownMemberType]
            usage: dict[str, Any] = {**head, "choices": [], "usage": _usage(reply.usage, call)}
            await out.write(f"data: {json.dumps(usage)}\n\n".encode())
        await out.end(_DONE)

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": self._model,
        }


def _limited(call: Call, request: Mapping[str, Any]) -> Call:
    """The call with the request's own limit of the reply, where it is below the reserve."""
    for name in ("max_completion_tokens", "max_tokens"):
        asked = request.get(name)
        if asked is None:
            continue
        if type(asked) is not int or asked < 1:
            raise Refusal(400, f"{name}: must be a whole number above 0")
        return replace(call, max_output_tokens=min(asked, call.max_output_tokens))
    return call


def _message(reply: Reply) -> dict[str, Any]:
    """The reply as a chat completion writes it."""
    wire: dict[str, Any] = openai.dump(reply.message)
    return {"role": "assistant", "content": reply.text or None, "refusal": None} | (
        {"tool_calls": wire["tool_calls"]} if wire.get("tool_calls") else {}
    )


def _finish(reply: Reply) -> str:
    if reply.message.tool_calls:
        return "tool_calls"
    return "length" if reply.finish_reason in ("length", "max_tokens") else "stop"


def _usage(usage: Usage | None, call: Call) -> dict[str, Any]:
    used = usage or Usage(call.input_tokens)
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning_tokens},
    }


def _call_deltas(reply: Reply) -> list[dict[str, Any]]:
    calls = _message(reply).get("tool_calls", ())
    return [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(calls)]


def _event(head: Mapping[str, Any], delta: Mapping[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return f"data: {json.dumps({**head, 'choices': [choice]})}\n\n".encode()
