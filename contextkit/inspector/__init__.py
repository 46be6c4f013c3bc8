"""The inspector: a ledger, or all ledgers of a thread, as terminal output, SVG and JSON.

`account` turns a ledger into plain figures; `terminal` and `overview` show them with rich, `svg` as
inline pictures for a page. Nothing here decides or counts: every figure comes from the ledger.
"""

from __future__ import annotations

from contextkit.inspector.account import LeftOut, Slice, left_out, slices, to_json
from contextkit.inspector.overview import Overview, thread_json
from contextkit.inspector.svg import bar_svg
from contextkit.inspector.terminal import CallReport

__all__ = [
    "CallReport",
    "LeftOut",
    "Overview",
    "Slice",
    "bar_svg",
    "left_out",
    "slices",
    "thread_json",
    "to_json",
]
