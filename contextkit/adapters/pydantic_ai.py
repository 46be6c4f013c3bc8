"""A Pydantic-AI agent keeps its code and gets managed context: one capability.

    agent = Agent(model, tools=tools, capabilities=[ManagedContext(contextkit.load("agent.yaml"))])
    agent.run_sync("Which gate?", message_history=history)                       # as before

In an agent spec: `capabilities: [{ManagedContext: {config: agent.yaml}}]`, with the class among the
`custom_capability_types`. What is sent is decided for each attempt, for the model that serves it; the
run's own messages stay as they are. The thread goes by Pydantic-AI's conversation id.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import contextkit
from contextkit.adapters._framework import Assembled, Bridge, missing
from contextkit.backend import Reply
from contextkit.overflow import overflow_of
from contextkit.tools import Tool
from contextkit.usage import Usage

try:
    from pydantic_ai import RetryModelRequest
    from pydantic_ai.capabilities import AbstractCapability, CapabilityOrdering
except ImportError as error:
    raise missing("pydantic_ai", "pydantic-ai", error) from error

from contextkit.adapters import _pydantic_messages as forms

if TYPE_CHECKING:
    from pydantic_ai import RunContext
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import ModelRequestContext, ModelRequestParameters

    from contextkit.manager import ContextManager


@dataclass
class ManagedContext(AbstractCapability[Any]):
    """Makes every model request of an agent fit the manager's budget, by its policies.

    `thread` names the conversation in place of Pydantic-AI's id. Raises `BudgetExceeded` and
    `InvalidMessage`; after an error of the model nothing is recorded.
    """

    manager: ContextManager
    _: KW_ONLY
    thread: str | None = None
    tenant: str = "default"

    def __post_init__(self) -> None:
        self._bridge = Bridge(self.manager, thread=self.thread, tenant=self.tenant)
        self._assembled: Assembled[forms.Said] | None = None
        self._error: Exception | None = None

    @classmethod
    def get_serialization_name(cls) -> str:
        """What an agent spec calls it."""
        return "ManagedContext"

    @classmethod
    def from_spec(
        cls,
        config: str | Path | Mapping[str, Any],
        *,
        thread: str | None = None,
        tenant: str = "default",
    ) -> ManagedContext:
        """From a spec's fields: `config` is a path or the configuration itself."""
        return cls(contextkit.load(config), thread=thread, tenant=tenant)

    def get_ordering(self) -> CapabilityOrdering:
        """Next to the model, behind everything that changes a request."""
        return CapabilityOrdering(position="innermost")

    async def for_run(self, ctx: RunContext[Any]) -> ManagedContext:
        """One for each run: what is under way belongs to it."""
        return copy.copy(self)

    async def prepare_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Show the model what fits; smaller than before, where an attempt was too long for it."""
        if self._error is not None and self._assembled is not None:
            error, self._error = self._error, None
            self._assembled = await self._bridge.asmaller(self._assembled, error)
        else:
            parameters = request_context.model_request_parameters
            instructions = [part.content for part in parameters.instruction_parts or ()]
            said = forms.units(request_context.messages, instructions)
            thread = self._bridge.thread or ctx.conversation_id
            self._assembled = await self._bridge.abegin(said, _tools(parameters), thread=thread)
        marks = forms.marks_of(request_context.model, request_context.messages)
        shown = forms.joined(self._assembled.show(forms.make, marks))
        return replace(request_context, messages=shown)

    async def after_model_request(
        self,
        ctx: RunContext[Any],
        *,
        request_context: ModelRequestContext,
        response: ModelResponse,
    ) -> ModelResponse:
        """Record what was asked and answered."""
        assembled, self._assembled = self._assembled, None
        if assembled is not None:
            await self._bridge.afinish(assembled, partial(_reply, response))
        return response

    async def on_model_request_error(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, error: Exception
    ) -> ModelResponse:
        """One more attempt where the provider found the request too long; any other error passes."""
        if request_context.attempt == 1 and overflow_of(error) is not None:
            self._error = error
            raise RetryModelRequest from error
        raise error


def _tools(parameters: ModelRequestParameters) -> list[Tool]:
    """The tools of a request; those that carry a structured answer cost the same."""
    found = [*parameters.function_tools, *parameters.output_tools]
    return [Tool(t.name, t.description or "", t.parameters_json_schema) for t in found]


def _reply(response: ModelResponse) -> Reply:
    used = response.usage
    usage = Usage(
        used.input_tokens,
        used.output_tokens,
        used.cache_read_tokens,
        used.cache_write_tokens,
        used.details.get("reasoning_tokens", 0),
    )
    return Reply(forms.parse_response(response), usage, response.finish_reason)
