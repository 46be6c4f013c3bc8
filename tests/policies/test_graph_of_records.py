"""The policy in a turn: it orders by records where there are some, else it is `retrieve`."""

from __future__ import annotations

from typing import Any

import pytest

import contextkit
from contextkit.memo import Memo
from contextkit.recall.hits import Hit
from contextkit.recall.passages import Passage
from contextkit_policies._records.build import space_of
from contextkit_policies._records.graph import Record
from contextkit_policies.graph_of_records import GraphOfRecords, regained

PLACES = "harbour mill bridge tower garden station market chapel orchard quarry".split()
WINDOW: dict[str, Any] = {"kind": "sliding_window", "low_water": 0.3, "high_water": 0.6}
BUDGET = {"window": 700, "reply_reserve": 100, "shares": {"retrieved": 0.3}}


def _manager(policy: str | dict[str, Any], **settings: Any) -> contextkit.ContextManager:
    return contextkit.load({
        "policies": [policy, WINDOW], "embedder": "hashing", "budget": BUDGET, **settings,
    })  # fmt: skip


def _fill(thread: contextkit.Thread, n: int = 60) -> None:
    for i in range(n):
        place = PLACES[i % len(PLACES)]
        thread.append([
            {"role": "user", "content": f"What of the {place} in {1900 + i}?"},
            {"role": "assistant", "content": f"In {1900 + i} the {place} got {i + 3} lamps from K{i}."},
        ])  # fmt: skip


QUESTION = "How many lamps did the mill get in 1911?"


def _decisions(call: contextkit.Call) -> list[contextkit.Decision]:
    return [d for d in call.ledger.decisions if d.section == "retrieved"]


def test_without_records_it_is_retrieve_and_says_so() -> None:
    calls: list[contextkit.Call] = []
    for kind in ("retrieve", "graph_of_records"):
        with _manager(kind) as cm:
            thread = cm.thread("t")
            _fill(thread)
            calls.append(thread.assemble(QUESTION))
    plain, call = calls
    assert call.to_text() == plain.to_text()
    assert any("no records were made for this thread" in note for note in call.ledger.notes)
    assert "14 lamps" in call.to_text()


def test_passages_that_a_near_record_stands_on_rise() -> None:
    """A record that ties the question to a passage that shares no word with it."""
    with _manager({"kind": "graph_of_records", "weight": 2.0, "top_k": 200}) as cm:
        thread = cm.thread("t")
        _fill(thread)
        before = thread.assemble("Where did the smith lodge that winter?")
        record = Record(
            "k0", 0, "Where did the smith lodge that winter?", "With K31.", ("m63",), ("m63",)
        )
        Memo(cm.history, "default").save(space_of("t"), {record.key: record.dump()})
        call = thread.assemble("Where did the smith lodge that winter?")
        assert "K31" not in before.to_text()
        assert "K31" in call.to_text()
        (decision,) = _decisions(call)
        assert "m63 rank" in decision.why
        assert "records +" in decision.why
        assert call.upper_tokens <= call.ledger.limit_tokens
        share = int(0.3 * call.ledger.limit_tokens)
        assert decision.tokens_after <= share
        assert thread.assemble("Where did the smith lodge that winter?").to_text() == call.to_text()


def test_what_was_built_is_used_in_another_process_too(tmp_path: Any) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/h.db"}
    with _manager("graph_of_records", history=history) as cm:
        thread = cm.thread("t")
        _fill(thread)
        policy: Any = cm.policies[0]
        assert policy.build(thread) > 0
        text = thread.assemble(QUESTION).to_text()
        assert "14 lamps" in text
    with _manager("graph_of_records", history=history) as cm:
        call = cm.thread("t").assemble(QUESTION)
        assert call.to_text() == text
        assert not any("no records" in note for note in call.ledger.notes)


def test_a_build_searches_by_vectors_however_long_the_thread_is() -> None:
    with _manager("graph_of_records") as cm:
        thread = cm.thread("t")
        _fill(thread, 120)
        cm.background.close()  # nobody else makes the vectors
        policy: Any = cm.policies[0]
        assert policy.build(thread) > 0
        assert thread.memory.notes == ()


def test_records_made_meanwhile_are_seen_at_the_next_turn() -> None:
    with _manager("graph_of_records") as cm:
        thread = cm.thread("t")
        _fill(thread)
        policy: Any = cm.policies[0]
        thread.assemble(QUESTION)
        building = policy.start(thread)
        assert building.wait() > 0
        (decision,) = _decisions(thread.assemble(QUESTION))
        assert "records" in decision.why


def test_a_trained_network_orders_and_says_when_there_is_none() -> None:
    pytest.importorskip("torch").set_num_threads(1)
    learning = {"epochs": 3, "heads": 1}
    with _manager({"kind": "graph_of_records", "learned": True, "learning": learning}) as cm:
        thread = cm.thread("t")
        _fill(thread)
        policy: Any = cm.policies[0]
        policy.build(thread)
        call = thread.assemble(QUESTION)
        assert any("no network was trained" in note for note in call.ledger.notes)
        policy.build(thread, train=True)
        call = thread.assemble(QUESTION)
        assert not any("no network" in note for note in call.ledger.notes)
        assert "records" in _decisions(call)[0].why
        assert thread.assemble(QUESTION).to_text() == call.to_text()


def test_gains_are_added_and_said() -> None:
    hits = [
        Hit(Passage(f"m{i}", "x", start=i, stop=i + 1), 3.0 - i, i + 1, "words") for i in range(3)
    ]
    raised = regained(hits, {"m2": 2.5, "m0": 0.0})
    assert [hit.handle for hit in raised] == ["m2", "m0", "m1"]
    assert [hit.why for hit in raised] == ["words, records +2.5", "words", "words"]
    assert GraphOfRecords().weight > 0
