"""Headers on their way through: which go on, which belong to one hop alone."""

from __future__ import annotations

import re
from collections.abc import Iterable

from contextkit.server.refusals import Shape
from contextkit.server.tenants import KEY_HEADERS

RawHeaders = list[tuple[bytes, bytes]]

_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"transfer-encoding upgrade".split()
)
_REQUEST = frozenset({b"host", b"content-length", b"accept-encoding", b"expect"})
_KEYS = frozenset(name.encode() for name in KEY_HEADERS)
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS = (204, 304)


def headers_out(
    raw: Iterable[tuple[bytes, bytes]], shape: Shape, key: str | None, drop_keys: bool
) -> RawHeaders:
    """The client's headers for the provider, with the proxy's own `key` where it has one.

    The answer is asked for unpacked: it is read here too.
    """
    kept = [
        (name, value)
        for name, value in end_to_end(raw)
        if name not in _REQUEST
        and not name.startswith(b"x-contextkit-")
        and not (name in _KEYS and (key or drop_keys))
    ]
    kept.append((b"accept-encoding", b"identity"))
    if key and shape == "anthropic":
        kept.append((b"x-api-key", key.encode()))
    elif key:
        kept.append((b"authorization", b"Bearer " + key.encode()))
    return kept


def end_to_end(raw: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Headers without those of this hop, by RFC 9110 §7.6.1."""
    headers = list(raw)
    named = {
        name.strip().lower()
        for header, value in headers
        if header == b"connection"
        for name in value.split(b",")
    }
    return [(name, value) for name, value in headers if name not in _HOP and name not in named]


def headers_back(raw: Iterable[tuple[bytes, bytes]], status: int) -> RawHeaders:
    """The provider's headers for the client, without those that its packing needed.

    What no header may hold (RFC 9110 §5.5) stays behind, and the length of a body that is not sent.
    """
    kept = end_to_end([(name.lower(), value) for name, value in raw])
    dropped = {b"content-length"} if status in _BODILESS else set[bytes]()
    if any(name == b"content-encoding" for name, _ in kept):
        dropped = {b"content-encoding", b"content-length"}
    return [(n, v) for n, v in kept if n not in dropped and not _CONTROL.search(v)]


def as_text(value: bytes) -> str:
    """A header's value so that it is written as the same bytes, where they are UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
