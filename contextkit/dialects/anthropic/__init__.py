"""Anthropic Messages: content blocks, tool results inside user messages, cache points on blocks.

`parse` and `dump` are a lossless pair over one message; `request` makes what is sent, from messages of
any origin.
"""

from contextkit.dialects.anthropic.form import dump, dump_tool, parse, parse_tool
from contextkit.dialects.anthropic.outgoing import request

__all__ = ["dump", "dump_tool", "parse", "parse_tool", "request"]
