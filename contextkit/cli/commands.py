"""All commands together: importing this module gives the whole `app`."""

from __future__ import annotations

from contextkit.cli import app as _threads
from contextkit.cli import eval_commands as _evaluations
from contextkit.cli import replay_commands as _replay
from contextkit.cli.base import app

GROUPS = (_threads, _replay, _evaluations)
"""The modules whose import has added their commands to `app`."""

__all__ = ["GROUPS", "app"]
