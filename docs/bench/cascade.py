"""Evidence recall at equal tokens: `cascade` with `retrieve`, and with its tree, beside `retrieve` alone.

    python -P docs/bench/cascade.py LOCOMO.json QMSUM.jsonl.gz --stacks "cascade + retrieve"
    python -P docs/bench/cascade.py LOCOMO.json --questions 50 --windows 2048

Every question is assembled over its whole conversation. All stacks are granted the same tokens of passages;
what a stack took on the mean is then what `retrieve` with the window alone is given: two windows are looked
for in which its calls take a little fewer and a little more, and its shares are read between the two. So
what is compared is history, told by summaries or word for word.

A message counts where it stands in the call word for word and whole, as history, as a passage or in a
summary. `all`: questions with all evidence in the call (LoCoMo's measure). `tokens`: mean share of the
evidence's tokens that are there, a message told in part by its sentences (QMSum's measure, whose evidence
is whole stretches of turns). `messages`: mean share of the evidence's messages; in a meeting an "Mm-hmm."
counts as much as a speech there, and `told` leaves out those of under ten tokens. Tokens of evidence are
those of cl100k_base. Intervals are 95 % of bootstrap samples over questions, of differences between pairs.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import contextkit
from contextkit.compression.spans import sentences
from contextkit.evals.datasets import load
from contextkit.evals.recall import figure, measure_of
from contextkit.evals.values import Asked, Pool
from contextkit.stores.memory import MemoryHistory
from contextkit.tokens.rank_files import load_encoding

WINDOW: dict[str, Any] = {"kind": "sliding_window"}
CASCADE: dict[str, Any] = {"kind": "cascade", "background": False}
ALONE: list[dict[str, Any]] = [{"kind": "retrieve"}, WINDOW]
STACKS: dict[str, list[dict[str, Any]]] = {
    "cascade + retrieve": [{"kind": "retrieve"}, CASCADE, WINDOW],
    "cascade + tree": [{"kind": "retrieve", "summaries": True}, CASCADE, WINDOW],
}
WINDOWS, SHARES = (1024, 2048, 4096, 8192), (0.25, 0.5)
MEASURES = ("all", "tokens", "messages", "told")
SHORT = 10
"""Tokens below which a message is left out of `told`."""
CLOSE = 0.02
"""How near each other the calls of the two windows are brought, as a share of their tokens."""
STEPS, SLOPE = 8, 0.6
"""Windows that are tried, and by how much a call grows with its window: the low water."""
_LINE = re.compile(r"^m(\d+) ", re.MULTILINE)
_FOUND = re.compile(r"\bm(\d+)(?:-\d+)? rank ")

Sentences: TypeAlias = list[tuple[str, int]]


@dataclass
class Found:
    """What a stack found of each question, by measure, and the tokens that each call took."""

    shares: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})
    tokens: list[float] = field(default_factory=list[float])

    @property
    def mean_tokens(self) -> float:
        return sum(self.tokens) / max(1, len(self.tokens))

    def towards(self, other: Found, tokens: float) -> Found:
        """Read between two at the point where calls take `tokens` on the mean."""
        apart = other.mean_tokens - self.mean_tokens
        part = (tokens - self.mean_tokens) / apart if apart else 0.0

        def between(ours: list[float], theirs: list[float]) -> list[float]:
            return [a + part * (b - a) for a, b in zip(ours, theirs, strict=True)]

        shares = {name: between(self.shares[name], other.shares[name]) for name in MEASURES}
        return Found(shares, between(self.tokens, other.tokens))


def flat(text: str) -> str:
    return " ".join(text.split())


def shown(call: contextkit.Call) -> set[int]:
    """Entries of which anything stands in the call."""
    seqs: set[int] = set()
    for decision in call.ledger.decisions:
        if decision.action == "keep":
            seqs.update(range(decision.start, decision.stop))
        seqs.update(int(found) for found in _FOUND.findall(decision.why))
    for message in call.messages:
        if " in short" in message.text[:40]:
            seqs.update(int(line) for line in _LINE.findall(message.text))
    return seqs


@dataclass
class Talk:
    """A conversation with the tokens of its sentences, and its thread's store."""

    pool: Pool
    said: list[Sentences]
    store: MemoryHistory = field(default_factory=MemoryHistory)

    def shares(self, question: Asked, call: contextkit.Call) -> Iterator[float]:
        """One share for each of `MEASURES`."""
        text, seqs = flat("\n".join(message.text for message in call.messages)), shown(call)
        evidence = question.evidence
        whole = [i in seqs and flat(self.pool.items[i].text) in text for i in evidence]
        there = total = 0
        for index, is_whole in zip(evidence, whole, strict=True):
            for sentence, tokens in self.said[index]:
                total += tokens
                there += tokens * (is_whole or (index in seqs and sentence in text))
        sizes = [sum(tokens for _, tokens in self.said[i]) for i in evidence]
        told = [is_whole for is_whole, size in zip(whole, sizes, strict=True) if size >= SHORT]
        yield float(all(whole))
        yield there / max(1, total)
        yield sum(whole) / len(whole)
        yield sum(told or whole) / len(told or whole)


