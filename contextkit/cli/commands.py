"""All commands together: importing this module gives the whole `app`."""

from __future__ import annotations

from contextkit.cli import app as _first
from contextkit.cli import conform_commands as _conform
from contextkit.cli import eval_commands as _evaluations
from contextkit.cli import mcp_commands as _mcp
from contextkit.cli import replay_commands as _replay
from contextkit.cli import serve_commands as _serving
from contextkit.cli import thread_commands as _threads
from contextkit.cli.base import app

GROUPS = (_first, _threads, _replay, _evaluations, _serving, _conform, _mcp)
"""The modules whose import has added their commands to `app`."""

__all__ = ["GROUPS", "app"]
