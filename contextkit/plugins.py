"""Finds policies, backends, stores, embedders by `kind`, through entry points; loads the one asked for.

The groups: `contextkit.policies`, `.backends`, `.stores`, `.vectors`, `.embedders`, `.scorers`. A package
adds its own by declaring an entry point; a test or a notebook calls `register`.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeAlias

from contextkit.errors import ConfigError, UnknownPlugin

Group: TypeAlias = Literal["policies", "backends", "stores", "vectors", "embedders", "scorers"]
GROUPS: tuple[Group, ...] = ("policies", "backends", "stores", "vectors", "embedders", "scorers")

_registered: dict[tuple[Group, str], type[Any]] = {}


def register(group: Group, cls: type[Any]) -> type[Any]:
    """Make a class known under its `kind` in this process; wins over an installed one."""
    _registered[group, cls.kind] = cls
    return cls


@cache
def _installed(group: Group) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"contextkit.{group}"):
        if point.name in found and found[point.name].value != point.value:
            raise ConfigError(
                f"two packages offer {group} of kind {point.name!r}: {found[point.name].value} and "
                f"{point.value}; uninstall one of them"
            )
        found[point.name] = point
    return found


def known(group: Group) -> list[str]:
    """The kinds that can be asked for, sorted."""
    return sorted({*_installed(group), *(kind for g, kind in _registered if g == group)})


def find(group: Group, kind: str) -> type[Any]:
    """The class of a kind. Raises `UnknownPlugin` with the nearest names."""
    if (group, kind) in _registered:
        return _registered[group, kind]
    point = _installed(group).get(kind)
    if point is None:
        names = known(group)
        close = difflib.get_close_matches(kind, names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UnknownPlugin(
            f"no {group} of kind {kind!r}; known: {', '.join(names) or 'none'}.{hint}"
        )
    cls: type[Any] = point.load()
    return cls


def origin(group: Group, kind: str) -> str:
    """Where a kind comes from: `package version` or the module that registered it."""
    if (group, kind) in _registered:
        return _registered[group, kind].__module__
    point = _installed(group)[kind]
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
