"""A provider on 127.0.0.1 for the real SDKs to talk to: strict, counting, caching, failing on demand."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from . import anthropic_messages, openai_chat, openai_embeddings, openai_responses
from .answers import Answer, Failure, Refusal, Responder, echo
from .counting import PrefixCache, count_json
from .diagnosing import Diagnoses


@dataclass
class Seen:
    """One request as it came, and how it was answered."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    status: int = 0
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    finished: bool = False
    """All of the answer was sent; False where the client went away."""
    raw: bytes = b""
    """The body as it came."""


class FakeProvider:
    """The server and its script. `window` is in the fake's own tokens."""

    def __init__(self) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                Starlette(
                    routes=[
                        Route("/v1/chat/completions", self._chat, methods=["POST"]),
                        Route("/v1/responses", self._responses, methods=["POST"]),
                        Route("/v1/messages", self._messages, methods=["POST"]),
                        Route("/v1/messages/count_tokens", self._count, methods=["POST"]),
                        Route("/v1/models", self._models, methods=["GET"]),
                        Route("/v1/embeddings", self._embeddings, methods=["POST"]),
                    ]
                ),
                host="127.0.0.1",
                port=0,
                log_level="critical",
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self.reset()

    def reset(self) -> None:
        """Forget requests and script; every test starts so."""
        self.window = 128_000
        self.respond: Responder = echo
        self.failures: list[Failure] = []
        self.seen: list[Seen] = []
        self.takes_reasoning = False
        self.refused_fields: set[str] = set()
        self.cache_minimum = 1024
        self.chunk_delay_s = 0.0
        self.cache = PrefixCache()
        self.diagnoses = Diagnoses()
        self.embedding_dimension = 1536

    def start(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the fake provider did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    @property
    def origin(self) -> str:
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    @property
    def openai_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def refused(self) -> list[Seen]:
        """Requests that broke a rule of the provider's."""
        return [seen for seen in self.seen if seen.status == 400]

    def wait_until_gone(self) -> bool:
        """Whether the newest answer's connection was closed before it was all sent."""
        deadline = time.monotonic() + 5
        while self.seen[-1].status != 499 and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.seen[-1].status == 499

    async def _chat(self, request: Request) -> Response:
        body = await request.json()

        def validate() -> None:
            openai_chat.validate(body, takes_reasoning=self.takes_reasoning)

        return await self._serve(request, body, openai_chat, validate)

    async def _responses(self, request: Request) -> Response:
        body = await request.json()
        return await self._serve(
            request, body, openai_responses, lambda: openai_responses.validate(body)
        )

    async def _messages(self, request: Request) -> Response:
        body = await request.json()
        return await self._serve(
            request, body, anthropic_messages, lambda: anthropic_messages.validate(body)
        )

    async def _count(self, request: Request) -> Response:
        body = await request.json()
        self.seen.append(Seen(request.url.path, body, dict(request.headers), 200))
        counted = sum(map(count_json, anthropic_messages.pieces_of(body)))
        return JSONResponse({"input_tokens": counted})

    async def _models(self, request: Request) -> Response:
        self.seen.append(Seen(request.url.path, {}, dict(request.headers), 200))
        model = {"id": "gpt-4o", "object": "model", "created": 1760000000, "owned_by": "fake"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _embeddings(self, request: Request) -> Response:
        body = await request.json()
        seen = Seen(request.url.path, body, dict(request.headers))
        self.seen.append(seen)
        failure = self.failures.pop(0) if self.failures else None
        if failure and failure.hang:
            await asyncio.sleep(3600)
        if failure and failure.drop:
            return _Dropped()
        if failure:
            return self._error(seen, failure)
        try:
            openai_embeddings.validate(body)
        except Refusal as refusal:
            return self._error(seen, Failure(400, str(refusal), refusal.code), refusal.param)
        seen.status, seen.finished = 200, True
        return JSONResponse(openai_embeddings.whole(body, self.embedding_dimension))

    async def _serve(
        self, request: Request, body: dict[str, Any], form: ModuleType, validate: Any
    ) -> Response:
        seen = Seen(request.url.path, json.loads(json.dumps(body)), dict(request.headers))
        seen.raw = await request.body()
        self.seen.append(seen)
        failure = self.failures.pop(0) if self.failures else None
        if failure and failure.hang:
            await asyncio.sleep(3600)
        if failure and failure.drop:
            return _Dropped()
        if failure and failure.status:
            return self._error(seen, failure)
        try:
            for name in self.refused_fields & body.keys():
                raise Refusal(f"Unrecognized request argument supplied: {name}", param=name)
            validate()
            form.check_window(body, self.window)
        except Refusal as refusal:
            return self._error(seen, Failure(400, str(refusal), refusal.code), refusal.param)
        answer = self.respond(body)
        used = form.usage(body, answer, self.cache, self.cache_minimum)
        seen.status, seen.usage = 200, used
        if not body.get("stream"):
            seen.finished = True
            whole = form.whole(body, answer, used)
            return JSONResponse(self.diagnoses.complete(seen.path, seen.body, whole))
        events = self.diagnoses.through(seen.path, seen.body, form.events(body, answer, used))
        return StreamingResponse(
            self._stream(seen, events, failure), media_type="text/event-stream"
        )

    async def _stream(
        self, seen: Seen, events: Iterator[dict[str, Any]], failure: Failure | None
    ) -> AsyncIterator[str]:
        try:
            for index, event in enumerate(events):
                if failure and failure.in_stream and index == 2:
                    yield _sse(self._error_body(seen, failure, None), seen)
                    return
                if failure and index == failure.cut_after:
                    return
                yield _sse(event, seen)
                await asyncio.sleep(self.chunk_delay_s)
            if seen.path == "/v1/chat/completions":
                yield "data: [DONE]\n\n"
            seen.finished = True
        except (asyncio.CancelledError, GeneratorExit):
            seen.status = 499
            raise

    def _error(self, seen: Seen, failure: Failure, param: str | None = None) -> Response:
        seen.status = failure.status
        body = self._error_body(seen, failure, param)
        return JSONResponse(body, failure.status, headers=failure.headers)

    def _error_body(self, seen: Seen, failure: Failure, param: str | None) -> dict[str, Any]:
        kinds = {429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}
        kind = failure.kind or kinds.get(failure.status, "invalid_request_error")
        if seen.path == "/v1/messages":
            return {"type": "error", "error": {"type": kind, "message": failure.message}}
        error = {"message": failure.message, "type": kind, "param": param, "code": failure.code}
        return {"type": "error", **error} if seen.path == "/v1/responses" and failure.in_stream else {
            "error": error
        }  # fmt: skip


class _Dropped(Response):
    """Closes the connection with no answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": False})


def _sse(event: dict[str, Any], seen: Seen) -> str:
    head = (
        f"event: {event['type']}\n"
        if "type" in event and seen.path != "/v1/chat/completions"
        else ""
    )
    return f"{head}data: {json.dumps(event)}\n\n"


__all__ = ["Answer", "Failure", "FakeProvider", "Seen"]
