"""What can be judged: a function, one named `module:function`, a configuration of contextkit, a peer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, cast

from contextkit.errors import ConfigError
from contextkit.testing.conversations import Form, Wire
from contextkit.testing.counting import Count

Trim: TypeAlias = Callable[[list[Wire], int, Count], list[Wire]]
"""`f(messages, budget_tokens, count)`: the whole history so far to what shall be sent."""

PEER = "peer:"


@dataclass(frozen=True)
class Subject:
    """A trimmer with its name; `begin` gives the one that goes through a single conversation."""

    name: str
    begin: Callable[[], Trim]
    version: str = ""
    stateful: bool = False
    """Whether it must see every call of a conversation to answer the last one."""


def subject_of(value: Subject | Trim | str, form: Form = "openai") -> Subject:
    """The subject that a caller means. Raises `ConfigError` for a name that leads nowhere."""
    if isinstance(value, Subject):
        return value
    if isinstance(value, str):
        return find_subject(value, form)
    return Subject(getattr(value, "__qualname__", type(value).__name__), lambda: value)


def find_subject(name: str, form: Form = "openai") -> Subject:
    """`module:function`, `peer:NAME`, or the path of a YAML configuration. Raises `ConfigError`.

    Modules of the working directory are found too. A function must know its form by itself.
    """
    if name.startswith(PEER):
        from contextkit.testing.peers import find_peer

        return find_peer(name.removeprefix(PEER))
    if name.endswith((".yaml", ".yml")):
        from contextkit.testing.managed import managed

        return managed(Path(name), form=form)
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ConfigError(
            f"subject: {name!r} is none; write module:function, peer:NAME or the path of a YAML file"
        )
    return _imported(module, attribute, name)


def _imported(module: str, attribute: str, name: str) -> Subject:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        value: Any = import_module(module)
    except ImportError as error:
        raise ConfigError(f"subject: {module!r} cannot be imported: {error}") from error
    finally:
        sys.path.remove(here)
    for step in attribute.split("."):
        if not hasattr(value, step):
            raise ConfigError(f"subject: {module!r} has no {attribute!r}; name a function in it")
        value = getattr(value, step)
    if isinstance(value, Subject):
        return value
    if not callable(value):
        raise ConfigError(f"subject: {name} is a {type(value).__name__}, not a function")
    trim = cast("Trim", value)
    return Subject(name, lambda: trim)
