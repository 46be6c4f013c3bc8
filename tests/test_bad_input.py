"""Bad input ends in a typed error that says what, which and what would work, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import contextkit
from contextkit import ContextManager, Thread

WINDOW = {"window": 2000, "reply_reserve": 200}


def call(*ids: str, text: str | None = None) -> dict[str, Any]:
    function = {"name": "look_up", "arguments": "{}"}
    calls = [{"id": i, "type": "function", "function": function} for i in ids]
    return {"role": "assistant", "content": text, "tool_calls": calls}


def result(call_id: str, text: str = "found") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


@pytest.fixture(params=["memory", "sql"])
def cm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ContextManager]:
    history: Any = "memory"
    if request.param == "sql":
        history = {"kind": "sql", "url": f"sqlite:///{tmp_path / 'history.db'}"}
    with contextkit.load({"history": history, "budget": WINDOW}) as manager:
        yield manager


def stays(thread: Thread, length: int) -> None:
    """Nothing was lost and nothing was stored by halves."""
    assert len(thread) == length
    assert len(thread.history()) == length
    assert not thread.manager.verify()


# -- configuration -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"policies": ["sliding_windw"]}, ["policies.0", "sliding_windw", "sliding_window"]),
        ({"backend": "oracle"}, ["backend", "oracle", "echo"]),
        ({"history": "disk"}, ["history", "disk", "memory"]),
        ({"policies": [{"kind": "sliding_window", "sink": 2}]}, ["policies.0", "sink"]),
        ({"polices": []}, ["polices"]),
        ({"budget": {"window": "large"}}, ["budget.window: 'large' is not a whole number"]),
        ({"budget": {"window": 8.5}}, ["budget.window: 8.5 is not a whole number"]),
        ({"budget": {"window": 3}}, ["budget.window: 3 is too small; 16 or more"]),
        ({"budget": "big"}, ["budget: 'big' is not a mapping"]),
        ({"budget": {"windw": 3}}, ["budget.windw", "reply_reserve", "'window'"]),
        ({"budget": {"shares": {"retreived": 0.3}}},
         ["budget.shares.retreived", "retrieved, summaries", "Did you mean 'retrieved'"]),
        ({"schedule": {"hard_watr": 0.5}}, ["schedule.hard_watr", "expected_turns", "'hard_water'"]),
        ({"schedule": {"hard_water": 3}}, ["schedule.hard_water: 3 is too large; 1 or less"]),
        ({"max_message_bytes": "16M"}, ["max_message_bytes: '16M' is not a whole number"]),
        ({"cache_rules": 3}, ["cache_rules: 3 is not text"]),
        ({1: 2}, ["1: 1 is not text; put the key in quotes"]),
        ({"backend": {"kind": "openai"}}, ["backend.model: is required, such as model: gpt-"]),
        ({"backend": {"kind": "openai", "model": 7}}, ["backend.model: 7 is not text"]),
        ({"backend": {"kind": "openai", "model": "gpt-99"}},
         ["budget.window: the window of 'gpt-99' is not known; set it"]),
        ({"backend": {"kind": "anthropic", "model": "other"}}, ["budget.window", "'other'"]),
        ({"backend": {"kind": "echo", "provider": "opnai"}},
         ["backend.provider: 'opnai'", "anthropic, bedrock", "Did you mean 'openai'"]),
        ({"backend": {"kind": "echo", "dialect": "xml"}}, ["backend.dialect: 'xml'", "'anthropic'"]),
        ({"backend": None}, ["backend: null is no backend", "echo"]),
        ({"history": {"kind": "sql", "pool_size": "x"}}, ["history.pool_size: 'x' is not a whole"]),
        ({"budget": {"window": 100, "reply_reserve": 100}}, ["budget.reply_reserve", "100"]),
        ({"budget": {"shares": {"retrieved": 1.5}}}, ["shares.retrieved", "1.5"]),
        ({"policies": [{"kind": "sliding_window", "low_water": 0.95}]},
         ["policies.0.low_water", "high_water"]),
        ({"policies": [{"kind": "sliding_window", "sinks": -1}]}, ["policies.0.sinks", "0"]),
        ({"policies": [{"kind": "tool_results", "keep_recent": "all"}]}, ["policies.0.keep_recent"]),
        ({"policies": [{"kind": "pin", "roles": ["boss"]}]}, ["policies.0.roles", "user"]),
        ({"policies": ["cacheable_prefix", "sliding_window"]},
         ["policies.1", "sliding_window", "cacheable_prefix", "gather, shrink, arrange"]),
        ({"policies": [{"low_water": 0.5}]}, ["policies.0", "kind"]),
        ({"policies": [7]}, ["policies.0: 7 is no policy", "kind", "sliding_window"]),
        ({"policies": "sliding_window"}, ["policies"]),
        ({"policies": {"kind": "pin"}}, ["policies"]),
        ({"budget": {"window": "${CONTEXTKIT_NOT_SET}"}}, ["budget.window", "CONTEXTKIT_NOT_SET"]),
        ({"cache_rules": "/nowhere/rules.yaml"}, ["cache_rules", "/nowhere/rules.yaml"]),
    ],
)  # fmt: skip
def test_configuration(config: dict[str, Any], says: list[str]) -> None:
    with pytest.raises(contextkit.ConfigError) as caught:
        contextkit.load(config)
    assert [word for word in says if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    "text",
    ["policies: [", "- 1\n- 2", "a: b: c\n", "\x00: 1\n", "policies:\n\t- pin\n", "a: &a [*a]",
     "a: " + "[" * 5000],
)  # fmt: skip
def test_text_that_is_no_configuration(text: str) -> None:
    with pytest.raises(contextkit.ConfigError):
        contextkit.load(text)


@pytest.mark.parametrize("source", ["", "  \n", [1], 7, b"backend: echo"])
def test_what_is_no_configuration(source: Any) -> None:
    with pytest.raises(
        contextkit.ConfigError, match="the path of a YAML file, YAML text or a dict"
    ):
        contextkit.load(source)


def test_every_key_may_be_left_out() -> None:
    for cm in (contextkit.load(), contextkit.load(None), contextkit.load("{}\n")):
        assert cm.thread("t").respond("hello").text == "hello"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("backend: echo\nhistory: memory\nbackend: local\n", "backend: is written in line 1 and again in"),
        ("budget: {window: 300, window: 400}\n", "budget.window: is written in line 1 and again in line 1"),
        ("policies:\n  - {kind: pin,\n     kind: retrieve}\n", "policies.0.kind: is written in line 2"),
    ],
)  # fmt: skip
def test_a_key_that_stands_twice(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(contextkit.ConfigError) as caught:
        contextkit.load(text)
    assert str(caught.value).startswith(says)
    (tmp_path / "agent.yaml").write_text(text)
    with pytest.raises(contextkit.ConfigError, match=r"agent\.yaml: " + says):
        contextkit.load(tmp_path / "agent.yaml")


def test_a_merged_key_may_stand_again() -> None:
    text = "policies:\n  - &window {kind: sliding_window, sinks: 2}\n  - {<<: *window, sinks: 3}\n"
    sinks = [getattr(policy, "sinks", None) for policy in contextkit.load(text).policies]
    assert sinks == [2, 3]


@pytest.mark.parametrize("field", ["api_key", "base_url"])
def test_a_wrong_key_is_not_repeated(field: str) -> None:
    backend = {"kind": "openai", "model": "gpt-4.1", field: 6502}
    with pytest.raises(
        contextkit.ConfigError, match=f"backend.{field}: what was written"
    ) as caught:
        contextkit.load({"backend": backend})
    assert "6502" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(contextkit.ConfigError, match=r"agent\.yaml"):
        contextkit.load(tmp_path / "agent.yaml")


# -- messages ------------------------------------------------------------------------------------

BROKEN: list[tuple[Any, list[str]]] = [
    ({"role": "boss", "content": "x"}, ["messages.0", "role", "user"]),
    ({"content": "x"}, ["messages.0", "role"]),
    ({"role": "user", "content": 7}, ["messages.0", "content", "int"]),
    ({"role": "user", "content": [{"text": "x"}]}, ["messages.0", "content.0.type"]),
    ({"role": "user", "content": [{"type": "text"}]}, ["messages.0", "content.0.text"]),
    ({"role": "user", "content": "\ud800 alone"}, ["messages.0", "content"]),
    ({"role": "user", "content": "x", "name": "\udfff"}, ["messages.0", "name"]),
    (call("\ud800"), ["messages.0", "id"]),
    ({"role": "tool", "content": "x"}, ["messages.0", "tool_call_id"]),
    ({"role": "assistant", "tool_calls": [{"id": "a"}]}, ["messages.0", "tool_calls.0"]),
    ({"role": "assistant", "content": "", "function_call": {"name": "f", "arguments": ""}},
     ["messages.0", "function_call", "tool_calls"]),
    (b"bytes", ["messages", "bytes"]),
    (7, ["messages", "int"]),
    ([None], ["messages.0"]),
    ({"choices": []}, ["messages.0", "choices[0].message"]),
    (result("nobody"), ["messages.0", "'nobody'", "assistant"]),
    ([user("q"), call("a"), result("a"), result("a")], ["messages.3", "'a'"]),
    ([user("q"), call("a", "a")], ["messages.1", "'a'"]),
    ([user("q"), call("a"), call("a")], ["messages.2", "'a'"]),
    ([user("q"), {"role": "boss", "content": ""}], ["messages.1", "role"]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "says"), BROKEN)
def test_messages_that_are_none(cm: ContextManager, value: Any, says: list[str]) -> None:
    """Refused by append and as an input alike; nothing of the batch is stored."""
    thread = cm.thread("t")
    thread.append(user("before"))
    for take in (thread.append, thread.assemble, thread.respond):
        with pytest.raises(contextkit.InvalidMessage) as caught:
            take(value)
        assert [word for word in says if word not in str(caught.value)] == []
        stays(thread, 1)
    assert "before" in thread.assemble("and?").to_text()


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ([{"type": "function", "function": {}}], ["tools.0", "name"]),
        ([7], ["tools.0"]),
        ("look_up", ["tools", "list"]),
        ([{"name": "a", "input_schema": {"type": "object"}}] * 2, ["tools.1.name", "'a'"]),
    ],
)
def test_tools_that_are_none(cm: ContextManager, tools: Any, says: list[str]) -> None:
    thread = cm.thread("t")
    with pytest.raises(contextkit.InvalidMessage) as caught:
        thread.assemble("hello", tools=tools)
    assert [word for word in says if word not in str(caught.value)] == []
    stays(thread, 0)


@pytest.mark.parametrize("empty", ["", "  \n", [], [{"role": "user", "content": ""}]])
def test_nothing_to_say(cm: ContextManager, empty: Any) -> None:
    thread = cm.thread("t")
    for take in (thread.assemble, thread.respond):
        with pytest.raises(contextkit.InvalidMessage):
            take(empty)
    with pytest.raises(contextkit.InvalidMessage, match="'t' is empty"):
        thread.assemble()
    stays(thread, 0)


def test_empty_contents_in_the_log_are_not_sent(cm: ContextManager) -> None:
    thread = cm.thread("t")
    thread.append([user("q"), {"role": "assistant", "content": ""}, {"role": "assistant", "content": None},
                   user([]), user("again")])  # fmt: skip
    sent = thread.assemble()
    assert [m["content"] for m in sent.to_openai()["messages"]] == ["q", "again"]
    assert [m["role"] for m in sent.to_anthropic()["messages"]] == ["user"]
    stays(thread, 5)


def test_a_message_of_50_megabytes_is_refused_by_its_size(cm: ContextManager) -> None:
    thread = cm.thread("t")
    with pytest.raises(contextkit.MessageTooLarge) as caught:
        thread.append([user("small"), user("x" * 50_000_000)])
    for word in ("messages.1", "50,0", "16,777,216", "max_message_bytes"):
        assert word in str(caught.value)
    stays(thread, 0)


def test_a_name_that_no_store_can_hold(cm: ContextManager) -> None:
    for name, tenant in (("\ud800", "default"), ("t", "a\x00b")):
        with pytest.raises(contextkit.StoreError, match="lone surrogate"):
            cm.thread(name, tenant=tenant)
    with pytest.raises(contextkit.StoreError, match="thread name is empty"):
        cm.thread("")
    with pytest.raises(contextkit.StoreError, match="thread name 42 is not text but of type int"):
        cm.thread(42)  # type: ignore[arg-type]
    assert not cm.threads(None)


# -- pairs ---------------------------------------------------------------------------------------


def test_calls_never_answered_are_answered_by_a_stub(cm: ContextManager) -> None:
    thread = cm.thread("t")
    thread.append([user("q"), call("a", "b"), result("b")])
    sent = thread.assemble("what now?")
    wire = sent.to_openai()["messages"]
    assert {m["tool_call_id"] for m in wire[2:4]} == {"a", "b"}
    assert wire[-1] == {"role": "user", "content": "what now?"}
    stubs = [d for d in sent.ledger.decisions if d.policy == "repair"]
    assert [d.action for d in stubs] == ["insert"]
    assert "'a'" in stubs[0].why or " a " in stubs[0].why
    assert any(" a " in note for note in sent.ledger.notes)
    stays(thread, 3)


def test_interleaved_batches_are_put_in_order(cm: ContextManager) -> None:
    thread = cm.thread("t")
    thread.append([user("q"), call("a", "b"), result("b"), user("more"), call("c"), result("a", "late"),
                   result("c")])  # fmt: skip
    wire = thread.assemble("go on").to_openai()["messages"]
    order = [(m["role"], m.get("tool_call_id", "")) for m in wire]
    assert set(order[2:4]) == {("tool", "a"), ("tool", "b")}
    assert order[4:] == [("user", ""), ("assistant", ""), ("tool", "c"), ("user", "")]
    stays(thread, 7)


def test_an_id_may_be_used_again_once_answered(cm: ContextManager) -> None:
    thread = cm.thread("t")
    thread.append([user("q"), call("a"), result("a", "1"), call("a"), result("a", "2")])
    wire = thread.assemble().to_openai()["messages"]
    ids = [m["tool_calls"][0]["id"] for m in wire if m.get("tool_calls")]
    assert len(set(ids)) == 2
    assert [(m["tool_call_id"], m["content"]) for m in wire if m["role"] == "tool"] == [
        (ids[0], "1"), (ids[1], "2"),
    ]  # fmt: skip
    stays(thread, 5)


# -- budgets -------------------------------------------------------------------------------------

WORDS = "gate flight window seat " * 25_000
"""100,000 tokens."""


def test_a_window_smaller_than_what_must_stay(cm: ContextManager) -> None:
    thread = cm.thread("t")
    thread.append([{"role": "system", "content": WORDS[:40_000]}, user("q")])
    for take in (thread.assemble, thread.respond):
        with pytest.raises(contextkit.BudgetExceeded) as caught:
            take("and?")
        assert caught.value.needed_tokens > caught.value.limit_tokens == 1800
        assert caught.value.pieces[0][0] == "m0"
        for word in ("m0", "1,800", "budget.window"):
            assert word in str(caught.value)
        stays(thread, 2)


def test_tools_larger_than_the_window_are_named(cm: ContextManager) -> None:
    tool = {"name": "t", "description": WORDS[:20_000], "input_schema": {"type": "object"}}
    with pytest.raises(contextkit.BudgetExceeded, match="tool schemas"):
        cm.thread("t").assemble("hi", tools=[tool])


def test_a_result_of_100_000_tokens() -> None:
    log = [user("q"), call("a"), result("a", WORDS)]
    with contextkit.load({"budget": WINDOW, "policies": ["sliding_window"]}) as cm:
        thread = cm.thread("t")
        thread.append(log)
        with pytest.raises(contextkit.BudgetExceeded) as caught:
            thread.assemble()
        assert "m2" in str(caught.value) or "m1-2" in str(caught.value)
        assert "tool_results" in str(caught.value)
        stays(thread, 3)
    with contextkit.load({"budget": WINDOW, "policies": ["tool_results"]}) as cm:
        thread = cm.thread("t")
        thread.append(log)
        sent = thread.assemble()
        assert sent.input_tokens <= 1800
        assert "m2" in sent.messages[-1].text
        decision = sent.ledger.find("m2")
        assert (decision.action, decision.tokens_before > 90_000) == ("replace", True)
        assert thread.expand("m2")[0].text == WORDS
        stays(thread, 3)


# -- the backend refuses -------------------------------------------------------------------------


def scripted(*replies: Any, **fields: Any) -> ContextManager:
    backend = {"kind": "scripted", "replies": list(replies), **fields}
    return contextkit.load({"backend": backend, "budget": {"window": 1000, "reply_reserve": 100},
                            "policies": ["sliding_window"]})  # fmt: skip


def filled(cm: ContextManager) -> Thread:
    thread = cm.thread("t")
    for number in range(8):
        thread.append([user(f"{number} " + WORDS[:400]), {"role": "assistant", "content": "yes"}])
    return thread


@pytest.mark.parametrize("actual", [None, 1500])
@pytest.mark.parametrize("estimating", [False, True])
def test_an_overflow_is_tried_once_more_with_less(actual: int | None, estimating: bool) -> None:
    refusal = {"error": "overflow", "message": "prompt is too long"}
    if actual:
        refusal["actual_tokens"] = actual  # type: ignore[assignment]
    fields = {"tokenizer": "estimate"} if estimating else {}
    with scripted(refusal, "fine", **fields) as cm:
        thread = filled(cm)
        reply = thread.respond("and now?")
        assert reply.message.text == "fine"
        first, second = cm.backend.calls  # type: ignore[attr-defined]
        assert second.upper_tokens < first.upper_tokens or second.input_tokens < first.input_tokens
        assert second.messages[-1].text == "and now?"
        stays(thread, 18)


def test_a_second_overflow_is_raised_and_nothing_is_stored() -> None:
    refusal = {"error": "overflow", "actual_tokens": 1500}
    with scripted(refusal, refusal, "fine") as cm:
        thread = filled(cm)
        with pytest.raises(contextkit.ContextOverflow):
            thread.respond("and now?")
        assert len(cm.backend.calls) == 2  # type: ignore[attr-defined]
        stays(thread, 16)
        assert thread.respond("and now?").message.text == "fine"
        stays(thread, 18)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("rate_limited", contextkit.RateLimited),
        ("unavailable", contextkit.BackendUnavailable),
        ("refused", contextkit.RequestRefused),
    ],
)
def test_other_refusals_leave_the_thread_alone(error: str, kind: type[Exception]) -> None:
    with scripted({"error": error}, {"error": error, "after": "half a"}, "fine") as cm:
        thread = cm.thread("t")
        with pytest.raises(kind):
            thread.respond("q")
        with pytest.raises(kind):
            list(thread.stream("q"))
        stays(thread, 0)
        thread.respond("q")
        stays(thread, 2)


# -- handles, records, forks ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "handle",
    ["m2", "m0-2", "m-1", "m1-0", "x3f2a9c", "", "m", "m0-", "17", "m٣", "m" + "9" * 30, "m0-٣"],
)
def test_an_unknown_handle(cm: ContextManager, handle: str) -> None:
    thread = cm.thread("t")
    thread.append([user("a"), user("b")])
    with pytest.raises(contextkit.UnknownHandle) as caught:
        thread.expand(handle)
    assert repr(handle) in str(caught.value)
    assert "m1" in str(caught.value)


def test_a_handle_of_an_empty_thread(cm: ContextManager) -> None:
    with pytest.raises(contextkit.UnknownHandle) as caught:
        cm.thread("t").expand("m0")
    assert "m-1" not in str(caught.value)


def test_a_ledger_does_not_know_foreign_handles(cm: ContextManager) -> None:
    sent = cm.thread("t").assemble("hi")
    for handle in ("m9", "", "x1"):
        with pytest.raises(contextkit.UnknownHandle):
            sent.ledger.explain(handle)


def test_a_call_is_recorded_once_and_where_it_was_made(cm: ContextManager) -> None:
    thread, other = cm.thread("t"), cm.thread("other")
    sent = thread.assemble("hi")
    with pytest.raises(contextkit.ContextKitError, match="'other'"):
        other.record(sent, {"role": "assistant", "content": "hello"})
    thread.record(sent, {"role": "assistant", "content": "hello"})
    with pytest.raises(contextkit.ContextKitError, match="recorded already"):
        thread.record(sent, {"role": "assistant", "content": "hello"})
    later = thread.assemble("more")
    thread.record(later, {"role": "assistant", "content": "yes"})
    with pytest.raises(contextkit.ContextKitError, match="recorded already"):
        thread.record(sent, {"role": "assistant", "content": "hello"})
    stays(thread, 4)
    stays(other, 0)


@pytest.mark.parametrize("reply", [7, None, {"content": "x"}, user("not mine"), result("a")])
def test_a_reply_that_is_none(cm: ContextManager, reply: Any) -> None:
    thread = cm.thread("t")
    sent = thread.assemble("hi")
    with pytest.raises(contextkit.ContextKitError) as caught:
        thread.record(sent, reply)
    if not isinstance(reply, dict):
        assert " is not a message; give a dictionary such as" in str(caught.value)
    stays(thread, 0)
    thread.record(sent, {"role": "assistant", "content": "hello"})
    stays(thread, 2)


@pytest.mark.parametrize("at", [-1, 3, 10**12])
def test_a_fork_out_of_range(cm: ContextManager, at: int) -> None:
    thread = cm.thread("t")
    thread.append([user("a"), user("b")])
    with pytest.raises(contextkit.ContextKitError) as caught:
        thread.fork(at=at)
    assert str(at) in str(caught.value)
    assert "'t'" in str(caught.value)
    stays(thread, 2)
    assert len(cm.threads()) == 1


def test_a_fork_under_a_name_that_is_taken(cm: ContextManager) -> None:
    thread = cm.thread("t")
    thread.append(user("a"))
    cm.thread("taken").append(user("mine"))
    with pytest.raises(contextkit.ContextKitError, match="taken"):
        thread.fork(name="taken")
    assert [m.text for m in cm.thread("taken").history()] == ["mine"]


def test_a_fork_inside_a_batch_still_makes_valid_calls(cm: ContextManager) -> None:
    thread = cm.thread("t")
    thread.append([user("q"), call("a", "b"), result("a"), result("b")])
    for at in range(1, 5):
        wire = thread.fork(at=at).assemble("go on").to_openai()["messages"]
        asked = [c["id"] for m in wire for c in m.get("tool_calls", ())]
        assert sorted(asked) == sorted(m["tool_call_id"] for m in wire if m["role"] == "tool")
    stays(thread, 4)


# -- policies and budgets --------------------------------------------------------------------------


class Forgetful(contextkit.Policy):
    """Returns nothing, as one does who forgets `return`."""

    kind = "forgetful"
    stage = contextkit.Stage.SHRINK

    def apply(self, draft: contextkit.Draft, turn: contextkit.Turn) -> Any:
        return None


def test_a_policy_that_returns_nothing_is_named() -> None:
    with ContextManager(budget=WINDOW, policies=[Forgetful()]) as manager:
        words = r"policies\.0 \(forgetful\) failed: TypeError: it returned None in place of a draft"
        with pytest.raises(contextkit.PolicyError, match=words):
            manager.thread("t").assemble("hello")


def test_what_does_not_fit_is_called_what_it_is() -> None:
    with ContextManager(budget=WINDOW, policies=["sliding_window"]) as manager:
        with pytest.raises(
            contextkit.BudgetExceeded, match=r"m0 .*\(the system message\)"
        ) as found:
            manager.thread("t").assemble("hello", system="word " * 3_000)
        assert "tool_results" not in str(found.value)


Door = Callable[[Any, Any], object]
DOORS: dict[str, Door] = {
    "the thread name ['a'] is not text": lambda cm, t: cm.thread(["a"]),
    "the tenant name ['a'] is not text": lambda cm, t: cm.thread("a", tenant=["a"]),
    "the thread name {} is not text": lambda cm, t: cm.thread({}),
    "the tenant name is empty": lambda cm, t: cm.thread("a", tenant=""),
    "the tenant name 3 is not text": lambda cm, t: cm.threads(3),
    "the tenant name 4 is not text": lambda cm, t: cm.verify(4),
    "the thread name is empty": lambda cm, t: cm.thread(""),
    "tools: must be a list, not int": lambda cm, t: t.assemble("x", tools=3),
    "NoneType is no call; give what assemble returned": lambda cm, t: t.record(None, "x"),
    "str is no call; give what assemble returned": lambda cm, t: t.record("x", t.assemble("y")),
    "None is no handle but of type NoneType": lambda cm, t: t.expand(None),
    "['m0'] is no handle but of type list": lambda cm, t: t.expand(["m0"]),
    "ingest: takes a path, text or bytes, not NoneType": lambda cm, t: t.ingest(None),
    "ingest: takes a path, text or bytes, not list": lambda cm, t: t.ingest(["a"]),
    "ingest(name=…): 3 is no text": lambda cm, t: t.ingest("text", name=3),
    "history(start=…): 'a' is no whole number": lambda cm, t: t.history("a"),
    "history(stop=…): 1.5 is no whole number": lambda cm, t: t.history(0, 1.5),
    "fork(at=…): 'a' is no whole number": lambda cm, t: t.fork("a"),
    "fork(at=…): 1.5 is no whole number": lambda cm, t: t.fork(1.5),
    "from_config: takes a Config": lambda cm, t: type(cm).from_config({}),
    "search: the question None is not text": lambda cm, t: t.memory.search(None),
    "no piece of this call is called None": lambda cm, t: t.assemble("x").ledger.explain(None),
}


@pytest.mark.parametrize("says", DOORS)
def test_what_is_of_the_wrong_kind_is_told_at_the_door(cm: ContextManager, says: str) -> None:
    thread = cm.thread("t")
    thread.append("hello")
    with pytest.raises(contextkit.ContextKitError) as caught:
        DOORS[says](cm, thread)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    stays(thread, 1)
