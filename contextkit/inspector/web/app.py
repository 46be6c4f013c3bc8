"""The inspector as an ASGI app: two pages, what they ask for as JSON, originals as plain text."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from contextkit import __version__
from contextkit.errors import ContextKitError, StoreError, UnknownHandle
from contextkit.inspector.web import originals, turns
from contextkit.inspector.web.guard import Guard
from contextkit.inspector.web.live import events
from contextkit.inspector.web.overview import Summaries
from contextkit.inspector.web.reading import NotFound, Reading, find_thread, list_threads
from contextkit.inspector.web.search import search
from contextkit.manager import ContextManager

HERE = Path(__file__).parent
LONGEST = 64
"""Characters of a handle."""
LONGEST_FORM = 4096
"""Bytes of the form that asks for the token: whoever sends it is nobody known."""
MOST_LISTENERS = 64
"""Live connections at a time."""


class BadRequest(ContextKitError):
    """An address with a part that is no number, or too long."""


def create_app(
    manager: ContextManager,
    *,
    token: str | None = None,
    names: Iterable[str] = ("localhost",),
    is_over: Callable[[], bool] = lambda: False,
) -> Guard:
    """The app over everything that the manager's store has, all tenants.

    `names` are the host names it answers to beside IP addresses; with a `token`, every request needs
    it once. `is_over` tells the live connections when to end.
    """
    site = _Site(manager, is_over)
    app = Starlette(
        routes=[
            Route("/", site.threads_page),
            Route("/thread", site.thread_page),
            Route("/api/threads", site.threads),
            Route("/api/thread", site.thread),
            Route("/api/turns", site.turns),
            Route("/api/turn", site.turn),
            Route("/api/overview", site.overview),
            Route("/api/diff", site.diff),
            Route("/api/original", site.original),
            Route("/api/search", site.search),
            Route("/api/events", site.events),
            Route("/original.txt", site.plain),
            Route("/enter", site.enter, methods=["GET", "POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        exception_handlers={ContextKitError: _say, HTTPException: _say},
    )
    guard = Guard(app, frozenset(names), token, f"contextkit_{secrets.token_hex(4)}")
    site.guard = guard
    return guard


class _Site:
    """The endpoints. Those that are plain functions run in worker threads."""

    guard: Guard

    def __init__(self, manager: ContextManager, is_over: Callable[[], bool]) -> None:
        self._manager, self._is_over = manager, is_over
        self._summaries = Summaries()
        self._n_listeners = 0
        self._pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True)

    # -- pages ---------------------------------------------------------------------------------

    def threads_page(self, request: Request) -> Response:
        return self._page("threads.html")

    def thread_page(self, request: Request) -> Response:
        reading = self._reading(request)
        return self._page("thread.html", thread=reading.facts())

    async def enter(self, request: Request) -> Response:
        """The form that asks for the token, and its answer."""
        if request.method == "GET":
            return self._page("enter.html", is_wrong=False)
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_FORM:
                raise HTTPException(413, f"a token and no more: {LONGEST_FORM} bytes")
        form = parse_qs(body.decode("utf-8", "replace"))
        if self.guard.accepts(form.get("token", [""])[0].strip()):
            return self.guard.admit(RedirectResponse("/", 303))
        return self._page("enter.html", status=401, is_wrong=True)

    def _page(self, name: str, status: int = 200, **values: Any) -> Response:
        text = self._pages.get_template(name).render(version=__version__, **values)
        return HTMLResponse(text.encode("utf-8", "replace"), status)

    # -- what the pages ask for ----------------------------------------------------------------

    def threads(self, request: Request) -> Response:
        query = request.query_params
        return _json(list_threads(self._manager, query.get("tenant"), query.get("q", "")[:200]))

    def thread(self, request: Request) -> Response:
        """All that the first sight needs: a thread's head, a window of turns, the selected one.

        Without `turn` that is the newest.
        """
        reading = self._reading(request)
        facts = reading.facts()
        newest: int = facts["n_turns"]
        shown = max(1, _number(request, "turns", 120))
        turn = max(1, min(_number(request, "turn", newest), newest))
        last = newest if turn > newest - shown else turn + shown // 2
        return _json(
            {
                "thread": facts,
                "turns": turns.window(reading, last - shown + 1, last + 1),
                "selected": turns.turn(reading, turn) if newest else None,
            }
        )

    def turns(self, request: Request) -> Response:
        start, stop = _number(request, "start", 1), _number(request, "stop", 1)
        return _json(turns.window(self._reading(request), start, stop))

    def turn(self, request: Request) -> Response:
        number, offset = _number(request, "turn", 1), max(0, _number(request, "offset", 0))
        only_out = request.query_params.get("show") == "out"
        return _json(turns.turn(self._reading(request), number, offset, only_out))

    def overview(self, request: Request) -> Response:
        reading = self._reading(request)
        return _json(self._summaries.of(reading).grow(reading))

    def diff(self, request: Request) -> Response:
        first, second = _number(request, "first", 1), _number(request, "second", 1)
        return _json(turns.compare(self._reading(request), first, second))

    def original(self, request: Request) -> Response:
        offset = max(0, _number(request, "offset", 0))
        return _json(originals.original(self._reading(request), _handle(request), offset))

    def search(self, request: Request) -> Response:
        before = _number(request, "before", -1)
        wanted = request.query_params.get("q", "")[:400]
        return _json(search(self._reading(request), wanted, None if before < 0 else before))

    def plain(self, request: Request) -> Response:
        """The whole of an original as text, or as the exact JSON that its digest was made of."""
        exact = request.query_params.get("form") == "exact"
        found = originals.lines(self._reading(request), _handle(request), exact=exact)
        return StreamingResponse(
            (line.encode("utf-8", "replace") for line in found),
            media_type="text/plain; charset=utf-8",
            headers={"content-security-policy": "default-src 'none'; sandbox"},
        )

    async def events(self, request: Request) -> Response:
        """News of one thread, or of the list where none is named."""
        if self._n_listeners >= MOST_LISTENERS:
            raise HTTPException(503, "too many live connections; close some pages")
        query = dict(request.query_params)
        tenant, name = query.get("tenant"), query.get("name")

        def look() -> Any:
            if name is None:
                return list_threads(self._manager, tenant, query.get("q", "")[:200])
            facts = find_thread(self._manager, tenant or "", name).facts()
            return {"n_entries": facts["n_entries"], "n_turns": facts["n_turns"]}

        async def counted() -> AsyncIterator[bytes]:
            self._n_listeners += 1
            try:
                async for event in events(look, self._is_over, poll_s=0.5 if name else 2.0):
                    yield event
            finally:
                self._n_listeners -= 1

        return StreamingResponse(counted(), media_type="text/event-stream")

    def _reading(self, request: Request) -> Reading:
        query = request.query_params
        return find_thread(self._manager, query.get("tenant", "default"), query.get("name", ""))


def _json(value: Any) -> Response:
    """ASCII JSON: a lone surrogate in a message must not break an answer."""
    return Response(json.dumps(value).encode("ascii"), media_type="application/json")


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return default
    if len(text) > 10 or not text.removeprefix("-").isdecimal() or not text.isascii():
        raise BadRequest(f"{name}: {text[:20]!r} is no whole number")
    return int(text)


def _handle(request: Request) -> str:
    handle = request.query_params.get("handle", "")
    if not 0 < len(handle) <= LONGEST:
        raise BadRequest(f"handle: give one of at most {LONGEST} characters, such as m17")
    return handle


def _say(request: Request, error: Exception) -> Response:
    """An error as JSON with the status that fits."""
    status = 500
    if isinstance(error, HTTPException):
        return Response(
            json.dumps({"error": error.detail}), error.status_code, media_type="application/json"
        )
    if isinstance(error, NotFound | UnknownHandle):
        status = 404
    elif isinstance(error, BadRequest):
        status = 400
    elif isinstance(error, StoreError):
        status = 503
    body = json.dumps({"error": str(error)})
    return Response(body, status, media_type="application/json")
