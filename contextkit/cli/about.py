"""`contextkit schema` and `contextkit plugins`: what there is to configure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from contextkit import config
from contextkit import plugins as found
from contextkit.cli.opening import aside, out, print_json, write_text
from contextkit.inspector.unfolded import Unfolded
from contextkit.inspector.words import clean


def show_schema(path: Path | None) -> None:
    """The JSON Schema of the configuration, to a file or to stdout."""
    value = config.schema()
    if path is None:
        print_json(value)
        return
    write_text(path, json.dumps(value, indent=2) + "\n")
    aside().print(f"wrote {path}")


def show_plugins(*, as_json: bool) -> None:
    """Every kind by group; one that cannot be imported is listed with what is missing."""
    rows = [_describe(group, kind) for group in found.GROUPS for kind in found.known(group)]
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    for name in ("group", "kind", "stage"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it is", overflow="fold", ratio=1)
    for row in rows:
        what = row["about"] if row["origin"].startswith("contextkit ") else _with_origin(row)
        cells = (row["group"], row["kind"], row["stage"] or "", what)
        table.add_row(*(Text(clean(cell)) for cell in cells))
    out().print(Unfolded(table))


def _with_origin(row: dict[str, Any]) -> str:
    return f"{row['about']} [{row['origin']}]"


def _describe(group: found.Group, kind: str) -> dict[str, Any]:
    row: dict[str, Any] = {"group": group, "kind": kind, "origin": found.origin(group, kind)}
    try:
        cls = found.find(group, kind)
    except ImportError as error:
        return {**row, "stage": None, "about": f"not usable: {error}"}
    stage = getattr(cls, "stage", None)
    lines = (cls.__doc__ or "").strip().splitlines()
    return {
        **row,
        "stage": stage.name.lower() if stage else None,
        "about": lines[0] if lines else "",
    }