def talks(pools: Sequence[Pool]) -> list[Talk]:
    """The conversations, cut into sentences."""
    encode = load_encoding("cl100k_base").encode_ordinary

    def cut(text: str) -> Sentences:
        parts = [text[start:stop] for start, stop in sentences(text)] or [text]
        return [(flat(part), max(1, len(encode(part)))) for part in parts]

    return [Talk(pool, [cut(item.text) for item in pool.items]) for pool in pools]


@dataclass
class Conversations:
    """Conversations with a sample of their questions, read once into a store each."""

    talks: Sequence[Talk]
    questions: int
    top_k: int
    asked: dict[tuple[int, int], Found] = field(default_factory=dict[tuple[int, int], Found])
    """What `retrieve` alone found, by window and tokens of passages."""

    def ask(self, policies: Sequence[dict[str, Any]], window: int, passages: int) -> Found:
        """Assemble every question of the sample with a stack that may quote `passages` tokens."""
        found = Found()
        budget = {"window": window, "reply_reserve": 1, "shares": {"retrieved": 1.0}}
        first, *others = policies
        quoted = {"max_tokens": passages, "top_k": self.top_k}
        config = {"budget": budget, "policies": [{**first, **quoted}, *others]}
        for talk in self.talks:
            thread = contextkit.load({**config, "history": talk.store}).thread("t")
            if not len(thread):
                thread.append([dict(item.message()) for item in talk.pool.items])
            every = max(1, len(talk.pool.questions) // self.questions)
            for question in talk.pool.questions[::every][: self.questions]:
                call = thread.assemble(question.text)
                for name, share in zip(MEASURES, talk.shares(question, call), strict=True):
                    found.shares[name].append(share)
                found.tokens.append(call.input_tokens)
        return found

    def matched(self, tokens: float, window: int, passages: int) -> Found:
        """`retrieve` alone where its calls take `tokens` on the mean, read between two windows."""
        low = high = None
        for _ in range(STEPS):
            key = window, passages
            trial = self.asked[key] = self.asked.get(key) or self.ask(ALONE, window, passages)
            if trial.mean_tokens <= tokens:
                low = window, trial
            else:
                high = window, trial
            if low and high:
                if high[1].mean_tokens - low[1].mean_tokens < CLOSE * tokens:
                    break
                window = (low[0] + high[0]) // 2
            else:
                beyond = CLOSE / 4 if low else -CLOSE / 4
                window += round((tokens - trial.mean_tokens + beyond * tokens) / SLOPE)
            if low and high and window in (low[0], high[0]):
                break
        if low and high:
            return low[1].towards(high[1], tokens)
        return (low or high or (0, Found()))[1]


def told(found: Found, alone: Found, measures: Sequence[str]) -> str:
    """The columns of a row: shares of both, the difference with its interval, tokens of both."""
    cells: list[str] = []
    for name in measures:
        one, other = found.shares[name], alone.shares[name]
        more = figure([a - b for a, b in zip(one, other, strict=True)])
        cells.append(
            f"{figure(one).value:.1f} / {figure(other).value:.1f}: "
            f"{more.value:+.2f} [{more.low:+.1f}, {more.high:+.1f}]"
        )
    return " | ".join([*cells, f"{found.mean_tokens:,.0f} / {alone.mean_tokens:,.0f}"])


def measured(name: str, cut: Sequence[Talk], options: argparse.Namespace) -> None:
    """Print a data set's rows, its usual measure first."""
    usual = measure_of(name)
    measures = [usual, *(each for each in MEASURES if each != usual)]
    print(
        f"\n{name}; with / alone: more\n\n| window | share | stack | {' | '.join(measures)} | tokens |"
    )
    print("|" + " --- |" * (len(measures) + 4))
    plain = Conversations(cut, options.questions, options.top_k)
    for window in options.windows:
        fresh = [Talk(talk.pool, talk.said) for talk in cut]
        summarised = Conversations(fresh, options.questions, options.top_k)
        for share in options.shares:
            passages = int(share * window)
            for stack in options.stacks:
                found = summarised.ask(STACKS[stack], window, passages)
                alone = plain.matched(found.mean_tokens, window, passages)
                row = f"| {window:,} | {share} | {stack} | {told(found, alone, measures)} |"
                print(row, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+", help="conversations: LoCoMo, QMSum")
    parser.add_argument("--questions", type=int, default=1000, help="of each conversation")
    parser.add_argument("--conversations", type=int, default=None, help="the first so many")
    parser.add_argument("--windows", type=int, nargs="*", default=WINDOWS)
    parser.add_argument("--shares", type=float, nargs="*", default=SHARES)
    parser.add_argument("--top-k", type=int, default=80, help="passages at the most")
    parser.add_argument("--stacks", nargs="*", choices=[*STACKS], default=[*STACKS])
    options = parser.parse_args(arguments)
    for path in options.data:
        name, pools = load(path)
        measured(name, talks(pools[: options.conversations]), options)


if __name__ == "__main__":
    main()
