"""A LangChain agent keeps its code and gets managed context: one middleware.

    agent = create_agent(model, tools, middleware=[ContextMiddleware(contextkit.load("agent.yaml"))])
    agent.invoke({"messages": [...]})                                            # as before

Only what the model is shown changes: the agent's state keeps every message. With a checkpointer the
thread goes by LangGraph's `thread_id`, else it is recognised by its messages. Place it last, next to
the model, so that it sees what other middleware made of the request; do not add LangChain's own
summarising or context editing beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, cast

from contextkit.adapters._framework import Assembled, Bridge, missing, units_of
from contextkit.errors import BudgetExceeded
from contextkit.tokens import measure_all
from contextkit.tools import Tool

try:
    from langchain.agents.middleware.types import (
        AgentMiddleware,
        AgentState,
        ExtendedModelResponse,
        ModelRequest,
        ModelResponse,
        PrivateStateAttr,
    )
    from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
    from langchain_core.exceptions import ContextOverflowError
    from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
    from langgraph.config import get_config
    from langgraph.types import Command
except ImportError as error:
    raise missing("langchain", "langchain", error) from error

from contextkit.adapters import _langchain as forms

if TYPE_CHECKING:
    from contextkit.backend import Reply
    from contextkit.manager import ContextManager

Request = ModelRequest[Any]
Response = ModelResponse[Any]
Extended = ExtendedModelResponse[Any]


class OverBudget(BudgetExceeded, ContextOverflowError):
    """What must be kept does not fit; LangChain's own handlers know it as `ContextOverflowError`."""


class ManagedState(AgentState[Any]):
    """The agent's state with the account of its newest model call; no message is touched."""

    contextkit: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]


class ContextMiddleware(AgentMiddleware[ManagedState, Any, Any]):
    """Makes every model call of an agent fit the manager's budget, by its policies.

    `thread` names the conversation in place of the `thread_id`. State gets `contextkit`: the thread,
    and the tokens and the fingerprint of the newest call. Raises `OverBudget` and `InvalidMessage`;
    after an error of the model nothing is recorded.
    """

    state_schema = ManagedState

    def __init__(
        self, manager: ContextManager, *, thread: str | None = None, tenant: str = "default"
    ) -> None:
        super().__init__()
        self._bridge = Bridge(manager, thread=thread, tenant=tenant)

    def wrap_model_call(self, request: Request, handler: Callable[[Request], Response]) -> Extended:
        """Show the model what fits, ask it, record; once more, smaller, where it says "too long"."""
        assembled = self._begin(request, self._bridge.thread or _thread_id())
        try:
            response = handler(_shown(request, assembled))
        except Exception as error:  # noqa: BLE001  all but "too long" is raised again
            assembled = self._smaller(assembled, error)
            response = handler(_shown(request, assembled))
        self._bridge.finish(assembled, partial(_read, response))
        return _extended(response, assembled)

    async def awrap_model_call(
        self, request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Extended:
        """`wrap_model_call` for asynchronous agents; contextkit's part runs in worker threads."""
        from contextkit import bridge

        assembled = await bridge.call(self._begin, request, self._bridge.thread or _thread_id())
        try:
            response = await handler(_shown(request, assembled))
        except Exception as error:  # noqa: BLE001  all but "too long" is raised again
            assembled = await bridge.call(self._smaller, assembled, error)
            response = await handler(_shown(request, assembled))
        await self._bridge.afinish(assembled, partial(_read, response))
        return _extended(response, assembled)

    def _begin(self, request: Request, thread: str | None) -> Assembled[BaseMessage]:
        said = _said(request)
        tools = forms.parse_tools(request.tools) + _answer_schemas(request.response_format)
        with _known_to_langchain():
            return self._bridge.begin(units_of(said, forms.parse), tools, thread=thread)

    def _smaller(
        self, assembled: Assembled[BaseMessage], error: Exception
    ) -> Assembled[BaseMessage]:
        with _known_to_langchain():
            return self._bridge.smaller(assembled, error)


def token_counter(manager: ContextManager) -> Callable[[Sequence[BaseMessage]], int]:
    """Counts LangChain messages the way the manager's budget does, for `trim_messages` and the like."""
    counter = manager.counter

    def count(messages: Sequence[BaseMessage]) -> int:
        said = [said for message in messages for said in forms.parse(message)]
        total: int = counter.upper(measure_all(counter, said))
        return total

    return count


@contextmanager
def _known_to_langchain() -> Generator[None]:
    try:
        yield
    except BudgetExceeded as error:
        raise OverBudget(
            str(error),
            needed_tokens=error.needed_tokens,
            limit_tokens=error.limit_tokens,
            pieces=error.pieces,
        ) from error


def _thread_id() -> str | None:
    """The conversation's name where the agent has a checkpointer."""
    named = get_config().get("configurable", {}).get("thread_id")
    return None if named is None else str(named)


def _answer_schemas(asked: Any) -> list[Tool]:
    """What a structured answer adds to the request: its schemas, sent as tools or beside them."""
    if asked is None:
        return []
    if isinstance(asked, ProviderStrategy):
        specs = [cast("Any", asked).schema_spec]
    elif isinstance(asked, ToolStrategy):
        specs = cast("Any", asked).schema_specs
    else:
        schema = cast("Any", asked).schema if isinstance(asked, AutoStrategy) else asked
        specs = cast("Any", ToolStrategy(schema)).schema_specs
    return [Tool(spec.name, spec.description, spec.json_schema) for spec in specs]


def _said(request: Request) -> list[BaseMessage]:
    system = [request.system_message] if request.system_message else []
    return [*system, *request.messages]


def _shown(request: Request, assembled: Assembled[BaseMessage]) -> Request:
    """The request with what the call shows, its system message where LangChain keeps it."""
    settings: Any = request.model_settings or {}
    marks = None if "cache_control" in settings else forms.marks_of(request.model, _said(request))
    shown = assembled.show(forms.make, marks)
    system = None
    if request.system_message is not None and shown and isinstance(shown[0], SystemMessage):
        system, shown = shown[0], shown[1:]
    return request.override(system_message=system, messages=cast("list[Any]", shown))


def _read(response: Response) -> Reply:
    answers = [message for message in response.result if isinstance(message, AIMessage)]
    return forms.reply_of(answers[0])


def _extended(response: Any, assembled: Assembled[BaseMessage]) -> Extended:
    call = assembled.call
    account = {
        "thread": assembled.begun.thread.name,
        "input_tokens": call.input_tokens,
        "left_out": [decision.piece for decision in call.ledger.left_out],
        "fingerprint": call.fingerprint,
    }
    return ExtendedModelResponse(response, Command(update={"contextkit": account}))
