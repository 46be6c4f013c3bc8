"""`contextkit export` and `import`: all that a store keeps of its threads, from one store to another."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

import contextkit
from contextkit import ContextManager
from contextkit.cli.commands import app
from contextkit.documents import Document
from contextkit.messages import Message, text_message
from contextkit.store import Kept, StoredView, Tile
from contextkit.stores.memory import MemoryHistory
from contextkit.stores.sql import SqlHistory
from tests.dialects.strategies import conversations
from tests.stores.making import Store, opened
from tests.stores.test_documents import added
from tests.stores.test_summaries import summary, talked

Backup = Callable[..., Result]


@pytest.fixture(params=("sqlite", "postgres"))
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """The configurations of two empty stores of one kind."""
    made: list[Path] = []
    for name in ("here", "there"):
        url = f"sqlite:///{tmp_path}/{name}.db"
        if request.param == "postgres":
            url = request.getfixturevalue("postgres").create(f"{name}_{uuid4().hex[:12]}")
        made.append(_config(tmp_path / f"{name}.yaml", url))
    return made[0], made[1]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """The same in SQLite alone."""
    here, there = (
        _config(tmp_path / f"{name}.yaml", f"sqlite:///{tmp_path}/{name}.db") for name in "ab"
    )
    return here, there


def _config(path: Path, url: str) -> Path:
    path.write_text(
        "backend: {kind: echo, provider: openai, model: gpt-4.1-mini}\n"
        "budget: {window: 400, reply_reserve: 64}\n"
        f"history: {{kind: sql, url: '{url}'}}\n"
        "policies: [tool_results, sliding_window, cacheable_prefix]\n",
        encoding="utf-8",
    )
    return path


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


def export(config: Path) -> str:
    done = run("export", "--all-tenants", "-c", str(config))
    assert done.exit_code == 0, done.stderr
    return done.stdout


def take(config: Path, text: str) -> str:
    """Import; returns what was refused, empty where nothing was."""
    done = run("import", "-", "-c", str(config), stdin=text)
    return "" if done.exit_code == 0 else done.stderr


def fill(config: Path) -> None:
    """Turns, a view, a document, summaries, forks of forks, empty threads, three tenants."""
    with contextkit.load(config) as cm:
        thread = cm.thread("trip")
        for n in range(12):
            thread.respond(f"question {n} \0é\ud800 " + "words " * 20)
        thread.ingest("# Gates\n\nAll flights to Lisbon leave from B 12.\n" * 30, name="gates.md")
        store, record = cast("SqlHistory", cm.history), thread.record_
        leaves = [summary(store, record, at, at + 4) for at in (0, 4, 8)]
        for leaf in leaves:
            store.add_summary(record, leaf)
        store.add_summary(record, summary(store, record, 0, 8, 2), leaves[:2])
        late = thread.fork(20, "a fork")  # its name comes before its parent's
        late.respond("another way")
        late.fork(6, "a fork of it").respond("and another")
        thread.respond("the parent went on")
        cm.thread("empty")
        cm.thread("trip", tenant="acme").respond("of acme")
        store.open_thread("", "nobody's", counter=cm.counter.name)


def test_all_of_a_store_is_carried_over(places: tuple[Path, Path]) -> None:
    here, there = places
    fill(here)
    text = export(here)
    assert take(there, text) == ""
    assert export(there) == text
    with contextkit.load(here) as old, contextkit.load(there) as new:
        assert new.verify() == []
        assert _content(new) == _content(old)
        for name in ("trip", "a fork", "a fork of it"):
            calls = [cm.thread(name).assemble("And now?") for cm in (old, new)]
            assert calls[0].messages == calls[1].messages
            assert calls[0].ledger.decisions == calls[1].ledger.decisions
        assert (
            new.thread("trip").turns()[3].usage == old.thread("trip").turns()[3].usage is not None
        )
        with pytest.raises(contextkit.StoreError, match="share its entries"):
            new.forget("trip")  # forks share what they did
        assert new.thread("trip").documents() == old.thread("trip").documents() != []
        # What comes next has the next numbers.
        assert new.thread("trip").record(new.thread("trip").assemble("Go on."), "ok").turn == 14


def _content(cm: ContextManager) -> dict[tuple[str, str], tuple[object, ...]]:
    store = cm.history
    return {
        (record.tenant, record.name): (
            [entry.chain for entry in store.entries(record, 0, 1000)],
            store.turns(record),
            store.view(record),
            store.summaries(record),
            store.cover(record),
            [(d, store.chunks(record, d.number)) for d in store.documents(record)],
            record.forked_at,
        )
        for record in cm.threads(None)
    }


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    said=conversations(),
    cuts=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=4),
)
def test_any_talk_and_its_forks_are_carried_over(
    two: tuple[Path, Path], said: list[Message], cuts: list[tuple[int, int]]
) -> None:
    here, there = two
    tenant = uuid4().hex
    with contextkit.load(here) as cm:
        threads = [cm.thread("t", tenant=tenant)]
        threads[0].append(said)
        for number, (which, at) in enumerate(cuts):
            parent = threads[which % len(threads)]
            fork = parent.fork(at % (len(parent) + 1), f"{at:02}-{number}")
            threads.append(fork)
            fork.append("another way")
        chains = [thread.history() for thread in threads]
    text = run("export", "--tenant", tenant, "-c", str(here)).stdout
    assert take(there, text) == ""
    assert run("export", "--tenant", tenant, "-c", str(there)).stdout == text
    with contextkit.load(there) as cm:
        names = ["t", *(thread.name for thread in threads[1:])]
        assert [cm.thread(name, tenant=tenant).history() for name in names] == chains


def test_one_fork_is_carried_whole(two: tuple[Path, Path]) -> None:
    here, there = two
    fill(here)
    alone = run("export", "a fork of it", "-c", str(here)).stdout
    assert run("import", "-", "--thread", "x", "-c", str(there), stdin=alone).exit_code == 0
    with contextkit.load(here) as old, contextkit.load(there) as new:
        assert new.thread("x").history() == old.thread("a fork of it").history()
        assert new.threads()[0].parent is None
    again = run("export", "x", "-c", str(there)).stdout
    assert again == alone.replace(
        '"tenant": "default", "thread": "a fork of it"', '"tenant": "default", "thread": "x"'
    )


def test_what_is_there_already_stays_as_it_is(two: tuple[Path, Path]) -> None:
    here, there = two
    fill(here)
    text = export(here)
    assert take(there, text) == ""
    done = run("import", "-", "-c", str(there), stdin=text)
    assert done.stdout == (
        "imported 0 messages into 0 threads; 6 threads of the same content there already\n"
    )
    assert export(there) == text
    with contextkit.load(there) as cm:
        cm.thread("trip").append("later")
    assert "has a thread 'trip'" in take(there, text)


def _without(text: str, part: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if part not in line)


DAMAGES: dict[str, tuple[Callable[[str], str], str]] = {
    "cut": (lambda t: "".join(t.splitlines(keepends=True)[:-30]), "is cut"),
    "a thread less": (lambda t: t[: t.rindex('{"record": "thread"')], "5 of 6 threads"),
    "a message less": (lambda t: _without(t, "question 3"), "of 24"),
    "a message changed": (lambda t: t.replace("question 3", "question 4"), "not what was exported"),
    "a turn less": (lambda t: _without(t, '"turn", "number": 2'), "does not follow turn 1"),
    "no ledger": (lambda t: t.replace('"decisions"', '"decided"'), "cannot be read"),
    "a chunk changed": (lambda t: t.replace("B 12.", "C 1."), "digest"),
    "a chunk less": (lambda t: _without(t, '"number": 0, "document"'), "next chunk"),
    "a gap": (lambda t: _without(t, '"in_force", "start": 0, "stop": 8'), ""),
    "a summary less": (lambda t: _without(t, '"stop": 12, "level": 1, "text"'), "in force without"),
    "a long view": (
        lambda t: re.sub(r'"stop": \d+, "action": "drop"', '"stop": 99, "action": "drop"', t),
        "the view reaches to entry 99",
    ),
    "newer": (lambda t: t.replace('"version": 2', '"version": 3', 1), "reads 2 and older"),
    "no header": (lambda t: t[t.index("\n") + 1 :], "the header"),
    "two headers": (lambda t: t + t, "its header once"),
    "no parent": (lambda t: t.replace('"parent": "trip"', '"parent": "trap"'), "is not there"),
    "another fork point": (lambda t: t.replace('"forked_at": 20', '"forked_at": 19'), "not there"),
    "no number": (
        lambda t: t.replace('"turn", "number": 2', '"turn", "number": "2"'),
        "is no turn",
    ),
    "of another": (
        lambda t: t.replace('"thread": "trip", "parts"', '"thread": "x", "parts"'),
        "no",
    ),
    "no object": (lambda t: t + "[]\n", "is no message"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_damaged_is_refused_before_anything_is_stored(
    what: str, two: tuple[Path, Path]
) -> None:
    here, there = two
    fill(here)
    text = export(here)
    damage, says = DAMAGES[what]
    damaged = damage(text)
    assert damaged != text
    refused = take(there, damaged)
    if what == "a gap":  # without its first tile the cover begins later, which is allowed
        assert refused == ""
        return
    assert says in refused
    assert refused.startswith("contextkit: -: ")
    with contextkit.load(there) as cm:
        assert cm.threads(None) == []


def test_an_import_that_was_killed_goes_on(places: tuple[Path, Path], tmp_path: Path) -> None:
    here, there = places
    fill(here)
    with contextkit.load(here) as cm:
        cm.thread("long").append([text_message("user", f"{number}") for number in range(20_000)])
    text = export(here)
    (tmp_path / "all.jsonl").write_text(text, encoding="ascii")
    command = [sys.executable, "-m", "contextkit.cli", "import", str(tmp_path / "all.jsonl")]
    with contextkit.load(there) as cm:
        store = cm.history
        cm.threads()  # makes the database
        process = subprocess.Popen([*command, "-c", str(there)], stdout=subprocess.PIPE)
        while process.poll() is None:
            begun = store.open_thread("default", "long~importing", counter="", create=False)
            if begun is not None and store.head(begun).n_entries:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        names = {record.name for record in cm.threads()}
    assert "a fork" in names
    assert {"long", "long~importing"} & names == {"long~importing"}
    assert take(there, text) == ""
    assert export(there) == text


def test_what_is_in_the_way_of_an_import_is_not_touched(two: tuple[Path, Path]) -> None:
    here, there = two
    with contextkit.load(here) as cm:
        cm.thread("a").append([text_message("user", text) for text in ("one", "two")])
    with contextkit.load(there) as cm:
        cm.thread("a~importing").append("mine")
    assert "forget a~importing" in take(there, export(here))
    with contextkit.load(there) as cm:
        assert [record.name for record in cm.threads()] == ["a~importing"]
        assert cm.thread("a~importing").history()[0].text == "mine"


def test_a_pipe_by_name_is_read_too(two: tuple[Path, Path], tmp_path: Path) -> None:
    here, there = two
    fill(here)
    text, pipe = export(here), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(text,), kwargs={"encoding": "ascii"})
    writer.start()
    assert run("import", str(pipe), "-c", str(there)).exit_code == 0
    writer.join()
    assert export(there) == text


def test_what_is_too_large_or_too_deep_is_named(two: tuple[Path, Path]) -> None:
    _, there = two
    there.write_text(there.read_text("utf-8") + "max_message_bytes: 2000\n", encoding="utf-8")
    line = '{"role": "user", "parts": [{"kind": "text", "text": "%s"}]}\n'
    assert "line 2: 2,0" in take(there, line % "x" + line % ("x" * 2000))
    assert "line 1: is nested too deep" in take(there, "[" * 100_000)
    with contextkit.load(there) as cm:
        assert cm.threads(None) == []


def test_memory_does_not_grow_with_a_thread(two: tuple[Path, Path], tmp_path: Path) -> None:
    here, _ = two
    peaks: list[int] = []
    for n_messages in (1_000, 4_000):
        with contextkit.load(here) as cm:
            said = (f"{n} " + "x" * 2000 for n in range(n_messages))
            cm.thread(f"{n_messages}").append([text_message("user", text) for text in said])
        file, other = tmp_path / f"{n_messages}.jsonl", tmp_path / f"{n_messages}.yaml"
        _config(other, f"sqlite:///{tmp_path}/{n_messages}.db")
        tracemalloc.start()
        assert run("export", f"{n_messages}", "-o", str(file), "-c", str(here)).exit_code == 0
        assert run("import", str(file), "-c", str(other)).exit_code == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2_000_000  # of 6 MB more


def test_a_store_takes_what_was_kept_in_another(store: Store) -> None:
    other = MemoryHistory()
    theirs = talked(other)
    other.add_summary(theirs, summary(other, theirs, 0, 10))
    document = added(other, theirs, "one", "two")
    kept: list[Kept] = [StoredView(3, '{"pieces": []}'), *other.summaries(theirs), Tile(0, 10, 1)]
    kept += [document, *other.chunks(theirs, document.number)]
    ours = talked(store, name="under way")
    restored = store.restore(ours, "t", kept)
    assert (restored.id, restored.name) == (ours.id, "t")
    assert store.open_thread("acme", "under way", counter="quarter", create=False) is None
    assert store.view(opened(store)) == StoredView(3, '{"pieces": []}')
    assert (store.summaries(restored), store.cover(restored)) == (
        other.summaries(theirs),
        other.cover(theirs),
    )
    assert store.documents(restored) == [document]
    assert store.chunks(restored, 1) == other.chunks(theirs, 1)
    assert list(store.verify()) == []


BROKEN: list[list[Kept]] = [
    [Tile(0, 10, 1)],
    [StoredView(0, "{}")],
    [StoredView(1, "{}"), StoredView(2, "{}")],
    [Document("d", "text/plain", "00", number=1, n_chunks=1)],
]


@pytest.mark.parametrize("kept", BROKEN, ids=str)
def test_what_does_not_fit_together_changes_nothing(store: Store, kept: list[Kept]) -> None:
    ours = talked(store, name="under way")
    store.add_summary(ours, summary(store, ours, 0, 10))
    with pytest.raises(contextkit.StoreError):
        store.restore(ours, "t", kept)
    opened(store, "taken")
    with pytest.raises(contextkit.StoreError, match="already"):
        store.restore(ours, "taken", ())
    assert store.list_threads()[-1].name == "under way"
    assert len(store.cover(ours)) == 1
