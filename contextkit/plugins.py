"""Finds policies, backends, stores, embedders by `kind`, through entry points; loads the one asked for.

The groups: `contextkit.policies`, `.backends`, `.stores`, `.vectors`, `.embedders`, `.scorers`. A package
adds its own by declaring an entry point; a test or a notebook calls `register`.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias, cast

from contextkit.errors import ConfigError, UnknownPlugin

Group: TypeAlias = Literal["policies", "backends", "stores", "vectors", "embedders", "scorers"]
GROUPS: tuple[Group, ...] = ("policies", "backends", "stores", "vectors", "embedders", "scorers")

_CALLED: Mapping[Group, str] = {
    "policies": "policy",
    "backends": "backend",
    "stores": "history store",
    "vectors": "vector store",
    "embedders": "embedder",
    "scorers": "scorer",
}
_MEMBERS: Mapping[Group, tuple[str, ...]] = {
    "policies": ("kind", "stage", "apply"),
    "backends": ("kind", "capabilities", "counter", "complete"),
    "stores": ("kind", "open_thread", "commit"),
    "vectors": ("kind", "upsert", "search"),
    "embedders": ("kind", "embed"),
    "scorers": ("kind",),
}
"""What an object of a group has; the whole contract is the group's protocol."""
_PLAIN = frozenset[type]((bool, int, float, str, bytes, list, tuple, type(None)))
"""What YAML makes that is no plug-in."""

_registered: dict[tuple[Group, str], type[Any]] = {}


def register(group: Group, cls: type[Any], *, replace: bool = False) -> type[Any]:
    """Make a class known under its `kind` in this process.

    A kind that an installed package offers is taken over with `replace` only. Raises `ConfigError`.
    """
    _check_group(group)
    if not isinstance(cast("object", cls), type):
        raise ConfigError(
            f"register({group!r}, …): takes a class, not {type(cls).__name__}; an object of it can stand "
            "in a configuration as it is"
        )
    if not isinstance(getattr(cls, "kind", None), str):
        raise ConfigError(f"register({group!r}, {cls.__name__}): {_no_member(group, cls, 'kind')}")
    point = _installed(group).get(cls.kind)
    if point and not replace and point.value != f"{cls.__module__}:{cls.__qualname__}":
        raise ConfigError(
            f"register({group!r}, {cls.__name__}): there is a {_CALLED[group]} {cls.kind!r} already, of "
            f"{_package(point)}; give the class another kind, or say replace=True"
        )
    _registered[group, cls.kind] = cls
    return cls


def _check_group(group: str) -> None:
    if group not in GROUPS:
        close = difflib.get_close_matches(group, GROUPS, n=1)
        hint = f". Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(f"there is no group {group!r}; there are {', '.join(GROUPS)}{hint}")


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
    _check_group(group)
    if (group, kind) in _registered:
        return _registered[group, kind]
    point = _installed(group).get(kind)
    if point is None:
        names = known(group)
        close = difflib.get_close_matches(kind, names, n=1)
        hint = f". Did you mean {close[0]!r}?" if close else ""
        raise UnknownPlugin(
            f"there is no {_CALLED[group]} {kind!r}; known: {', '.join(names) or 'none'}{hint}"
        )
    cls: type[Any] = point.load()
    return cls


def find_fault(group: Group, value: Any) -> str | None:
    """Why a value cannot stand for a plug-in of a group; None where it can.

    Looked for on its class: asking an object for a property may load a model.
    """
    if isinstance(value, type):
        name = value.__name__
        return f"{name} is a class; give an object of it, {name}(…), or the name of its kind"
    cls = cast("type[Any]", type(value))
    own = {*getattr(cls, "model_fields", ()), *getattr(value, "__dict__", ())}
    missing = [name for name in _MEMBERS[group] if name not in own and not hasattr(cls, name)]
    if cls in _PLAIN or len(missing) == len(_MEMBERS[group]):
        written = "null" if value is None else repr(value)[:60]
        return (
            f"{written} is no {_CALLED[group]}; write the name of a kind or a mapping with a kind; there "
            f"are {', '.join(known(group))}"
        )
    return _no_member(group, cls, missing[0]) if missing else None


def _no_member(group: Group, cls: type[Any], name: str) -> str:
    kind = cls.__name__.lower()
    such = f"; write kind: ClassVar[str] = {kind!r} in the class" if name == "kind" else ""
    return f"{cls.__name__} has no {name}, which every {_CALLED[group]} has{such}"


def find_missing(value: Any) -> str | None:
    """The sentence for a module that a plug-in `needs` and that is not installed; imports nothing."""
    for module in getattr(value, "needs", ()):
        loaded = cast("Mapping[str, object]", sys.modules)
        if loaded[module] is None if module in loaded else find_spec(module) is None:
            extra = getattr(value, "extra", "")
            remedy = f'"contextkit[{extra}]"' if extra else module
            return f"{value.kind!r} needs {module}, which is not installed; pip install {remedy}"
    return None


def origin(group: Group, kind: str) -> str:
    """Where a kind comes from: `package version` or the module that registered it."""
    if (group, kind) in _registered:
        return _registered[group, kind].__module__
    return _package(_installed(group)[kind])


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
