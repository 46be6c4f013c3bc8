"""Who asks: the token that lets him in, the tenant his key stands for, how much he may ask.

A key is hashed as soon as it was read. It is neither stored nor logged; it is passed on to the upstream
and forgotten.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from contextkit.server.refusals import Refusal
from contextkit.server.settings import Settings, is_loopback

THREAD_HEADER = "x-contextkit-thread"
TENANT_HEADER = "x-contextkit-tenant"
TOKEN_HEADER = "x-contextkit-token"
KEY_HEADERS = ("authorization", "x-api-key", "api-key")
LONGEST_NAME = 200
REMEMBERED = 10_000
"""Tenants whose recent requests are counted; of those with none under way."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who a request is from, and the thread that it names."""

    tenant: str
    thread: str | None
    key_is_token: bool
    """The key that came is the proxy's token, none of the upstream's."""


def asker_of(headers: Headers, settings: Settings) -> Asker:
    """Raises `Refusal` 401 or 403 for whom is not let in, 400 for names that are none."""
    _check_host(headers, settings)
    key = _key(headers)
    key_is_token = _check_token(headers, key, settings)
    named = _name(headers, TENANT_HEADER)
    tenant = settings.tenant or "anonymous"
    if named and settings.trust_tenant_header:
        tenant = named
    elif settings.tenant is None:
        tenant = tenant if key is None or key_is_token else f"key-{_digest(key)}"
        tenant = f"{tenant}/{named}" if named else tenant
    return Asker(tenant, _name(headers, THREAD_HEADER), key_is_token)


def check_admin(headers: Headers, settings: Settings) -> None:
    """Raises `Refusal` where a request without a tenant (metrics) is not let in."""
    _check_host(headers, settings)
    _check_token(headers, _key(headers), settings)


def _check_host(headers: Headers, settings: Settings) -> None:
    if not settings.loopback_only or settings.token:
        return
    host = _host_in(f"//{headers.get('host', '')}")
    if not is_loopback(host):
        raise Refusal(
            403, f"host {host!r} is not this machine; use http://127.0.0.1 as the base URL"
        )
    origin = headers.get("origin", "")
    if _is_page_elsewhere(origin):
        raise Refusal(
            403, f"origin {origin!r}: pages of other machines are let in with a --token only"
        )


def _is_page_elsewhere(origin: str) -> bool:
    """Whether a browser sends it for a page that is not this machine's; programs have other schemes."""
    if origin.startswith(("http://", "https://")):
        return not is_loopback(_host_in(origin))
    return origin == "null"


def _host_in(url: str) -> str:
    """The host of an address; empty where it has none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _check_token(headers: Headers, key: str | None, settings: Settings) -> bool:
    if settings.token is None:
        return False
    for given, is_key in ((headers.get(TOKEN_HEADER), False), (key, True)):
        if given and hmac.compare_digest(given.encode("latin-1"), settings.token.encode()):
            return is_key
    raise Refusal(
        401, f"this proxy asks for its token; send it as {TOKEN_HEADER}", code="invalid_api_key"
    )


def _key(headers: Headers) -> str | None:
    for name in KEY_HEADERS:
        value = headers.get(name, "").strip()
        if value:
            scheme, _, rest = value.partition(" ")
            return rest.strip() or None if scheme.lower() == "bearer" else value
    return None


def _name(headers: Headers, header: str) -> str | None:
    values = headers.getlist(header)
    if not values:
        return None
    value = _unicode(values[0]).strip()
    if len(values) > 1 or not value or len(value) > LONGEST_NAME or not value.isprintable():
        raise Refusal(
            400, f"{header}: one name of 1 to {LONGEST_NAME} printable characters would work"
        )
    return value


def _unicode(value: str) -> str:
    """A header's value, which is read as Latin-1, as the UTF-8 that its sender wrote."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def _digest(key: str) -> str:
    return hashlib.sha256(b"contextkit tenant\0" + key.encode()).hexdigest()[:32]


@dataclass(slots=True)
class _Account:
    left: float
    at: float
    under_way: int = 0


class Limits:
    """Requests a minute and at once, for each tenant. Used from the event loop alone."""

    def __init__(
        self, per_minute: int | None, at_once: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_minute = per_minute
        self._at_once = at_once
        self._clock = clock
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    @contextmanager
    def request(self, tenant: str) -> Generator[None]:
        """While a request is under way. Raises `Refusal` 429 where it is one too many."""
        account = self._account(tenant)
        if account.under_way >= self._at_once:
            raise Refusal(
                429,
                f"{self._at_once} requests are under way already; wait for one to end",
                code="rate_limit_exceeded",
                retry_after_s=1.0,
            )
        self._spend(account)
        account.under_way += 1
        try:
            yield
        finally:
            account.under_way -= 1

    def _account(self, tenant: str) -> _Account:
        found = self._accounts.pop(tenant, None)
        if found is None:
            found = _Account(float(self._per_minute or 0), self._clock())
        self._accounts[tenant] = found
        if len(self._accounts) > REMEMBERED:
            idle = next((t for t, a in self._accounts.items() if not a.under_way), tenant)
            if idle != tenant:
                del self._accounts[idle]
        return found

    def _spend(self, account: _Account) -> None:
        """One request of the minute's share, which fills again evenly."""
        if self._per_minute is None:
            return
        now, rate = self._clock(), self._per_minute / 60
        account.left = min(self._per_minute, account.left + (now - account.at) * rate)
        account.at = now
        if account.left < 1:
            raise Refusal(
                429,
                f"more than {self._per_minute} requests a minute; slow down",
                code="rate_limit_exceeded",
                retry_after_s=(1 - account.left) / rate,
            )
        account.left -= 1
