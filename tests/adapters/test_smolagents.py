"""smolagents agents over a wrapped model, against a strict local provider."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

pytest.importorskip("smolagents", reason='needs pip install "contextkit[smolagents]"')

from openai import InternalServerError
from PIL import Image
from smolagents import (  # type: ignore[import-untyped]
    CodeAgent,
    OpenAIModel,
    Tool,
    ToolCallingAgent,
)
from smolagents.models import ChatMessage, MessageRole  # type: ignore[import-untyped]

from contextkit.adapters.smolagents import wrap
from contextkit.errors import BudgetExceeded
from contextkit.manager import ContextManager
from tests.adapters.managers import RESERVE
from tests.adapters.scenario import (
    MODEL,
    QUICK,
    SLOW,
    check,
    ledgers,
    look_up,
    made,
    questions,
    weigh,
)
from tests.fakes.answers import Answer, Failure, saying, text_in
from tests.fakes.provider import FakeProvider

TOPIC = {"topic": {"type": "string", "description": "What about"}}


class LookUp(Tool):  # type: ignore[misc]
    name = "look_up"
    description = "To look up a topic"
    inputs: ClassVar = TOPIC
    output_type = "string"

    def forward(self, topic: str) -> str:
        return look_up(topic)


class Weigh(Tool):  # type: ignore[misc]
    name = "weigh"
    description = "To weigh a topic"
    inputs: ClassVar = {**TOPIC, "how": {"type": "string", "description": "In which way"}}
    output_type = "string"

    def forward(self, topic: str, how: str) -> str:
        return weigh(topic, how)


def is_asked(body: dict[str, Any]) -> str:
    """The newest question where the model is to begin with it; empty once it has observed something."""
    said = text_in(body["messages"][-1])
    asked = said[said.rfind("New task:") :]
    return asked if said.rfind("New task:") > said.rfind("Observation:") else ""


def calls_tools(body: dict[str, Any]) -> Answer:
    """Two tools for every third question, else one; then the answer. With text for every other."""
    asked = is_asked(body)
    if not asked:
        return Answer("", (("final_answer", {"answer": "Concluded: all is well with it."}),))
    number = int(asked.split("#")[1].split()[0])
    first = ("look_up", {"topic": f"topic {number}"})
    both = (first, ("weigh", {"topic": f"topic {number}", "how": "twice"}))
    return Answer("Let me see." if number % 2 else "", both if number % 3 == 0 else (first,))


def writes_code(body: dict[str, Any]) -> Answer:
    """Code that asks a tool; then code that answers. The closing tag is what stopped the model."""
    asked = is_asked(body)
    if not asked:
        return Answer("Thought: done.\n<code>\nfinal_answer('All is well with it.')\n")
    number = asked.split("#")[1].split()[0]
    return Answer(f"Thought: look.\n<code>\nprint(look_up(topic='topic {number}'))\n")


def model_of(provider: FakeProvider, manager: ContextManager) -> OpenAIModel:
    model = OpenAIModel(
        MODEL,
        api_base=provider.openai_url,
        api_key="k",
        client_kwargs={"max_retries": 0},
        max_completion_tokens=RESERVE,
    )
    return wrap(model, manager)


def run(agent: Any, n_turns: int, **more: Any) -> None:
    for index, asked in enumerate(questions(n_turns)):
        found = agent.run(asked, reset=index == 0, **more)
        answer = list(found)[-1].output if more.get("stream") else found
        assert "All is well" in str(answer) or "all is well" in str(answer)


def tool_agent(model: Any, **more: Any) -> Any:
    return ToolCallingAgent(
        tools=[LookUp(), Weigh()], model=model, verbosity_level=0, max_steps=4, **more
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_agent(provider: FakeProvider, manager: ContextManager, streamed: bool) -> None:
    provider.respond, provider.window = calls_tools, 4096
    agent = tool_agent(model_of(provider, manager), stream_outputs=streamed)
    n_turns = 6 if streamed else QUICK
    run(agent, n_turns, stream=streamed)
    check(provider, manager, n_turns)


@pytest.mark.slow
def test_a_tool_agent_for_200_turns(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond, provider.window = calls_tools, 4096
    run(tool_agent(model_of(provider, manager)), SLOW)
    check(provider, manager, SLOW)


def test_a_code_agent(provider: FakeProvider) -> None:
    provider.respond = writes_code
    with made() as manager:
        wide = {"window": 16_000, "reply_reserve": RESERVE}
        manager = type(manager)(manager.backend, budget=wide)
        agent = CodeAgent(
            tools=[LookUp()], model=model_of(provider, manager), verbosity_level=0, max_steps=4
        )
        run(agent, 4)
        assert [s.status for s in provider.seen] == [200] * 8
        turns = ledgers(manager)  # of one thread: the next request was foreseen each time
        assert len(turns) == 8
        assert manager.verify() == []


def test_images_and_objects(provider: FakeProvider, manager: ContextManager) -> None:
    picture = {"type": "image", "image": Image.new("RGB", (2, 2))}
    said = [
        ChatMessage(MessageRole.SYSTEM, [{"type": "text", "text": "Be careful."}]),
        ChatMessage(
            MessageRole.USER, [{"type": "text", "text": "New task:\nWhat is it?"}, picture]
        ),
        ChatMessage(MessageRole.TOOL_CALL, [{"type": "text", "text": "Calling tools: [...]"}]),
        ChatMessage(MessageRole.USER, [picture]),
        ChatMessage(MessageRole.TOOL_RESPONSE, [{"type": "text", "text": "Observation:\nA gate."}]),
    ]
    shown: list[Any] = []

    class Watched(OpenAIModel):  # type: ignore[misc]
        def generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            shown[:] = messages
            return super().generate(messages, *args, **kwargs)

    provider.respond = saying("It is a gate.")
    raw = Watched(MODEL, api_base=provider.openai_url, api_key="k")
    model = wrap(raw, manager)
    assert isinstance(model, Watched)
    assert model(said).content == "It is a gate."
    shown_as, said_as = [id(each) for each in shown], [id(each) for each in said]
    assert shown_as == said_as
    (record,) = manager.threads()
    roles = [m.role for m in manager.thread(record.name).history()]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]


def test_a_failed_call_leaves_nothing(provider: FakeProvider, manager: ContextManager) -> None:
    provider.failures = [Failure(500)]
    model = model_of(provider, manager)
    said = [ChatMessage(MessageRole.USER, [{"type": "text", "text": "Which gate?"}])]
    with pytest.raises(InternalServerError):
        model.generate(said)
    assert not [r for r in manager.threads() if len(manager.thread(r.name))]
    model.generate(said)
    assert len(ledgers(manager)) == 1
    with pytest.raises(BudgetExceeded):
        model.generate([{"role": "user", "content": [{"type": "text", "text": "word " * 9000}]}])


@pytest.mark.parametrize("streamed", [False, True])
def test_too_long_for_the_provider(
    provider: FakeProvider, manager: ContextManager, streamed: bool
) -> None:
    provider.respond, provider.window = saying("It is gate twelve."), 2000
    model = model_of(provider, manager)
    said: list[Any] = []
    for number in range(20):
        said.append(
            {"role": "user", "content": [{"type": "text", "text": f"Place {number}? " * 9}]}
        )
        told = {"type": "text", "text": "By the sea. " * 20}
        said.append({"role": "assistant", "content": [told]})
    said.append({"role": "user", "content": [{"type": "text", "text": "Which gate?"}]})
    if streamed:
        assert list(model.generate_stream(said))
    else:
        model.generate(said)
    assert [s.status for s in provider.seen] == [400, 200]
    assert "Which gate?" in str(provider.seen[1].body["messages"][-1])
