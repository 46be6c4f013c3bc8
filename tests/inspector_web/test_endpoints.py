"""What the inspector answers, without a browser: figures as the ledgers have them, errors as sentences."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

import contextkit
from contextkit.inspector import account
from contextkit.inspector.bill import bill
from contextkit.inspector.web.overview import PAGE, Summary
from contextkit.inspector.web.reading import Reading, find_thread
from tests.inspector_web.conftest import LOST, NAME, TURNS, Get, manager_of, talk


def test_threads_of_all_tenants_the_newest_first(get: Get) -> None:
    found = get("/api/threads")
    assert [row["name"] for row in found["threads"][:2]] == [NAME, "support/42"]
    assert {row["name"] for row in found["threads"][2:]} == {"quiet", "bare"}
    assert found["n_all"] == found["n_found"] == 4
    assert found["tenants"] == ["<i>acme</i>", "acme", "default"]
    long = found["threads"][1]
    assert (long["n_turns"], long["n_entries"]) == (TURNS, 1 + 2 * TURNS)
    assert 0 < long["input_tokens"] <= long["limit_tokens"] == 3000 - 64


def test_threads_are_filtered(get: Get) -> None:
    assert [row["name"] for row in get("/api/threads", q="SUPP")["threads"]] == ["support/42"]
    assert {row["name"] for row in get("/api/threads", tenant="acme")["threads"]} == {
        "quiet",
        "bare",
    }
    nothing = get("/api/threads", q="no such thing")
    assert (nothing["threads"], nothing["n_found"], nothing["n_all"]) == ([], 0, 4)


def test_turns_are_the_ledgers_in_columns(get: Get, lived: contextkit.ContextManager) -> None:
    ledgers = lived.thread("support/42").turns()[9:20]
    found = get("/api/turns", start=10, stop=21)
    assert found["turn"] == list(range(10, 21))
    assert found["input"] == [ledger.input_tokens for ledger in ledgers]
    for place, ledger in enumerate(ledgers):
        parts = {part.name: part.tokens for part in account.slices(ledger)}
        assert {n: c[place] for n, c in found["slices"].items() if c[place]} == parts
        assert sum(parts.values()) == found["window"][place] == 3000
    lines = bill(ledgers, lived.rule)
    assert found["read"] == [line.read_tokens for line in lines]
    assert found["cost_usd"] == [line.cost_usd for line in lines]
    assert any(found["moved_by"])
    assert {len(column) for column in found["slices"].values()} == {11}


def test_a_window_of_turns_is_bounded(get: Get) -> None:
    assert get("/api/turns", start=-5, stop=10**9)["turn"] == list(range(1, TURNS + 1))
    assert get("/api/turns", start=TURNS + 1, stop=TURNS + 5)["turn"] == []
    assert get("/api/turns", start=9, stop=3)["turn"] == []
    first = get("/api/thread", turns=5)
    assert first["turns"]["turn"] == list(range(TURNS - 4, TURNS + 1))
    assert first["thread"]["n_turns"] == TURNS
    assert first["selected"] == get("/api/turn", turn=TURNS)
    middle = get("/api/thread", turns=6, turn=20)
    assert middle["turns"]["turn"] == list(range(18, 24))
    assert middle["selected"]["turn"] == 20
    assert get("/api/thread", turns=6, turn=999)["selected"]["turn"] == TURNS
    assert get("/api/thread", tenant="acme", name="bare")["selected"] is None
    assert first["thread"]["model"] == "anthropic/claude-sonnet-4-5"


def test_a_turn_has_every_decision_with_its_why(get: Get, lived: contextkit.ContextManager) -> None:
    ledger = lived.thread("support/42").turns()[TURNS - 1]
    found = get("/api/turn", turn=TURNS)
    assert [row["piece"] for row in found["decisions"]] == [d.piece for d in ledger.decisions]
    assert all(row["why"] for row in found["decisions"])
    assert found["prefix"] == account.prefix_sentence(ledger)
    assert found["n_out"] == len(list(ledger.left_out)) > 0
    out = get("/api/turn", turn=TURNS, show="out")
    assert {row["action"] for row in out["decisions"]} <= {"drop", "replace"}
    assert out["n_shown"] == found["n_out"]
    assert get("/api/turn", turn=TURNS, offset=1)["decisions"] == found["decisions"][1:]


def test_a_lost_cache_is_explained(get: Get) -> None:
    found = get("/api/turn", turn=LOST)
    assert found["bill"]["missed_tokens"] > 0
    assert "evicted" in found["bill"]["cause"]


def test_the_overview_adds_up_however_it_was_read(lived: contextkit.ContextManager) -> None:
    reading = find_thread(lived, "default", "support/42")
    ledgers = lived.thread("support/42").turns()
    whole = Summary().grow(reading, 60)
    sums = whole["totals"]
    assert whole["is_complete"]
    assert sums["input"] == sum(ledger.usage.input_tokens for ledger in ledgers if ledger.usage)
    assert sums["read"] + sums["write"] + sums["fresh"] == sums["input"]
    assert sums["moved"] == sum(ledger.prefix.moved for ledger in ledgers)
    assert sums["cost_usd"] == pytest.approx(sum(ledger.cost_usd or 0 for ledger in ledgers))
    lines = bill(ledgers, lived.rule)
    for name in ("read", "write", "fresh", "output", "missed"):
        assert sums[name] == sum(getattr(line, f"{name}_tokens") for line in lines), name
    assert sums["missed"] > 0
    assert whole["buckets"]["first"] == list(range(1, TURNS + 1))
    assert max(whole["buckets"]["input"]) == max(ledger.input_tokens for ledger in ledgers)


def test_the_overview_grows_with_the_thread() -> None:
    with manager_of("memory") as manager:
        thread = manager.thread("t")
        for turn in range(PAGE + 20):
            talk(thread, turn, f"short {turn}")
        reading, summary = Reading(manager, thread.record_), Summary()
        first = summary.grow(reading, 0)
        assert (first["n_read"], first["is_complete"]) == (PAGE, False)
        assert summary.grow(reading, 0)["is_complete"]
        talk(thread, 0, "one more")
        last = summary.grow(reading, 60)
        assert last["n_read"] == last["n_turns"] == PAGE + 21
        assert len(last["buckets"]["first"]) <= 300


def test_what_changed_between_two_turns(get: Get) -> None:
    same = get("/api/diff", first=7, second=7)
    assert same["changes"] == []
    moved = get("/api/turns", start=1, stop=TURNS + 1)["moved_by"].index("sliding_window") + 1
    found = get("/api/diff", first=moved - 1, second=moved)
    out = [change for change in found["changes"] if change["after"] == "left out"]
    assert out
    assert all(change["tokens"] > 0 and change["policy"] for change in out)


def test_an_original_is_what_was_said(get: Get, lived: contextkit.ContextManager) -> None:
    message = lived.thread("support/42").expand("m1")[0]
    found = get("/api/original", handle="m1")
    (row,) = found["messages"]
    assert (row["seq"], row["role"], row["parts"][0]["text"]) == (1, "user", message.text)
    assert get("/original.txt", handle="m1", raw=True).text == message.text + "\n"
    exact = get("/original.txt", handle="m1", form="exact", raw=True)
    assert exact.headers["content-type"] == "text/plain; charset=utf-8"
    assert "sandbox" in exact.headers["content-security-policy"]
    line = exact.text.removesuffix("\n")
    assert hashlib.sha256(line.encode()).hexdigest() == row["digest"]


def test_a_range_comes_in_pages(get: Get) -> None:
    first = get("/api/original", handle="m0-50")
    assert (first["n"], len(first["messages"])) == (51, 20)
    last = get("/api/original", handle="m0-50", offset=40)
    assert [row["seq"] for row in last["messages"]] == list(range(40, 51))
    assert get("/original.txt", handle="m0-50", form="exact", raw=True).text.count("\n") == 51


def test_hostile_text_comes_as_pictures_and_in_part(get: Get) -> None:
    key = {"tenant": "<i>acme</i>", "name": NAME}
    text = get("/api/original", handle="m0", **key)["messages"][0]["parts"][0]["text"]
    assert text.startswith("<script>window.hacked = 1</script>")
    assert "\u2400\u241b[31m" in text
    assert "\u27e8U+202E\u27e9gnp.exe" in text
    assert "\x00" not in text
    large = get("/api/original", handle="m2", **key)["messages"][0]["parts"][0]
    assert (large["characters"], len(large["text"]), large["is_cut"]) == (1_000_003, 20_000, True)
    plain = get("/original.txt", handle="m2", raw=True, **key)
    assert plain.text.endswith("xEND\n")
    assert plain.headers["x-content-type-options"] == "nosniff"
    html = get("/thread", raw=True, **key)
    assert "a/&lt;b&gt;&amp;&#34;&#39;" in html.text
    assert "<b>&" not in html.text


def test_search_finds_words_whatever_their_case(get: Get) -> None:
    found = get("/api/search", q="QUESTION 17")
    assert [hit["handle"] for hit in found["hits"]] == ["m33"]
    assert found["hits"][0]["match"] == "question 17"
    assert found["next"] is None
    many = get("/api/search", q="question")
    assert [hit["seq"] for hit in many["hits"]] == sorted(
        (h["seq"] for h in many["hits"]), reverse=True
    )
    assert len(many["hits"]) == 40 == TURNS
    assert many["next"] == many["hits"][-1]["seq"]
    assert get("/api/search", q="question", before=many["next"])["hits"] == []
    assert get("/api/search", q=".*")["hits"] == []
    assert get("/api/search", q="")["hits"] == []
    key = {"tenant": "<i>acme</i>", "name": NAME}
    assert get("/api/search", q="{{ 7 * 7 }}", **key)["hits"][0]["match"] == "{{ 7 * 7 }}"
    assert get("/api/search", q="look({})", **key)["hits"][0]["handle"] == "m1"


@pytest.mark.parametrize(
    ("path", "query", "status", "says"),
    [
        ("/api/thread", {"name": "nope"}, 404, "tenant 'default' has no thread 'nope'"),
        ("/api/thread", {"name": "a\0b"}, 503, "NUL"),
        ("/thread", {"name": "nope"}, 404, "no thread"),
        ("/api/turn", {"turn": 999}, 404, "turn 999: this thread has turns 1 to 40"),
        ("/api/turn", {"turn": "x"}, 400, "turn: 'x' is no whole number"),
        ("/api/turn", {"turn": "9" * 5000}, 400, "no whole number"),
        ("/api/turns", {"start": "١"}, 400, "no whole number"),
        ("/api/diff", {"first": 1, "second": 77}, 404, "turn 77"),
        ("/api/original", {"handle": "m999"}, 404, "this thread has 81 messages"),
        ("/api/original", {"handle": "nonsense"}, 404, "handles look like m17"),
        ("/api/original", {"handle": "d1.0"}, 404, "names no chunk"),
        ("/api/original", {"handle": "m" + "9" * 5000}, 400, "at most 64 characters"),
        ("/original.txt", {"handle": ""}, 400, "such as m17"),
        ("/original.txt", {"handle": "m999"}, 404, "m999"),
        ("/nothing", {}, 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_said(
    get: Get, path: str, query: dict[str, Any], status: int, says: str
) -> None:
    assert says in get(path, status=status, **query)["error"]


def test_chunks_of_documents_are_originals_too(tmp_path: Any) -> None:
    with manager_of("memory") as manager:
        thread = manager.thread("t")
        thread.ingest(b"# Gates\n\nGate B42 is far.", name="gates.md")
        from contextkit.inspector.web.originals import lines, original

        reading = Reading(manager, thread.record_)
        found = original(reading, "d1.0")["messages"][0]
        assert found["role"] == "document"
        assert "B42" in found["parts"][0]["text"]
        assert "B42" in "".join(lines(reading, "d1.0", exact=False))


def test_what_a_policy_showed_instead_stands_beside_the_original() -> None:
    with manager_of("memory", policies=[{"kind": "tool_results", "offload_over_tokens": 64}]) as cm:
        thread = cm.thread("t")
        call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        thread.append("find it")
        thread.append({"role": "assistant", "content": None, "tool_calls": [call]})
        thread.append({"role": "tool", "tool_call_id": "c1", "content": "row of data\n" * 200})
        ledger = thread.record(thread.assemble(), {"role": "assistant", "content": "found"})
        (handle,) = [d.handle for d in ledger.decisions if d.action == "replace"]
        from contextkit.inspector.web.originals import original

        found = original(Reading(cm, thread.record_), handle)
        assert len(found["shown"][0]["parts"][0]["text"]) < 2000
        assert found["messages"][0]["parts"][0]["characters"] == len("row of data\n" * 200)


def test_reading_writes_nothing(get: Get, lived: contextkit.ContextManager) -> None:
    def state() -> str:
        rows = [
            (record, lived.history.head(record), lived.history.last_turn(record))
            for record in lived.history.list_threads()
        ]
        return repr(rows)

    before = state()
    get("/api/thread", name="a thread that nobody made", status=404)
    for path in ("/api/thread", "/api/overview", "/api/threads"):
        get(path)
    get("/api/search", q="question")
    assert state() == before
