"""Evidence recall at equal tokens: `cascade` with `retrieve`, and with its tree, beside `retrieve` alone.

    python -P docs/bench/cascade.py LOCOMO.json --questions 50

Every question is assembled over its whole conversation. All stacks are granted the same tokens of passages;
what a stack took on the mean is then what `retrieve` with the window alone is given: its window is moved
until its calls take as many tokens. So what is compared is history, told by summaries or word for word.
Evidence counts where every message of it stands in the call word for word, as history, as a passage or in
a summary. Intervals are 95 % of bootstrap samples over questions, of differences between pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import contextkit
from contextkit.evals.datasets import load
from contextkit.evals.recall import figure
from contextkit.evals.values import Pool
from contextkit.stores.memory import MemoryHistory

WINDOW: dict[str, Any] = {"kind": "sliding_window"}
CASCADE: dict[str, Any] = {"kind": "cascade", "background": False}
ALONE: list[dict[str, Any]] = [{"kind": "retrieve"}, WINDOW]
STACKS: dict[str, list[dict[str, Any]]] = {
    "cascade + retrieve": [{"kind": "retrieve"}, CASCADE, WINDOW],
    "cascade + tree": [{"kind": "retrieve", "summaries": True}, CASCADE, WINDOW],
}
WINDOWS, SHARES = (1024, 2048, 4096, 8192), (0.25, 0.5)
CLOSE = 0.005
"""How near the tokens of two stacks are brought, as a share."""
STEPS, SLOPE = 5, 0.6
"""Windows that are tried, and by how much a call grows with its window: the low water."""


@dataclass
class Found:
    """What a stack found of each question, and the tokens that each call took."""

    whole: list[float] = field(default_factory=list[float])
    parts: list[float] = field(default_factory=list[float])
    tokens: list[int] = field(default_factory=list[int])

    @property
    def mean_tokens(self) -> float:
        return sum(self.tokens) / max(1, len(self.tokens))


def flat(text: str) -> str:
    return " ".join(text.split())


@dataclass
class Conversations:
    """Conversations with a sample of their questions, read once into a store each."""

    pools: Sequence[Pool]
    questions: int
    stores: list[MemoryHistory] = field(default_factory=list[MemoryHistory])

    def ask(self, policies: Sequence[dict[str, Any]], window: int, passages: int) -> Found:
        """Assemble every question of the sample with a stack that may quote `passages` tokens."""
        if not self.stores:
            self.stores = [MemoryHistory() for _ in self.pools]
        found = Found()
        budget = {"window": window, "reply_reserve": 1, "shares": {"retrieved": 1.0}}
        first, *others = policies
        config = {"budget": budget, "policies": [{**first, "max_tokens": passages}, *others]}
        for pool, store in zip(self.pools, self.stores, strict=True):
            thread = contextkit.load({**config, "history": store}).thread("t")
            if not len(thread):
                thread.append([dict(item.message()) for item in pool.items])
            every = max(1, len(pool.questions) // self.questions)
            for question in pool.questions[::every][: self.questions]:
                call = thread.assemble(question.text)
                text = flat("\n".join(message.text for message in call.messages))
                has = [flat(pool.items[item].text) in text for item in question.evidence]
                found.whole.append(float(all(has)))
                found.parts.append(sum(has) / len(has))
                found.tokens.append(call.input_tokens)
        return found

    def matched(self, tokens: float, window: int, passages: int) -> Found:
        """`retrieve` alone, in a window in which its calls take about `tokens` on the mean."""
        best = trial = self.ask(ALONE, window, passages)
        for _ in range(STEPS):
            if abs(best.mean_tokens / tokens - 1) < CLOSE:
                break
            window += round((tokens - trial.mean_tokens) / SLOPE)
            trial = self.ask(ALONE, window, passages)
            best = min(best, trial, key=lambda found: abs(found.mean_tokens - tokens))
        return best


def told(found: Found, alone: Found) -> str:
    """The columns of a row: shares of both, the difference with its interval, tokens of both."""
    cells: list[str] = []
    for one, other in ((found.whole, alone.whole), (found.parts, alone.parts)):
        more = figure([a - b for a, b in zip(one, other, strict=True)])
        cells += [
            f"{figure(one).value:.1f}",
            f"{figure(other).value:.1f}",
            f"{more.value:+.1f} [{more.low:+.1f}, {more.high:+.1f}]",
        ]
    return " | ".join([*cells, f"{found.mean_tokens:,.0f}", f"{alone.mean_tokens:,.0f}"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=50, help="of each conversation")
    parser.add_argument("--conversations", type=int, default=None, help="the first so many")
    parser.add_argument("--windows", type=int, nargs="*", default=WINDOWS)
    parser.add_argument("--shares", type=float, nargs="*", default=SHARES)
    parser.add_argument("--stacks", nargs="*", choices=[*STACKS], default=[*STACKS])
    options = parser.parse_args(arguments)
    _, pools = load(options.data)
    pools = pools[: options.conversations]
    plain = Conversations(pools, options.questions)
    print("| window | share | stack | whole, % | alone | more | messages, % | alone | more", end="")
    print(" | tokens | alone |\n|" + " --- |" * 11)
    for window in options.windows:
        summarised = Conversations(pools, options.questions)
        for share in options.shares:
            passages, alone = int(share * window), Found()
            for name in options.stacks:
                found = summarised.ask(STACKS[name], window, passages)
                if abs(found.mean_tokens - alone.mean_tokens) > CLOSE * found.mean_tokens:
                    alone = plain.matched(found.mean_tokens, window, passages)
                print(f"| {window:,} | {share} | {name} | {told(found, alone)} |", flush=True)


if __name__ == "__main__":
    main()
