"""Chat loops written for the OpenAI SDK, wrapped, against a strict local provider."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from openai import APIError, AsyncOpenAI, BadRequestError, InternalServerError, OpenAI
from pydantic import BaseModel

from contextkit.adapters.openai import wrap
from contextkit.dialects import parse_messages
from contextkit.errors import BudgetExceeded, StoreBusy
from contextkit.manager import ContextManager
from tests.adapters.managers import RESERVE, WINDOW, agent, manager_of, question, result, said
from tests.fakes.answers import Answer, Failure, saying
from tests.fakes.provider import FakeProvider

MODEL = "gpt-4o"
SYSTEM: dict[str, Any] = {"role": "system", "content": "You are a careful researcher."}
PARAMETERS = {
    "type": "object",
    "properties": {
        "topic": {"type": "string", "description": "What about"},
        "how": {"type": "string"},
    },
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": name, "description": f"To {name}", "parameters": PARAMETERS},
    }
    for name in ("look_up", "weigh")
]


@pytest.fixture
def manager() -> Iterator[ContextManager]:
    with manager_of({"kind": "openai", "model": MODEL, "api_key": "k"}) as made:
        yield made


@pytest.fixture
def raw(provider: FakeProvider) -> Iterator[OpenAI]:
    with OpenAI(base_url=provider.openai_url, api_key="k", max_retries=0) as made:
        yield made


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def ask(client: OpenAI, history: list[Any], **more: Any) -> Any:
    """One request of a loop that knows nothing of contextkit."""
    answer = client.chat.completions.create(
        model=MODEL, messages=history, max_completion_tokens=RESERVE, **more
    )
    return answer.choices[0].message


def ask_streamed(client: OpenAI, history: list[Any], **more: Any) -> dict[str, Any]:
    """The same, streamed and put together by hand."""
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    with client.chat.completions.create(
        model=MODEL, messages=history, max_completion_tokens=RESERVE, stream=True, **more
    ) as stream:
        for chunk in stream:
            delta = chunk.choices[0].delta
            message["content"] += delta.content or ""
            for piece in delta.tool_calls or ():
                call = calls.setdefault(
                    piece.index, {"type": "function", "function": {"name": "", "arguments": ""}}
                )
                call["id"] = piece.id or call["id"]
                assert piece.function is not None
                call["function"]["name"] += piece.function.name or ""
                call["function"]["arguments"] += piece.function.arguments or ""
    return message | ({"tool_calls": list(calls.values())} if calls else {})


def answer_calls(message: Any) -> list[dict[str, Any]]:
    calls = message.get("tool_calls") if isinstance(message, dict) else message.tool_calls
    plain = [c if isinstance(c, dict) else c.to_dict() for c in calls or ()]
    return [
        {
            "role": "tool",
            "tool_call_id": c["id"],
            "content": result(c["function"]["name"], c["function"]["arguments"]),
        }
        for c in plain
    ]


def check_requests(provider: FakeProvider) -> None:
    """Every request was accepted, within the window, and carried the newest question."""
    assert not provider.refused
    for seen in provider.seen:
        assert seen.usage["prompt_tokens"] + RESERVE <= WINDOW


@pytest.mark.parametrize(("asking", "n_turns"), [(ask, 60), (ask_streamed, 20)])
def test_a_users_loop_runs_many_turns_with_tools(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI, asking: Any, n_turns: int
) -> None:
    provider.respond = agent
    client = wrap(raw, manager, thread="research")
    history: list[Any] = [SYSTEM]
    for number in range(n_turns):
        history.append(user(question(number)))
        while True:
            message = asking(client, history, tools=TOOLS)
            sent = provider.seen[-1].body["messages"]
            assert question(number) in [m["content"] for m in sent]
            assert sent[0] == SYSTEM
            history.append(message)
            results = answer_calls(message)
            if not results:
                break
            history += results
    check_requests(provider)
    thread = manager.thread("research")
    assert said(thread.history()) == said(parse_messages(history))
    assert len(manager.threads()) == 1
    assert len(thread.turns()) == len(provider.seen) == 2 * n_turns
    assert len(str(provider.seen[-1].body)) < len(str(history)) / 2
    assert not manager.verify()


def test_without_a_name_the_conversation_is_known_by_its_messages(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    provider.respond = agent
    client = wrap(raw, manager)
    one, two = [SYSTEM, user(question(1))], [SYSTEM, user(question(2))]
    for history in (one, two, one, two):
        message = ask(client, history, tools=TOOLS)
        history += [message, *answer_calls(message)]
    assert len(manager.threads()) == 2
    recorded = [manager.thread(r.name).history() for r in manager.threads()]
    expected = [parse_messages(one[:5]), parse_messages(two[:5])]
    assert sorted(map(said, recorded)) == sorted(map(said, expected))


def test_threads_are_found_again_by_another_process(
    provider: FakeProvider, raw: OpenAI, tmp_path: Path
) -> None:
    store = {"kind": "sql", "url": f"sqlite:///{tmp_path}/log.db"}
    history = [SYSTEM, user("What is it?")]
    for number in range(3):
        with manager_of({"kind": "openai", "model": MODEL}, history=store) as manager:
            history += [ask(wrap(raw, manager), history), user(f"And then {number}?")]
            (record,) = manager.threads()
            assert said(manager.thread(record.name).history()) == said(parse_messages(history[:-1]))


def test_replies_may_come_back_with_other_fields(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    provider.takes_reasoning = True
    provider.respond = lambda _: Answer("It is 42. ", reasoning="Six times seven.")
    client = wrap(raw, manager)
    history = [user("What is it?")]
    message = ask(client, history)
    for form in (
        message,
        message.to_dict(),
        {"role": "assistant", "content": message.content.strip()},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": message.content}],
            "refusal": None,
        },
    ):
        ask(client, [*history, form, user("Why?")])
    names = [record.name for record in manager.threads()]
    assert len(names) == 2, names  # the thread, and the fork of those who asked the same again


def test_regenerating_forks(provider: FakeProvider, manager: ContextManager, raw: OpenAI) -> None:
    client = wrap(raw, manager, thread="t")
    asked = [SYSTEM, user("Tell me a joke.")]
    jokes = []
    for number in range(3):
        provider.respond = saying(f"Joke number {number}.")
        jokes.append(ask(client, asked))
    assert said(manager.thread("t").history()) == said(parse_messages([*asked, jokes[0]]))
    provider.respond = lambda _: Answer("Ha.")
    for joke in jokes:
        ask(client, [*asked, joke, user("Explain.")])
        texts = [m["content"] for m in provider.seen[-1].body["messages"]]
        assert texts == [SYSTEM["content"], "Tell me a joke.", joke.content, "Explain."]
    assert len(manager.thread("t")) == 5
    ends = [manager.thread(r.name).history()[-3:] for r in manager.threads()]
    for joke in jokes:
        assert said(
            parse_messages([joke, user("Explain."), {"role": "assistant", "content": "Ha."}])
        ) in [said(end) for end in ends]


def test_an_edited_history_forks(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    client = wrap(raw, manager, thread="t")
    history: list[Any] = [SYSTEM]
    for text in ("One?", "Two?", "Three?"):
        history.append(user(text))
        history.append(ask(client, history))
    original = said(manager.thread("t").history())
    edited = [*history[:3], user("Two, but better?")]
    edited.append(ask(client, edited))
    edited.append(user("Go on."))
    edited.append(ask(client, edited))
    assert said(manager.thread("t").history()) == original == said(parse_messages(history))
    (fork,) = [r for r in manager.threads() if r.name != "t"]
    assert fork.forked_at == 3
    assert said(manager.thread(fork.name).history()) == said(parse_messages(edited))
    assert "Three?" not in str(provider.seen[-1].body)


def test_two_users_who_begin_with_the_same_words_never_mix(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    client = wrap(raw, manager)
    anna, bert = [user("Hello!")], [user("Hello!")]
    for number in range(4):
        for name, history in (("anna", anna), ("bert", bert)):
            provider.respond = saying(f"{name} answer {number}" if number else "Hello.")
            history.append(ask(client, history))
            sent = str(provider.seen[-1].body)
            assert {"anna": "bert", "bert": "anna"}[name] not in sent
            history.append(user(f"{name} asks {number}"))
    for history in (anna, bert):
        expected = said(parse_messages(history[:-1]))
        assert expected in [said(manager.thread(r.name).history()) for r in manager.threads()]


def test_the_same_question_at_once(provider: FakeProvider, manager: ContextManager) -> None:
    provider.chunk_delay_s = 0.01
    numbers = iter(range(100))
    provider.respond = lambda _: Answer(f"Answer {next(numbers)}.")

    async def go() -> list[Any]:
        replies: list[Any] = []
        async with AsyncOpenAI(base_url=provider.openai_url, api_key="k") as raw:
            client = wrap(raw, manager)

            async def one() -> None:
                made = await client.chat.completions.create(
                    model=MODEL, messages=cast("Any", [user("Hello!")])
                )
                replies.append(made.choices[0].message)

            async with anyio.create_task_group() as group:
                for _ in range(8):
                    group.start_soon(one)
        return replies

    replies = anyio.run(go)
    recorded = [said(manager.thread(r.name).history()) for r in manager.threads()]
    for reply in replies:
        assert said(parse_messages([user("Hello!"), reply])) in recorded
    assert not manager.verify()


def test_tenants_are_apart(provider: FakeProvider, manager: ContextManager, raw: OpenAI) -> None:
    history = [user("Hello!")]
    for tenant in ("acme", "zenith"):
        provider.respond = saying(f"Hello, {tenant}.")
        client = wrap(raw, manager, tenant=tenant)
        reply = ask(client, history)
        ask(client, [*history, reply, user("Again.")])
    for tenant, other in (("acme", "zenith"), ("zenith", "acme")):
        (record,) = manager.threads(tenant)
        told = str(manager.thread(record.name, tenant=tenant).history())
        assert tenant in told
        assert other not in told
    assert not manager.threads("default")


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize("asking", [ask, ask_streamed])
@pytest.mark.parametrize("failure", [Failure(500), Failure(drop=True), Failure(400, "No.")])
def test_nothing_is_recorded_on_failure_and_a_retry_sends_the_same(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI, asking: Any, failure: Failure
) -> None:
    client = wrap(raw, manager, thread="t")
    history = [SYSTEM, user("Hello?")]
    provider.failures = [failure]
    with pytest.raises(APIError):
        asking(client, history)
    assert len(manager.thread("t")) == 0
    asking(client, history)
    assert provider.seen[0].body == provider.seen[1].body
    assert len(manager.thread("t")) == 3


def test_a_cut_stream_is_not_recorded(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    provider.failures = [Failure(cut_after=3)]
    client = wrap(raw, manager, thread="t")
    ask_streamed(client, [user("Hello, are you there?")])
    assert len(manager.thread("t")) == 0


def test_a_reader_that_stops_early_leaves_the_thread_as_it_was(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    provider.chunk_delay_s = 0.02
    provider.respond = lambda _: Answer("word " * 300)
    client = wrap(raw, manager, thread="t")
    with client.chat.completions.create(
        model=MODEL, messages=cast("Any", [user("Hello!")]), stream=True
    ) as stream:
        for _, _chunk in zip(range(5), stream, strict=False):
            pass
    assert provider.wait_until_gone()
    assert len(manager.thread("t")) == 0


def test_a_request_that_cannot_fit_is_never_sent(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    with pytest.raises(BudgetExceeded):
        ask(wrap(raw, manager), [user("word " * 9000)])
    assert not provider.seen
    assert not [r for r in manager.threads() if len(manager.thread(r.name))]


def test_a_store_that_fails_costs_no_reply(
    provider: FakeProvider,
    manager: ContextManager,
    raw: OpenAI,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = wrap(raw, manager, thread="t")
    history = [user("Hello!")]

    def busy(*_: Any, **__: Any) -> int:
        raise StoreBusy("locked")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "contextkit.adapters"):
        patch.setattr(type(manager.history), "commit", busy)
        history.append(ask(client, history))
    assert "not recorded" in caplog.text
    history.append(user("And now?"))
    history.append(ask(client, history))
    assert said(manager.thread("t").history()) == said(parse_messages(history))


# -- the rest of the client ------------------------------------------------------------------------


def test_all_else_is_untouched(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    client = wrap(raw, manager)
    assert isinstance(client, OpenAI)
    assert client.base_url == raw.base_url
    assert client.files is raw.files
    extra = {"seed": 3, "temperature": 0.1, "tool_choice": "none", "user": "u"}
    ask(client, [user("Hi")], tools=TOOLS, **extra)
    body = provider.seen[0].body
    assert {name: body[name] for name in extra} == extra
    assert body["tools"] == TOOLS
    assert body["max_completion_tokens"] == RESERVE
    with wrap(raw, manager).with_options(timeout=5) as other:
        assert other.timeout == 5
        ask(other, [user("Hi"), {"role": "assistant", "content": "You said: Hi"}, user("Ho")])
    (record,) = manager.threads()
    assert len(manager.thread(record.name)) == 4


def test_with_raw_response_passes_by(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    client = wrap(raw, manager)
    answer = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=cast("Any", [user("Hi")])
    )
    assert answer.parse().choices[0].message.content == "You said: Hi"
    assert not manager.threads()


def test_chunks_are_handed_on_unchanged(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    provider.respond = lambda _: Answer("Let me look it up.")
    request: Any = {
        "model": MODEL,
        "messages": [user("Hi")],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    plain = [c.choices for c in raw.chat.completions.create(**request)]
    wrapped = [c.choices for c in wrap(raw, manager, thread="t").chat.completions.create(**request)]
    assert len(plain) == len(wrapped)
    assert wrapped == plain
    (turn,) = manager.thread("t").turns()
    assert turn.usage is not None
    assert turn.usage.output_tokens == provider.seen[-1].usage["completion_tokens"]


class Fact(BaseModel):
    statement: str


def test_parse(provider: FakeProvider, manager: ContextManager, raw: OpenAI) -> None:
    provider.respond = lambda _: Answer('{"statement": "Water is wet."}')
    client = wrap(raw, manager, thread="t")
    made = client.chat.completions.parse(
        model=MODEL, messages=cast("Any", [user("A fact?")]), response_format=Fact
    )
    message = made.choices[0].message
    assert message.parsed == Fact(statement="Water is wet.")
    ask(client, [user("A fact?"), message, user("Another?")])
    assert len(manager.thread("t")) == 4
    assert len(manager.threads()) == 1


@pytest.mark.parametrize("way", ["events", "final", "done", "early"])
def test_stream_helper(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI, way: str
) -> None:
    client = wrap(raw, manager, thread="t")
    with client.chat.completions.stream(
        model=MODEL, messages=cast("Any", [user("Hello there, you!")])
    ) as stream:
        if way == "events":
            texts = [event.delta for event in stream if event.type == "content.delta"]
            assert "".join(texts) == "You said: Hello there, you!"
        elif way == "final":
            final = stream.get_final_completion()
            assert final.choices[0].message.content == "You said: Hello there, you!"
        elif way == "done":
            stream.until_done()
        else:
            next(iter(stream))
    assert len(manager.thread("t")) == (0 if way == "early" else 2)


def test_async(provider: FakeProvider, manager: ContextManager) -> None:
    provider.respond = agent

    async def go() -> list[Any]:
        history: list[Any] = [SYSTEM]
        async with AsyncOpenAI(base_url=provider.openai_url, api_key="k", max_retries=0) as raw:
            client = wrap(raw, manager, thread="t")
            assert isinstance(client, AsyncOpenAI)
            for number in range(12):
                history.append(user(question(number)))
                while True:
                    common: Any = {"model": MODEL, "messages": history, "tools": TOOLS}
                    if number % 3 == 0:
                        async with client.chat.completions.stream(**common) as helper:
                            made = await helper.get_final_completion()
                    else:
                        made = await client.chat.completions.create(**common)
                    message = made.choices[0].message
                    history += [message, *answer_calls(message)]
                    if not message.tool_calls:
                        break
            history.append(user(question(100)))
            common = {"model": MODEL, "messages": history, "stream": True}
            async for _ in await client.chat.completions.create(**common):
                pass
            provider.failures = [Failure(500)]
            with pytest.raises(InternalServerError):
                await client.chat.completions.create(**common)
        return history

    history = anyio.run(go)
    assert not provider.refused
    recorded = manager.thread("t").history()
    assert said(recorded[:-1]) == said(parse_messages(history))
    assert recorded[-1].tool_calls


# -- responses -------------------------------------------------------------------------------------


RESPONSES_TOOLS: Any = [
    {"type": "function", "name": name, "description": f"To {name}", "parameters": PARAMETERS}
    for name in ("look_up", "weigh")
]


@pytest.mark.parametrize("way", ["whole", "streamed", "helper"])
def test_a_loop_over_the_responses_api(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI, way: str
) -> None:
    provider.respond = agent
    client = wrap(raw, manager, thread="t")
    history: list[Any] = []
    for number in range(12):
        history.append(user(question(number)))
        for _ in range(2):
            request: Any = {
                "model": MODEL,
                "input": history,
                "instructions": "Be careful.",
                "tools": RESPONSES_TOOLS,
            }
            if way == "whole":
                response = client.responses.create(**request)
            elif way == "streamed":
                events = list(client.responses.create(**request, stream=True))
                response = cast("Any", events[-1]).response
            else:
                with client.responses.stream(**request) as stream:
                    response = stream.get_final_response()
            body = provider.seen[-1].body
            assert body["instructions"] == "Be careful."
            assert question(number) in [i.get("content") for i in body["input"]]
            history += response.output
            history += [
                {
                    "type": "function_call_output",
                    "call_id": item.call_id,
                    "output": result(item.name, item.arguments),
                }
                for item in response.output
                if item.type == "function_call"
            ]
    assert not provider.refused
    assert len(str(provider.seen[-1].body["input"])) < len(str(history))
    assert len(manager.threads()) == 1
    assert len(manager.thread("t").turns()) == 24


def test_responses_that_the_provider_keeps_pass_by(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    client = wrap(raw, manager)
    client.responses.create(model=MODEL, input="Hi", previous_response_id="resp_1")
    assert not manager.threads()
    client.responses.create(model=MODEL, input="Hi")
    assert len(manager.threads()) == 1


def test_errors_of_the_provider_are_the_sdks_own(
    provider: FakeProvider, manager: ContextManager, raw: OpenAI
) -> None:
    with pytest.raises(BadRequestError):
        ask(wrap(raw, manager), [user("Hi")], tool_choice="auto")


@pytest.mark.parametrize("stream", [False, True])
def test_the_model_that_answers_is_billed(
    provider: FakeProvider, raw: OpenAI, stream: bool
) -> None:
    """Whose price it is says the answer, not the configuration."""
    prices = {"gpt-4.1-mini": 0.4, "gpt-4.1": 2.0}
    more: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    for answering in ("gpt-4.1-mini", "gpt-4.1"):
        with manager_of({"kind": "openai", "model": "gpt-4.1-mini", "api_key": "k"}) as manager:
            create: Any = wrap(raw, manager).chat.completions.create
            provider.respond = lambda body: Answer("")
            said = create(model=answering, messages=[user("Which gate? " * 50)], **more)
            if stream:
                assert list(said)
            (record,) = manager.threads()
            (turn,) = manager.thread(record.name).turns()
            assert turn.usage is not None
            assert turn.cost_usd == pytest.approx(
                turn.usage.input_tokens * prices[answering] / 1e6
                + turn.usage.output_tokens * 4 * prices[answering] / 1e6
            )
            assert any("gpt-4.1 answered" in note for note in turn.notes) is (
                answering == "gpt-4.1"
            )
