"""OpenAI Chat Completions: the form most libraries and servers speak.

`parse` and `dump` are a lossless pair over one message; `request` makes what is sent, from
messages of any origin.
"""

from contextkit.dialects.openai.form import dump, parse
from contextkit.dialects.openai.outgoing import request, tools_of
from contextkit.dialects.openai.tools import dump_tool, parse_tool

__all__ = ["dump", "dump_tool", "parse", "parse_tool", "request", "tools_of"]
