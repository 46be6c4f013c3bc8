"""Building the records of a thread beside its conversation: in steps, resumable, only for what is new.

A thread's text is cut into stretches from its beginning on, so that what is appended changes none of
those before the last. Each step takes a few stretches, draws a question from each, reads for it, answers
it, and keeps the records in one write: a kill costs at most one step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event

from contextkit.memo import Memo
from contextkit_policies._records.finding import Finder
from contextkit_policies._records.graph import Record
from contextkit_policies._records.simulate import Simulator

STRETCH_CHARS = 900
"""About 200 tokens, as long as the paper's chunks."""
STEP = 8
"""Records of a step; they don't read each other."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Passages of the log, or of one document, that stand together; where questions are drawn from."""

    handles: tuple[str, ...]
    text: str

    @property
    def key(self) -> str:
        named = "\n".join((*self.handles, self.text))
        return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()


def stretches(passages: Iterable[tuple[str, str]]) -> list[Stretch]:
    """(handle, text) in their order as stretches; the log's last one may still grow and is left out."""
    made: list[Stretch] = []
    handles: list[str] = []
    texts: list[str] = []
    source = ""

    def close() -> None:
        if handles:
            made.append(Stretch(tuple(handles), "\n".join(texts)))
            handles.clear()
            texts.clear()

    for handle, text in passages:
        found = handle.partition(".")[0] if handle.startswith("d") else "log"
        if found != source and source != "log":
            close()
        elif found != source:
            handles.clear()
            texts.clear()
        source = found
        handles.append(handle)
        texts.append(text)
        if sum(map(len, texts)) >= STRETCH_CHARS:
            close()
    if source != "log":
        close()
    return made


def space_of(thread: str) -> str:
    """The memo space in which the records of a thread are kept."""
    return f"records/1/{hashlib.sha256(thread.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


def load_records(memo: Memo, thread: str) -> list[Record]:
    """The records of a thread, in the order in which they were made."""
    kept = memo.load_all(space_of(thread)).values()
    return sorted((Record.load(body) for body in kept), key=lambda r: (r.number, r.key))


@dataclass
class Builder:
    """Makes the records that a thread lacks. `search` gives (handle, text) of passages, best first."""

    memo: Memo
    thread: str
    passages: Sequence[tuple[str, str]]
    search: Callable[[str, int], list[tuple[str, str]]]
    simulator: Simulator
    finder: Finder
    every: int = 2
    """A question is drawn from one in so many stretches."""
    read_passages: int = 4
    read_records: int = 2
    stop: Event = field(default_factory=Event)
    """Set it to end after the step in work."""

    def run(self, advance: Callable[[int], None] | None = None) -> int:
        """Make what is missing; returns how many records were made. `advance` is told of each step.

        Raises `BackendError` where a model could not be asked; what was made before stays.
        """
        records = load_records(self.memo, self.thread)
        self._finder_takes(records)
        by_key = {record.key: record for record in records}
        wanted = [s for i, s in enumerate(stretches(self.passages)) if i % self.every == 0]
        if advance is not None:
            advance(sum(stretch.key in by_key for stretch in wanted))
        missing = [stretch for stretch in wanted if stretch.key not in by_key]
        number = 1 + max((record.number for record in records), default=-1)
        n_made = 0
        for start in range(0, len(missing), STEP):
            if self.stop.is_set():
                break
            step = missing[start : start + STEP]
            made = self._step(step, number + start, by_key)
            self.memo.save(space_of(self.thread), {record.key: record.dump() for record in made})
            by_key.update((record.key, record) for record in made)
            self._finder_takes(made)
            n_made += len(made)
            if advance is not None:
                advance(len(step))
        return n_made

    def _finder_takes(self, records: Sequence[Record]) -> None:
        self.finder.add([record for record in records if record.answer])

    def _step(
        self, step: Sequence[Stretch], number: int, by_key: dict[str, Record]
    ) -> list[Record]:
        questions = self.simulator.questions([stretch.text for stretch in step])
        found = [self.search(q, self.read_passages) if q.strip() else [] for q in questions]
        earlier = [
            [key for key, _ in self.finder.nearest(question, self.read_records)]
            for question in questions
        ]
        reads = [
            (question, [text for _, text in passages] + [by_key[key].answer for key in keys])
            for question, passages, keys in zip(questions, found, earlier, strict=True)
        ]
        answers = self.simulator.answers(reads)
        return [
            Record(
                stretch.key,
                number + at,
                questions[at],
                answers[at] if found[at] else "",
                stretch.handles,
                tuple(dict.fromkeys(handle for handle, _ in found[at])),
                tuple(earlier[at]),
            )
            for at, stretch in enumerate(step)
        ]
