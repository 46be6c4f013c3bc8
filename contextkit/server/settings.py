"""What a proxy is told when it starts: where it forwards to, whom it lets in, what it lets through."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from contextkit.errors import ConfigError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """Frozen; keys and tokens do not show in its `repr`. Sizes in bytes, times in seconds."""

    upstream: str | None = None
    """Where requests are forwarded to; None: the configured backend answers."""
    upstream_key: str | None = field(default=None, repr=False)
    """Sent upstream in place of whatever key the client sent."""
    token: str | None = field(default=None, repr=False)
    """What clients must present; None lets everyone in."""
    loopback_only: bool = True
    """Refuse requests that name another host than this machine, as a web page could make them."""
    tenant: str | None = None
    """One tenant for all; None: each API key is a tenant of its own."""
    trust_tenant_header: bool = False
    """Whether `x-contextkit-tenant` names the tenant outright instead of a part of the key's."""
    max_body_bytes: int = 64 * MIB
    requests_per_minute: int | None = None
    """For each tenant; None: no limit."""
    concurrency: int = 256
    """Requests under way for each tenant."""
    body_timeout_s: float = 60.0
    """Until the whole request must have come."""
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 600.0
    """Longest silence of the upstream."""
    write_timeout_s: float = 60.0
    """Until a client must have taken what it was sent."""
    drain_s: float = 30.0
    """How long answers under way may go on once the proxy is told to stop."""
    remembered_bytes: int = 256 * MIB
    """Request bodies kept to recognise what is sent again."""

    @property
    def base_url(self) -> str:
        """The upstream's address up to and with `/v1` (or the path that stands for it)."""
        upstream = (self.upstream or "").rstrip("/")
        return upstream if urlsplit(upstream).path else f"{upstream}/v1"


def check_upstream(url: str) -> None:
    """Raises `ConfigError` for what is no HTTP address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"--upstream: {url!r} is no address; https://api.openai.com would work")
    if parts.query or parts.fragment or parts.username:
        raise ConfigError(
            "--upstream: give scheme, host and path only; keys belong into --upstream-key-env"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_binding(host: str, token: str | None, allow_remote: bool) -> None:
    """Raises `ConfigError` where others could use the proxy and nobody said that they may."""
    if is_loopback(host) or token or allow_remote:
        return
    raise ConfigError(
        f"--host {host}: other machines could use this proxy and read its threads; give a --token that "
        "clients send as x-contextkit-token, or say --allow-remote"
    )
