"""Evidence recall of whole calls at equal tokens: `retrieve`, `cascade` with it, and with its tree.

    python -P docs/bench/cascade.py LOCOMO.json --questions 50

Every question is assembled over its whole conversation, once with every stack; then the larger calls are
made again with fewer passages, until each takes at most what the smallest took. Evidence counts where
every message of it stands in the call word for word, as history, as a passage or in a summary. Intervals
are 95 % of bootstrap samples over questions, of the difference over pairs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import contextkit
from contextkit import plugins
from contextkit.draft import Draft
from contextkit.evals.datasets import load
from contextkit.evals.recall import figure
from contextkit.evals.values import Pool
from contextkit.policy import Turn
from contextkit.stores.memory import MemoryHistory
from contextkit_policies.retrieve import Retrieve


class CutRetrieve(Retrieve):
    """`retrieve` that lets a call grow to `most` tokens at the most; None: as `retrieve` does."""

    kind: ClassVar[str] = "cut_retrieve"
    most: ClassVar[int | None] = None

    def settle(self, draft: Draft, turn: Turn) -> Draft:
        if self.most is None:
            return super().settle(draft, turn)
        room = max(16, self.most - draft.upper_tokens)
        return Retrieve(max_tokens=room, summaries=self.summaries).settle(draft, turn)


WINDOW: dict[str, Any] = {"kind": "sliding_window"}
CASCADE: dict[str, Any] = {"kind": "cascade", "background": False}
TREE: dict[str, Any] = {"kind": "cut_retrieve", "summaries": True}
STACKS: dict[str, list[Any]] = {
    "retrieve": ["cut_retrieve", WINDOW],
    "cascade + retrieve": ["cut_retrieve", CASCADE, WINDOW],
    "cascade + tree": [TREE, CASCADE, WINDOW],
}
WINDOWS, SHARES = (1024, 2048, 4096, 8192), (0.25, 0.5)


@dataclass
class Found:
    """What one stack found of each question so far."""

    whole: list[float] = field(default_factory=list[float])
    parts: list[float] = field(default_factory=list[float])
    tokens: list[int] = field(default_factory=list[int])


def flat(text: str) -> str:
    return " ".join(text.split())


def ask(
    pool: Pool, window: int, share: float, most: int, store: MemoryHistory, into: dict[str, Found]
) -> None:
    """Assemble a sample of a conversation's questions with every stack and look for their evidence."""
    budget = {"window": window, "reply_reserve": 1, "shares": {"retrieved": share}}
    threads: dict[str, contextkit.Thread] = {}
    for name, policies in STACKS.items():
        config = {"budget": budget, "policies": policies, "history": store}
        threads[name] = contextkit.load(config).thread("t")
        if not len(threads[name]):
            threads[name].append([dict(item.message()) for item in pool.items])
    for question in pool.questions[:: max(1, len(pool.questions) // most)][:most]:
        CutRetrieve.most = None
        calls = {name: thread.assemble(question.text) for name, thread in threads.items()}
        CutRetrieve.most = min(call.upper_tokens for call in calls.values())
        for name, call in calls.items():
            if call.upper_tokens > CutRetrieve.most:
                call = threads[name].assemble(question.text)
            text = flat("\n".join(message.text for message in call.messages))
            found = [flat(pool.items[item].text) in text for item in question.evidence]
            into[name].whole.append(float(all(found)))
            into[name].parts.append(sum(found) / len(found))
            into[name].tokens.append(call.input_tokens)


def told(found: Found, first: Found) -> str:
    """A row: the shares with their intervals, the difference from the first stack, tokens on the mean."""
    whole, parts = figure(found.whole), figure(found.parts)
    more = figure([a - b for a, b in zip(found.whole, first.whole, strict=True)])
    more_parts = figure([a - b for a, b in zip(found.parts, first.parts, strict=True)])
    tokens = sum(found.tokens) // max(1, len(found.tokens))
    return (
        f"{whole.value:5.1f} [{whole.low:.1f}, {whole.high:.1f}] | "
        f"{more.value:+.1f} [{more.low:+.1f}, {more.high:+.1f}] | {parts.value:5.1f} | "
        f"{more_parts.value:+.1f} [{more_parts.low:+.1f}, {more_parts.high:+.1f}] | {tokens:,} |"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=50, help="of each conversation")
    parser.add_argument("--conversations", type=int, default=None, help="the first so many")
    parser.add_argument("--windows", type=int, nargs="*", default=WINDOWS)
    options = parser.parse_args(arguments)
    plugins.register("policies", CutRetrieve)
    _, pools = load(options.data)
    print("| window | share | stack | whole, % | more | messages, % | more | tokens |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for window in options.windows:
        stores = [MemoryHistory() for _ in pools]
        for share in SHARES:
            into = {name: Found() for name in STACKS}
            for pool, store in zip(pools[: options.conversations], stores, strict=False):
                ask(pool, window, share, options.questions, store, into)
            for name, found in into.items():
                print(f"| {window} | {share} | {name} | {told(found, into['retrieve'])}", flush=True)


if __name__ == "__main__":
    main()
