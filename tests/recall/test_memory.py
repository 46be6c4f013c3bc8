"""A thread's memory: what is found, that nothing is read twice, and that nothing breaks it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.documents import Chunk, Document, content_digest
from contextkit.errors import StoreBusy
from contextkit.log import Entry
from contextkit.manager import ContextManager, load
from contextkit.recall import rows, shelf
from contextkit.recall.memory import Memory
from contextkit.store import ThreadRecord
from contextkit.stores.memory import MemoryHistory
from contextkit.thread import Thread
from tests.recall.conftest import Opened
from tests.recall.test_vectors import Letters

TALK = [
    ("Ann", "2024-05-08T13:56", "My sister Clara moved to Lisbon last spring."),
    ("Bob", "2024-05-08T13:57", "How does she like it?"),
    ("Ann", "2024-05-08T13:58", "She opened a bakery near the river, it is going well."),
    ("Bob", "2024-05-20T09:00", "I bought a red kayak yesterday."),
    ("Ann", "2024-05-20T09:01", "Lovely! Where will you paddle?"),
    ("Bob", "2024-05-20T09:02", "On the lake behind our house."),
    ("Ann", "2024-06-02T18:00", "The doctor says my knee needs rest."),
    ("Bob", "2024-06-02T18:01", "Then no hiking this summer, I guess."),
]


def said(talk: Sequence[tuple[str, str, str]] = tuple(TALK)) -> list[dict[str, Any]]:
    return [{"role": "user", "name": n, "timestamp": at, "content": text} for n, at, text in talk]


def ingested(thread: Thread, name: str, *texts: str) -> None:
    chunks = [Chunk(text) for text in texts]
    document = Document(name, "text/plain", content_digest("text/plain", chunks))
    thread.manager.history.add_document(thread.record_, document, chunks)


def found(memory: Memory, query: str, **how: Any) -> list[str]:
    return [hit.handle for hit in memory.search(query, **how)]


def memory_of(cm: ContextManager, thread: Thread, embedder: Any) -> Memory:
    return Memory(cm.history, thread.record_, embedder)


@pytest.mark.parametrize("embedder", [None, "hashing", "letters"])
def test_what_was_asked_for_comes_first(embedder: str | None) -> None:
    cm = load({"embedder": "hashing"})
    thread = cm.thread("t")
    thread.append(said())
    model: Any = {None: None, "hashing": cm.embedder, "letters": Letters()}[embedder]
    memory = memory_of(cm, thread, model)
    assert found(memory, "Who bought a kayak?")[0] == "m3"
    assert set(found(memory, "What did Clara open near the river?")[:2]) <= {"m0", "m2"}
    assert found(memory, "What does the doctor say about Ann's knee?", top=1) == ["m6"]
    assert memory.notes == ()


def test_the_speaker_that_a_question_names_is_preferred() -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(said([("Ann", "", "I like tea."), ("Bob", "", "I like tea.."), *TALK]))
    assert found(thread.memory, "What does Bob like, tea?", top=1) == ["m1"]
    assert found(thread.memory, "What does Ann like, tea?", top=1) == ["m0"]


def test_before_and_shown_leave_entries_out_but_no_chunks() -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(said())
    ingested(thread, "boats.txt", "A kayak is a small narrow boat.")
    memory = thread.memory
    assert {"m3", "d1.0"} <= set(found(memory, "kayak boat"))
    assert "m3" not in found(memory, "kayak boat", before=3)
    assert "m3" not in found(memory, "kayak boat", shown=[(2, 4)])
    assert set(found(memory, "kayak", before=0, shown=[(0, 8)])) == {"d1.0"}


def test_names_lead_from_one_passage_to_the_next() -> None:
    cm = load({})
    thread = cm.thread("t")
    for n in range(30):
        ingested(thread, f"Town{n}", f"The mayor of this town is called Person{n}, of Club{n}.")
    ingested(thread, "Sky", "A song that was written by the Wednesdays in one afternoon.")
    ingested(thread, "Wednesdays", "They are led by a drummer, Kim Novak, since the beginning.")
    ingested(thread, "Drums", "A drummer is led by the beat.")
    question = "Who is at the head of the group behind the song Sky?"
    assert found(thread.memory, question, top=2) == ["d31.0", "d32.0"]


def test_what_is_said_twice_is_found_once() -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(said([("Bob", "", "The code is 4711."), *TALK, ("Bob", "", "The code is 4711.")]))
    handles = found(thread.memory, "What is the code?", top=10)
    assert len({"m0", "m9"} & set(handles)) == 1


def test_a_long_message_is_found_in_parts() -> None:
    cm = load({})
    thread = cm.thread("t")
    text = "\n\n".join(f"Paragraph {n} speaks of {'nothing ' * 40}" for n in range(20))
    thread.append([{"role": "user", "content": f"{text}\n\nThe treasure lies under the oak."}])
    hit = thread.memory.search("Where does the treasure lie?", top=1)[0]
    assert hit.handle == "m0"
    assert "under the oak" in hit.passage.text
    assert len(hit.passage.text) < 2000
    parts = thread.memory.passages(["m0"])["m0"]
    assert "".join(part.text for part in parts) == thread.history()[0].text


@given(st.lists(st.integers(1, 4), min_size=1, max_size=8), st.sampled_from([None, Letters]))
def test_growing_is_the_same_as_reading_at_once(steps: list[int], embedder: Any) -> None:
    cm = load({})
    thread = cm.thread("t")
    model = None if embedder is None else embedder()
    growing = memory_of(cm, thread, model)
    messages = said([*TALK, *TALK, *TALK, *TALK])
    for step in steps:
        now, messages = messages[:step], messages[step:]
        thread.append(now)
        growing.refresh()
    at_once = memory_of(cm, thread, None if embedder is None else embedder())
    for query in ("Who bought a kayak?", "Clara's bakery", "knee"):
        left, right = growing.search(query), at_once.search(query)
        assert [hit.handle for hit in left] == [hit.handle for hit in right]
        assert [hit.score for hit in left] == pytest.approx([hit.score for hit in right], abs=1e-3)


def test_a_restart_cuts_no_words_and_embeds_nothing(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "SEGMENT", 4)
    monkeypatch.setattr(shelf, "PAGE", 8)
    cm = opened()
    thread = cm.thread("t")
    thread.append(said([*TALK, *TALK[:4]]))
    ingested(thread, "boats.txt", "A kayak is a small narrow boat.", "A canoe is open.")
    before = memory_of(cm, thread, Letters()).search("kayak")
    cut: list[str] = []

    def terms(text: str) -> list[str]:
        cut.append(text)
        return []

    monkeypatch.setattr(rows, "terms", terms)
    embedder = Letters()
    later = opened()
    after = memory_of(later, later.thread("t"), embedder).search("kayak")
    assert [hit.handle for hit in after] == [hit.handle for hit in before]
    assert [hit.score for hit in after] == [pytest.approx(hit.score) for hit in before]
    assert cut == []
    assert embedder.read == ["kayak"]


def test_plain_vectors_come_from_the_memo_too(opened: Opened) -> None:
    cm = opened(embedder="hashing")
    thread = cm.thread("t")
    thread.append(said())
    before = thread.memory.search("kayak")
    later = opened(embedder="hashing")
    spaces: list[int] = []

    class Counting:
        kind, name = "counting", cm.embedder.name if cm.embedder else ""
        dimension = cm.embedder.dimension if cm.embedder else 0

        def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
            spaces.append(len(texts))
            assert cm.embedder is not None
            return cm.embedder.embed(texts, query=query)

    after = memory_of(later, later.thread("t"), Counting()).search("kayak")
    assert [hit.handle for hit in after] == [hit.handle for hit in before]
    assert spaces == [1]


def test_a_damaged_segment_is_made_again(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "SEGMENT", 4)
    cm = opened()
    thread = cm.thread("t")
    thread.append(said())
    before = found(thread.memory, "kayak")
    space = next(
        s for s in ("terms/2/porter2", "terms/2/plain") if cm.history.list_memo("default", s)
    )
    keys = cm.history.list_memo("default", space)
    cm.history.save_memo("default", space, dict.fromkeys(keys, b"\x00damaged"))
    later = opened()
    assert found(later.thread("t").memory, "kayak") == before


class Interrupted(MemoryHistory):
    """A history that another process holds now and then."""

    def entries(self, thread: ThreadRecord, start: int, stop: int) -> list[Entry]:
        self._interrupt()
        return super().entries(thread, start, stop)

    def save_memo(self, tenant: str, space: str, items: Mapping[str, bytes]) -> None:
        self._interrupt()
        super().save_memo(tenant, space, items)

    def _interrupt(self) -> None:
        if waiting and waiting.pop(0):
            raise StoreBusy("another process writes")


waiting: list[bool] = []


@given(st.lists(st.booleans(), max_size=20))
def test_an_interrupted_reading_goes_on_where_it_stopped(interruptions: list[bool]) -> None:
    waiting.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "SEGMENT", 4)
        patch.setattr(shelf, "PAGE", 8)
        store = Interrupted()
        cm = load({"history": store})
        thread = cm.thread("t")
        thread.append(said([*TALK, *TALK[:3]]))
        memory = Memory(store, thread.record_)
        waiting[:] = interruptions
        for _ in range(len(interruptions) + 1):
            with contextlib.suppress(StoreBusy):
                memory.refresh()
        thread.append(said([*TALK[3:]]))
        waiting.clear()
        ids = [f"m{n}" for n in range(16)]
        assert memory.row_ids() == ids
        assert Memory(store, thread.record_).row_ids() == ids


def test_a_fork_remembers_what_came_before_it(opened: Opened) -> None:
    cm = opened()
    thread = cm.thread("t")
    thread.append(said())
    fork = thread.fork(at=4)
    fork.append(said([("Ann", "", "The kayak leaks.")]))
    assert set(found(fork.memory, "kayak", top=2)) == {"m3", "m4"}
    assert "m6" not in found(fork.memory, "doctor knee rest")


def test_no_memory_reaches_into_another_thread_or_tenant(opened: Opened) -> None:
    cm = opened()
    for tenant in ("acme", "globex"):
        for name in ("a", "b"):
            cm.thread(name, tenant=tenant).append(said([("Ann", "", f"secret of {tenant} {name}")]))
    for tenant in ("acme", "globex"):
        for name in ("a", "b"):
            hits = cm.thread(name, tenant=tenant).memory.search("secret of acme globex a b")
            assert [hit.passage.text for hit in hits] == [f"secret of {tenant} {name}"]


class Fails(Letters):
    """Fails as it is told to."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def states(self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]) -> Any:
        if self.how == "time":
            raise TimeoutError("no answer")
        made = super().states(texts, spans)
        if self.how == "nan":
            made[0][0][0][0, 0] = float("nan")
        return made


