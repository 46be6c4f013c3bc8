"""`contextkit serve`: options become settings, then the server runs until it is told to stop."""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.backend import Backend, Loadable
from contextkit.cli.opening import UsageError, aside, open_manager
from contextkit.errors import ConfigError

if TYPE_CHECKING:
    from contextkit.server.settings import Settings

_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command was given; see its help."""

    host: str
    port: int
    token: str | None
    upstream_key_env: str | None
    allow_remote: bool
    upstream: str | None
    tenant: str | None
    trust_tenant_header: bool
    max_body_mib: int
    requests_per_minute: int | None
    concurrency: int
    timeout_s: float
    drain_s: float
    remember_mib: int
    log_level: str


def run_serve(config: Path | None, options: Options) -> None:
    """Listens until SIGINT or SIGTERM; then answers under way are finished."""
    try:
        from contextkit.server import running
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "contextkit":
            raise
        raise ConfigError(
            f'contextkit serve needs {error.name}, which is not installed; pip install "contextkit[serve]"'
        ) from None
    settings = settings_of(options)
    logging.basicConfig(
        level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    with _listen(options) as listening, open_manager(config) as manager:
        host, port = listening.getsockname()[:2]
        if settings.upstream is None:
            _load(manager.backend)
        level = options.log_level
        server = running.server_of(manager, settings, host=host, port=port, log_level=level)
        name = f"[{host}]" if ":" in host else host
        behind = settings.upstream or f"the {manager.backend.kind} backend"
        aside().print(f"contextkit serves http://{name}:{port}/v1 in front of {behind}")
        running.tune_interpreter()
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


def _load(backend: Backend) -> None:
    """What the backend needs in memory is there before anyone asks. Raises `ContextKitError`."""
    if not isinstance(backend, Loadable):
        return
    since = time.monotonic()
    console, model = aside(), backend.capabilities.model or backend.kind
    console.print(f"loading {model} …")
    backend.load()
    console.print(f"{model} is loaded ({time.monotonic() - since:.1f} s)")


def settings_of(options: Options) -> Settings:
    """The settings that the options mean. Raises `ConfigError`."""
    from contextkit.server.settings import MIB, Settings, check_binding, check_upstream, is_loopback

    if options.log_level not in _LEVELS:
        raise UsageError(f"--log-level: {options.log_level!r}; {', '.join(_LEVELS)} would work")
    check_binding(options.host, options.token, options.allow_remote)
    if options.upstream is not None:
        check_upstream(options.upstream)
    return Settings(
        upstream=options.upstream,
        upstream_key=_secret(options.upstream_key_env),
        token=options.token or None,
        loopback_only=is_loopback(options.host),
        tenant=options.tenant,
        trust_tenant_header=options.trust_tenant_header,
        max_body_bytes=options.max_body_mib * MIB,
        requests_per_minute=options.requests_per_minute,
        concurrency=options.concurrency,
        read_timeout_s=options.timeout_s,
        drain_s=options.drain_s,
        remembered_bytes=options.remember_mib * MIB,
    )


def _secret(variable: str | None) -> str | None:
    """The value of an environment variable: secrets on a command line are there for all to see."""
    if variable is None:
        return None
    value = os.environ.get(variable, "")
    if not value.strip():
        raise UsageError(f"--upstream-key-env: the variable {variable} is empty or not set")
    return value.strip()


def _listen(options: Options) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((options.host.strip("[]"), options.port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"{options.host}:{options.port} cannot be listened on ({error.strerror}); another --port "
            "would work"
        ) from None
    return listening
