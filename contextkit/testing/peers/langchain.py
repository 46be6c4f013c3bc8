"""LangChain: `trim_messages` and the summarising middleware."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeAlias

from contextkit.testing.conversations import Wire
from contextkit.testing.counting import Count
from contextkit.testing.peers.base import SUMMARY, Origins, Peer, apart, load

Keep: TypeAlias = Callable[[int], tuple[str, int]]
"""How much the middleware keeps, for a budget."""


def _native(messages: list[Wire], origins: Origins) -> list[Any]:
    """LangChain's messages, each with its place as its id."""
    made: list[Any] = load("langchain_core.messages").convert_to_messages(messages)
    for place, (native, wire) in enumerate(zip(made, messages, strict=True)):
        native.id = f"at {place}"
        origins.put(native.id, wire)
    return made


def _back(natives: list[Any], origins: Origins) -> list[Wire]:
    convert: Any = load("langchain_core.messages").convert_to_openai_messages
    return [wire for n in natives for wire in origins.back(n.id, n, lambda made: [convert(made)])]


def _counter(count: Count, origins: Origins) -> Callable[[Iterable[Any]], int]:
    """The caller's counter over LangChain's messages."""
    return lambda some: count(_back(list(some), origins))


def _write(messages: list[Any]) -> str:
    return SUMMARY


def _trim(**settings: Any) -> Any:
    def trim(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
        origins = Origins()
        natives = _native(messages, origins)
        kept: Any = load("langchain_core.messages").trim_messages(
            natives,
            max_tokens=budget_tokens,
            token_counter=_counter(count, origins),
            **settings,
        )
        return _back(kept, origins)

    return trim


def _summarise(keep: Keep) -> Any:
    """The middleware's view of the history; the agent keeps the system prompt beside it."""

    def trim(messages: list[Wire], budget_tokens: int, count: Count) -> list[Wire]:
        opening, rest, room = apart(messages, budget_tokens, count)
        origins = Origins()
        natives = _native(rest, origins)
        middleware: Any = load("langchain.agents.middleware").SummarizationMiddleware(
            model=_model(),
            trigger=("tokens", room),
            token_counter=_counter(count, origins),
            summarizer=_write,
            keep=keep(room),
        )
        update: Any = middleware.before_model({"messages": natives}, None)
        if update is None:
            return [*opening, *rest]
        return [*opening, *_back(update["messages"][1:], origins)]

    return trim


@cache
def _model() -> Any:
    models: Any = load("langchain_core.language_models.fake_chat_models")
    return models.GenericFakeChatModel(messages=iter(()))


def _peer(name: str, package: str, about: str, trim: Any) -> Peer:
    module = "langchain" if package == "langchain" else "langchain_core"
    return Peer(name, package, module, lambda: trim, about)


PEERS = (
    _peer("langchain-trim", "langchain-core", "`trim_messages`, its defaults", _trim()),
    _peer(
        "langchain-trim-human",
        "langchain-core",
        '`trim_messages(start_on="human", include_system=True)`',
        _trim(start_on="human", include_system=True),
    ),
    _peer(
        "langchain-trim-human-alone",
        "langchain-core",
        '`trim_messages(start_on="human")`: the system prompt may go too',
        _trim(start_on="human"),
    ),
    _peer(
        "langchain-summarize",
        "langchain",
        "`SummarizationMiddleware`, at the budget, keeping half of it",
        _summarise(lambda room: ("tokens", max(1, room // 2))),
    ),
    _peer(
        "langchain-summarize-4",
        "langchain",
        "`SummarizationMiddleware`, at the budget, keeping 4 messages",
        _summarise(lambda _: ("messages", 4)),
    ),
)
