"""OpenAI Responses: a conversation is a flat list of items (messages, reasoning, calls, outputs).

`parse` and `dump` are a lossless pair over one item; `request` makes what is sent, from messages
of any origin.
"""

from contextkit.dialects.responses.form import NEXT, dump, parse
from contextkit.dialects.responses.outgoing import items_of, request, tools_of
from contextkit.dialects.responses.tools import dump_tool, parse_tool

__all__ = ["NEXT", "dump", "dump_tool", "items_of", "parse", "parse_tool", "request", "tools_of"]
