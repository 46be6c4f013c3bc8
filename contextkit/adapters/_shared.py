"""Reading SDK requests: arguments that were not given, SDK objects, dialects by place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from contextkit.errors import ConfigError, InvalidMessage
from contextkit.replies import plain

if TYPE_CHECKING:
    from contextkit.manager import ContextManager

T = TypeVar("T")
_ABSENT = ("NotGiven", "Omit", "NoneType")


def check_manager(manager: ContextManager) -> None:
    """Raises `ConfigError` for what is no `ContextManager`: a path, a configuration."""
    from contextkit.manager import ContextManager as Manager

    if not isinstance(cast("object", manager), Manager):
        kind = type(manager).__name__
        raise ConfigError(
            f'takes a ContextManager, such as contextkit.load("agent.yaml"), not {kind}'
        )


def given(request: Mapping[str, Any], name: str) -> Any:
    """An argument, or None where it was left out in any of the ways the SDKs know."""
    value = request.get(name)
    return None if type(value).__name__ in _ABSENT else value


def parse_each(
    parse: Callable[[Mapping[str, Any]], T], values: Iterable[Any] | None, name: str
) -> list[T]:
    """Every item in one dialect; errors name the place, as `messages.3.content`."""
    parsed: list[T] = []
    for index, value in enumerate(values or ()):
        try:
            parsed.append(parse(plain(value)))
        except InvalidMessage as error:
            raise type(error)(f"{name}.{index}.{error}") from None
    return parsed
