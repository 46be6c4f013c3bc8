"""The lines of an export: a header, then each thread with its messages and what stands beside its log.

    {"contextkit": "export", "version": 2, "threads": 1}
    {"record": "thread", "tenant": "default", "thread": "a", "parent": null, "forked_at": 0, ...}
    {"tenant": "default", "thread": "a", "parts": [{"kind": "text", "text": "Hi"}], "role": "user"}
    {"record": "turn", "number": 1, "closed_at": "2026-01-01T00:00:00+00:00", "entries": 2, "ledger": {}}

Version 1 was the messages alone, without a header. Measures are left out: they belong to a counter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias, cast

from contextkit.documents import Chunk, Document
from contextkit.messages import ROLES, Message, from_json
from contextkit.store import Kept, StoredTurn, StoredView, Tile
from contextkit.summary import Summary

VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Header:
    """The first line."""

    n_threads: int


@dataclass(frozen=True, slots=True)
class ThreadHead:
    """What a thread's part of the file begins with."""

    tenant: str
    name: str
    n_entries: int
    chain: str
    """The last entry's chain value (hex): the whole log has to lead to it."""
    parent: str | None = None
    """The thread of this file that its entries below `forked_at` are shared with."""
    forked_at: int = 0
    forks: tuple[int, ...] = ()
    """Where threads further down were forked from this one."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message and where it belongs; None where its line leaves that open."""

    tenant: str | None
    name: str | None
    message: Message


Record: TypeAlias = Header | ThreadHead | Said | Kept


def write_header(n_threads: int) -> str:
    """The first line."""
    return _line({"contextkit": "export", "version": VERSION, "threads": n_threads})


def write_head(head: ThreadHead) -> str:
    """The line that a thread begins with."""
    return _line(
        {
            "record": "thread",
            "tenant": head.tenant,
            "thread": head.name,
            "parent": head.parent,
            "forked_at": head.forked_at,
            "forks": list(head.forks),
            "entries": head.n_entries,
            "chain": head.chain,
        }
    )


def message_writer(tenant: str, name: str) -> Callable[[Message], str]:
    """What makes lines of the messages of one thread, the same from every store."""
    place = json.dumps({"tenant": tenant, "thread": name})[:-1]
    return lambda message: f"{place}, {message.canonical[1:]}\n"


def write_kept(kept: Kept) -> str:
    """The line of what stands beside a log."""
    if isinstance(kept, StoredTurn):
        about = {"number": kept.number, "closed_at": kept.closed_at, "entries": kept.n_entries}
        return _line({"record": "turn", **about, "ledger": json.loads(kept.body)})
    if isinstance(kept, StoredView):
        view = json.loads(kept.body)
        return _line({"record": "view", "version": kept.version, "view": view})
    return _line({"record": _NAMES[type(kept)], **asdict(kept)})


def read_record(value: Mapping[str, Any]) -> Record:
    """What a line says. Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` for no record."""
    if "contextkit" in value:
        return _header(value)
    if "record" not in value:
        return _said(value)
    fields = dict(value)
    kind = fields.pop("record")
    if kind == "thread":
        return _head(fields)
    if kind == "turn":
        closed_at, body = _text(fields["closed_at"]), json.dumps(_table(fields["ledger"]))
        return StoredTurn(_number(fields["number"]), body, closed_at, _number(fields["entries"]))
    if kind == "view":
        return StoredView(_number(fields["version"]), json.dumps(_table(fields["view"])))
    if kind == "summary":
        return Summary.load(json.dumps(fields))
    made: Kept = _KINDS[kind](**fields)
    for name, wanted in made.__annotations__.items():
        check = _number if wanted == "int" else _text
        check(getattr(made, name))
    return made


_KINDS: dict[str, type[Tile | Document | Chunk]] = {
    "in_force": Tile,
    "document": Document,
    "chunk": Chunk,
}
_NAMES: dict[type[Any], str] = {Summary: "summary", **{cls: kind for kind, cls in _KINDS.items()}}


def _header(value: Mapping[str, Any]) -> Header:
    if value["contextkit"] != "export":
        raise ValueError("this is no export")
    if _number(value["version"]) != VERSION:
        raise ValueError(
            f"the export is of version {value['version']}; this contextkit reads {VERSION} and older"
        )
    return Header(_number(value["threads"]))


def _head(fields: Mapping[str, Any]) -> ThreadHead:
    parent = fields["parent"]
    return ThreadHead(
        _text(fields["tenant"]),
        _text(fields["thread"]),
        _number(fields["entries"]),
        _text(fields["chain"]),
        None if parent is None else _text(parent),
        _number(fields["forked_at"]),
        tuple(_number(each) for each in fields["forks"]),
    )


def _said(value: Mapping[str, Any]) -> Said:
    message = from_json(value)
    if message.role not in ROLES:
        raise ValueError(f"nobody has the role {message.role!r}")
    tenant, name = value.get("tenant"), value.get("thread")
    return Said(
        None if tenant is None else _text(tenant), None if name is None else _text(name), message
    )


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no object")
    return cast("dict[str, Any]", value)


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value) + "\n"