class Plain(Fails):
    """The same without token vectors."""

    states_name: Any = None

    def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        if self.how == "time":
            raise TimeoutError("no answer")
        width = 17 if self.how == "dimension" else 16
        return [[float("nan") if self.how == "nan" else 1.0] * width for _ in texts]


@pytest.mark.parametrize("how", ["time", "nan"])
def test_where_the_embedder_fails_words_are_searched_and_it_is_said(how: str) -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(said())
    for model in (Fails(how), Plain(how)):
        memory = memory_of(cm, thread, model)
        assert found(memory, "Who bought a kayak?") == found(thread.memory, "Who bought a kayak?")
        assert [note.partition(":")[0] for note in memory.notes] == ["recall"]
        assert "words alone" in memory.notes[0]


def test_vectors_of_another_dimension_are_said_too() -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(said())
    memory = memory_of(cm, thread, Plain("dimension"))
    assert found(memory, "kayak")[0] == "m3"
    assert "shape" in memory.notes[0]


def test_an_embedder_that_recovers_is_used_again() -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(said())
    model = Fails("time")
    memory = memory_of(cm, thread, model)
    assert memory.search("kayak")
    assert memory.notes
    model.how = ""
    assert found(memory, "kayak")[0] == "m3"
    assert memory.notes == ()


