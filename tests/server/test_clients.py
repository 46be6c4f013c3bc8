"""The providers' own clients through the proxy: what they send arrives, what they get is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from contextkit.server.settings import Settings
from tests.adapters.managers import agent, question, result
from tests.fakes.answers import Answer, Failure, saying
from tests.fakes.provider import FakeProvider
from tests.server.running import Running, http, manager_of, serving

MODEL = "gpt-4o"
CLAUDE = "claude-sonnet-5"
PARAMETERS = {"type": "object", "properties": {"topic": {"type": "string"}}}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": PARAMETERS}}
    for name in ("look_up", "weigh")
]


def user(text: str) -> Any:
    return {"role": "user", "content": text}


@pytest.fixture
def client(proxy: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=proxy.url, api_key="sk-one", max_retries=0) as made:
        yield made


@pytest.fixture
def claude(proxy: Running) -> Iterator[Anthropic]:
    with Anthropic(base_url=proxy.origin, api_key="sk-two", max_retries=0) as made:
        yield made


def only_log(proxy: Running) -> list[str]:
    logs = proxy.logs()
    assert len(logs) == 1, logs.keys()
    return next(iter(logs.values()))


def test_a_chat_becomes_one_thread(client: OpenAI, proxy: Running) -> None:
    history: Any = [user("one")]
    for text in ("two", "three"):
        answer = client.chat.completions.create(model=MODEL, messages=history)
        history += [
            {"role": "assistant", "content": answer.choices[0].message.content},
            user(text),
        ]
    stream = client.chat.completions.create(model=MODEL, messages=history, stream=True)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert said == "You said: three"
    expected = ["one", "You said: one", "two", "You said: two", "three", "You said: three"]
    assert only_log(proxy) == expected


def test_usage_closes_the_ledger(client: OpenAI, proxy: Running, provider: FakeProvider) -> None:
    client.chat.completions.create(model=MODEL, messages=[user("one")])
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[user("another")],
        stream=True,
        stream_options={"include_usage": True},
    )
    counted = next(chunk.usage for chunk in stream if chunk.usage).prompt_tokens
    found = proxy.manager.threads(None)
    ledgers = [proxy.manager.thread(t.name, tenant=t.tenant).turns()[0] for t in found]
    told = {each.usage.input_tokens for each in ledgers if each.usage}
    assert told == {seen.usage["prompt_tokens"] for seen in provider.seen}
    assert counted in told


def test_anthropic_whole_and_streamed(claude: Anthropic, proxy: Running) -> None:
    first = claude.messages.create(
        model=CLAUDE,
        max_tokens=99,
        system="Be kind.",
        messages=[user("hi")],
    )
    history: Any = [user("hi"), {"role": "assistant", "content": first.content}, user("more")]
    with claude.messages.stream(
        model=CLAUDE, max_tokens=99, system="Be kind.", messages=history
    ) as stream:
        assert stream.get_final_text() == "You said: more"
    assert only_log(proxy) == ["Be kind.", "hi", "You said: hi", "more", "You said: more"]


def test_responses_with_tools(client: OpenAI, proxy: Running, provider: FakeProvider) -> None:
    provider.respond = agent
    tools: Any = [
        {"type": "function", "name": "look_up", "parameters": PARAMETERS, "strict": False}
    ]
    items: list[Any] = [user(question(1))]
    for turn in range(2, 5):
        reply = client.responses.create(model=MODEL, input=items, tools=tools)
        items += [item.model_dump(exclude_none=True) for item in reply.output]
        calls = [item for item in reply.output if item.type == "function_call"]
        items += [
            {"type": "function_call_output", "call_id": c.call_id, "output": result(c.name, "")}
            for c in calls
        ] or [user(question(turn))]
    assert not provider.refused
    assert len(proxy.logs()) == 1
    for seen in provider.seen:
        assert seen.raw == json.dumps(json.loads(seen.raw), separators=(",", ":")).encode()


def test_an_agent_in_a_tight_window(tight: Running, provider: FakeProvider) -> None:
    """Twenty turns with tools: no invalid request, none too long, one thread, the prefix kept."""
    provider.respond, provider.window = agent, 4096
    with OpenAI(base_url=tight.url, api_key="sk-one", max_retries=0) as client:
        history: list[Any] = [{"role": "system", "content": "You are careful."}]
        for number in range(20):
            history.append(user(question(number)))
            while True:
                answer = client.chat.completions.create(
                    model=MODEL, messages=history, tools=TOOLS, max_completion_tokens=500
                )
                message = answer.choices[0].message
                history.append({"role": "assistant", "content": message.content})
                if not message.tool_calls:
                    break
                history[-1]["tool_calls"] = [c.model_dump() for c in message.tool_calls]
                history += [
                    {
                        "role": "tool",
                        "tool_call_id": call.id,
                        "content": result(call.function.name, call.function.arguments),  # type: ignore[union-attr]
                    }
                    for call in message.tool_calls
                ]
    assert not provider.refused
    for seen in provider.seen:
        asked = [m for m in seen.body["messages"] if m["role"] == "user"]
        assert asked, "the newest request is always there"
    assert max(len(seen.body["messages"]) for seen in provider.seen) < len(history)
    (log,) = tight.logs().values()
    assert len(log) == len(history)
    found = tight.manager.threads(None)[0]
    turns = tight.manager.thread(found.name, tenant=found.tenant).turns()
    assert [t.usage.input_tokens for t in turns if t.usage] == [
        seen.usage["prompt_tokens"] for seen in provider.seen
    ]
    told = http.get(f"{tight.origin}/metrics").text
    assert 'contextkit_policy_actions_total{action="drop",policy="sliding_window"}' in told
    total = sum(seen.usage["prompt_tokens"] for seen in provider.seen)
    assert f'contextkit_tokens_total{{kind="input"}} {float(total)}' in told


def test_a_tight_window_for_claude(tight: Running, provider: FakeProvider) -> None:
    provider.respond, provider.window = saying("Indeed. " * 30), 4096
    history: list[Any] = []
    with Anthropic(base_url=tight.origin, api_key="sk-two", max_retries=0) as claude:
        for number in range(30):
            history.append(user(question(number)))
            reply = claude.messages.create(model=CLAUDE, max_tokens=500, messages=history)
            history.append({"role": "assistant", "content": reply.content[0].text})  # type: ignore[union-attr]
            assert provider.seen[-1].body["messages"][-1] == user(question(number))
    assert not provider.refused
    assert len(provider.seen[-1].body["messages"]) < len(history)
    assert len(only_log(tight)) == len(history)


def test_too_long_by_the_providers_count_is_made_smaller(provider: FakeProvider) -> None:
    provider.window = 700
    history: Any = [user("word " * 40) if n % 2 == 0 else {"role": "assistant", "content": "ok " * 40}
               for n in range(31)]  # fmt: skip
    with serving(manager_of(2000), Settings(upstream=provider.origin)) as running:
        with OpenAI(base_url=running.url, api_key="k", max_retries=0) as client:
            provider.failures = []
            answer = client.chat.completions.create(model=MODEL, messages=history)
        assert answer.choices[0].message.content
        assert [seen.status for seen in provider.seen] == [400, 200]
        assert len(only_log(running)) == 32


def test_what_does_not_fit_is_said_as_the_provider_says_it(provider: FakeProvider) -> None:
    with serving(manager_of(600), Settings(upstream=provider.origin)) as running:
        with OpenAI(base_url=running.url, api_key="k", max_retries=0) as client:
            with pytest.raises(openai.BadRequestError) as told:
                client.chat.completions.create(model=MODEL, messages=[user("much " * 2000)])
            assert told.value.code == "context_length_exceeded"
            assert "tokens must be sent" in str(told.value)
        sent = {"model": CLAUDE, "max_tokens": 9, "messages": [user("much " * 2000)]}
        answer = http.post(f"{running.url}/messages", json=sent, headers={"x-api-key": "k"})
        assert answer.json()["type"] == "error"
        assert answer.json()["error"]["message"].startswith("prompt is too long")
    assert not provider.seen


def test_regenerating_and_editing_fork(
    client: OpenAI, proxy: Running, provider: FakeProvider
) -> None:
    ask = client.chat.completions.create
    provider.respond = saying("first")
    ask(model=MODEL, messages=[user("q")])
    provider.respond = saying("second")
    ask(model=MODEL, messages=[user("q")])
    history: Any = [user("q"), {"role": "assistant", "content": "second"}, user("go on")]
    ask(model=MODEL, messages=history)
    logs = sorted(log for log in proxy.logs().values())
    assert ["q", "first"] in logs
    assert ["q", "second", "go on", "second"] in logs


def test_what_is_not_managed_passes(client: OpenAI, claude: Anthropic, proxy: Running) -> None:
    assert [model.id for model in client.models.list()] == ["gpt-4o"]
    counted = claude.messages.count_tokens(model=CLAUDE, messages=[user("hi")])
    assert counted.input_tokens > 0
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model=MODEL, input="", previous_response_id="resp_1")
    assert proxy.logs() == {}


@pytest.mark.parametrize("status", [429, 500, 529])
def test_a_failing_upstream_is_handed_on(
    status: int, proxy: Running, provider: FakeProvider
) -> None:
    provider.failures = [Failure(status, "not now", headers={"retry-after": "7"})]
    sent = {"model": CLAUDE, "max_tokens": 9, "messages": [user("hi")]}
    answer = http.post(f"{proxy.url}/messages", json=sent, headers={"x-api-key": "k"})
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
    assert answer.json()["error"]["message"] == "not now"
    assert proxy.logs() == {} or set(map(len, proxy.logs().values())) == {0}


@pytest.mark.parametrize("failure", [Failure(cut_after=2), Failure(529, "busy", in_stream=True)])
def test_a_cut_stream_is_handed_on_and_not_recorded(
    failure: Failure, proxy: Running, provider: FakeProvider
) -> None:
    sent = {"model": MODEL, "stream": True, "messages": [user("one two three")]}
    headers = {"authorization": "Bearer k"}
    provider.failures = [failure, failure]
    through = http.post(f"{proxy.url}/chat/completions", json=sent, headers=headers).content
    straight = http.post(f"{provider.origin}/v1/chat/completions", json=sent).content
    assert _without_ids(through) == _without_ids(straight)
    assert all(not log for log in proxy.logs().values())


def _without_ids(stream: bytes) -> list[Any]:
    lines = [line[6:] for line in stream.splitlines() if line.startswith(b"data: {")]
    return [{k: v for k, v in json.loads(line).items() if k != "id"} for line in lines]


def test_an_upstream_that_drops_the_connection(proxy: Running, provider: FakeProvider) -> None:
    provider.failures = [Failure(drop=True)]
    answer = http.post(
        f"{proxy.url}/chat/completions", json={"model": MODEL, "messages": [user("hi")]}
    )
    assert answer.status_code == 502
    assert answer.json()["error"]["type"] == "server_error"


def test_an_upstream_that_is_not_there() -> None:
    with serving(manager_of(), Settings(upstream="http://127.0.0.1:9")) as running:
        sent = {"model": CLAUDE, "max_tokens": 9, "messages": [user("hi")]}
        answer = http.post(f"{running.url}/messages", json=sent)
        assert (answer.status_code, answer.json()["type"]) == (502, "error")


def test_a_silent_upstream_runs_into_its_time(provider: FakeProvider) -> None:
    provider.failures = [Failure(hang=True)]
    settings = Settings(upstream=provider.origin, read_timeout_s=0.2)
    with serving(manager_of(), settings) as running:
        sent = {"model": CLAUDE, "max_tokens": 9, "messages": [user("hi")]}
        answer = http.post(f"{running.url}/messages", json=sent)
        assert answer.status_code == 504
        assert answer.json()["error"]["type"] == "timeout_error"


def test_a_client_that_leaves_stops_the_upstream(proxy: Running, provider: FakeProvider) -> None:
    provider.respond, provider.chunk_delay_s = saying("word " * 500), 0.02
    sent = {"model": MODEL, "stream": True, "messages": [user("hi")]}
    with http.stream("POST", f"{proxy.url}/chat/completions", json=sent) as answer:
        next(answer.iter_raw())
    assert provider.wait_until_gone()
    assert all(not log for log in proxy.logs().values())


def test_tools_come_back_whole(client: OpenAI, proxy: Running, provider: FakeProvider) -> None:
    provider.respond = lambda _: Answer("", (("look_up", {"topic": "gates"}),))
    stream = client.chat.completions.create(
        model=MODEL,
        messages=[user("which?")],
        tools=TOOLS,
        stream=True,
    )
    pieces = [c.choices[0].delta.tool_calls or [] for c in stream if c.choices]
    arguments = "".join(p.function.arguments or "" for ps in pieces for p in ps if p.function)
    assert json.loads(arguments) == {"topic": "gates"}
    found = proxy.manager.threads(None)[0]
    messages = proxy.manager.thread(found.name, tenant=found.tenant).history()
    assert messages[-1].tool_calls[0].name == "look_up"
