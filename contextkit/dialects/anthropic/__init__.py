"""Anthropic Messages: content blocks, tool results inside user messages, cache points on blocks.

`parse` and `dump` are a lossless pair over one message; `request` makes what is sent, from
messages of any origin.
"""

from contextkit.dialects.anthropic.caching import MARK
from contextkit.dialects.anthropic.form import dump, parse
from contextkit.dialects.anthropic.outgoing import pointed, request, tools_of
from contextkit.dialects.anthropic.tools import dump_tool, parse_tool

__all__ = ["MARK", "dump", "dump_tool", "parse", "parse_tool", "pointed", "request", "tools_of"]