@pytest.mark.parametrize("model", [None, Letters()])
@pytest.mark.parametrize(
    "query",
    [
        "",
        " \n",
        "🎉",
        "מה קנה בוב?",
        "kayak " * 170_000,
        "the of and",
        "\ud800 kayak",
        "İİİ kayak?",
    ],
)
def test_odd_questions_have_answers_or_none(query: str, model: Any) -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(said())
    handles = found(memory_of(cm, thread, model), query)
    assert bool(handles) == bool(query.strip())
    if "kayak" in query:
        assert "m3" in handles[:2]


def test_an_empty_thread_finds_nothing() -> None:
    thread = load({}).thread("t")
    assert thread.memory.search("anything") == []
    assert thread.memory.rankings("anything") == {"lexical": []}


def test_rankings_are_by_words_and_by_vectors() -> None:
    cm = load({"embedder": "hashing"})
    thread = cm.thread("t")
    thread.append(said())
    both = thread.memory.rankings("Who bought a kayak?", top=3)
    assert both["lexical"][0] == "m3"
    assert len(both["dense"]) == 3


def test_of_many_passages_only_the_likeliest_are_looked_at_closely(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cm = load({})
    thread = cm.thread("t")
    thread.append(said([(n, at, f"{text} ({k})") for k in range(12) for n, at, text in TALK]))
    whole = found(memory_of(cm, thread, Letters()), "Who bought a kayak?", top=12)
    monkeypatch.setattr("contextkit.recall.search.FEW", 20)
    monkeypatch.setattr("contextkit.recall.search.CANDIDATES", 30)
    monkeypatch.setattr("contextkit.recall.search.SAMPLED", 24)
    part = found(memory_of(cm, thread, Letters()), "Who bought a kayak?", top=12)
    assert set(part) == set(whole)


def test_a_question_about_a_discussion_finds_a_stretch_of_it() -> None:
    cm = load({})
    thread = cm.thread("t")
    small = ["Yes.", "Right.", "Hm, well.", "I see.", "Sure.", "Go on."]
    talk = [small[n % 6] + "!" * (n // 6) for n in range(120)]
    talk[20] = "The budget was never mentioned by anyone of the press."
    for n in range(80, 90, 2):
        talk[n] = f"The budget needs {n} thousand more."
    thread.append(said([("Ann" if n % 2 else "Bob", "", text) for n, text in enumerate(talk)]))
    pointed = {
        int(h[1:]) for h in found(thread.memory, "What was never in the press, budget?", top=8)
    }
    broad = {
        int(h[1:]) for h in found(thread.memory, "Summarize the discussion of the budget", top=12)
    }
    assert 20 in pointed
    assert sum(75 <= seq <= 95 for seq in broad) >= 11
