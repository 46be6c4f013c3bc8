"""The live inspector in a browser: threads, turns, what left and why, the bill, the original bytes.

`serve` runs it (`contextkit inspect --web`), `running` runs it beside a program or a notebook,
`create_app` gives the ASGI app. It reads a store and never writes: no thread is created, recounted
or indexed. Needs `pip install "contextkit[inspector]"`.
"""

from __future__ import annotations

from contextkit.errors import ConfigError

try:
    from contextkit.inspector.web.app import create_app
    from contextkit.inspector.web.server import running, serve
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in ("jinja2", "starlette", "uvicorn"):
        raise
    raise ConfigError(
        f'inspector: {missing} is not installed; pip install "contextkit[inspector]"'
    ) from error

__all__ = ["create_app", "running", "serve"]
