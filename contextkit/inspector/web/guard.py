"""Who may look: the Host header, the token, and the headers that keep a page from doing harm.

A page of another site can make a browser send requests here, but not read what comes back, unless its
name is made to point at this machine (DNS rebinding): so only names that cannot be anyone else's are
answered. Beyond the loopback a token is asked for, once in the address, then kept in a cookie.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE_HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
OPEN_PATHS = ("/static/", "/enter")
"""What is served without the token: looks and scripts, and the page that asks for it."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a Host header, lower case, without the port and the brackets of IPv6."""
    name = header.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def is_allowed(header: str, names: frozenset[str]) -> bool:
    """Whether a Host header can be trusted: one of `names`, or an address, which nobody can rebind."""
    name = host_name(header)
    if name in names:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Guard:
    """Around the app: refuses strange hosts, asks for the token, adds the headers to every answer."""

    app: ASGIApp
    names: frozenset[str] = frozenset({"localhost"})
    token: str | None = None
    cookie_name: str = "contextkit_inspector"
    _ticket: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """What the cookie holds: made anew by each process, so a stolen one dies with it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self.app)(scope, receive, send_safely)

    def accepts(self, offered: str) -> bool:
        """Whether this is the token; takes as long for a near miss as for a far one."""
        return self.token is not None and hmac.compare_digest(
            offered.encode("utf-8", "replace"), self.token.encode("utf-8")
        )

    def admit(self, response: Response) -> Response:
        """The response with the cookie that stands for the token from now on."""
        response.set_cookie(self.cookie_name, self._ticket, httponly=True, samesite="strict")
        return response

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not is_allowed(headers.get("host", ""), self.names):
            known = ", ".join(sorted(self.names))
            return PlainTextResponse(
                f"this host name is not answered; use an IP address or one of: {known}", 421
            )
        path: str = scope["path"]
        if self.token is None or path.startswith(OPEN_PATHS) or self._is_known(headers):
            return None
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        offered = next((value for name, value in pairs if name == "token"), None)
        if offered is not None and self.accepts(offered):
            rest = urlencode([pair for pair in pairs if pair[0] != "token"])
            return self.admit(RedirectResponse(f"{path}?{rest}" if rest else path, 303))
        if "text/html" in headers.get("accept", ""):
            return RedirectResponse("/enter", 303)
        return PlainTextResponse("a token is needed: Authorization: Bearer TOKEN", 401)

    def _is_known(self, headers: Headers) -> bool:
        scheme, _, offered = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.accepts(offered.strip()):
            return True
        ticket = cookie_parser(headers.get("cookie", "")).get(self.cookie_name, "")
        return hmac.compare_digest(ticket.encode("utf-8", "replace"), self._ticket.encode("ascii"))
