"""Evidence recall of whole calls: `retrieve` and the window alone, and with `cascade` between them.

    python -P docs/bench/cascade.py LOCOMO.json --questions 50

Every question is assembled over its whole conversation; evidence counts where every message of it stands
in the call word for word, as history, as a passage or in a summary. `tokens` are what a call took on the
mean.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import contextkit
from contextkit.evals.datasets import load
from contextkit.evals.values import Pool

WINDOW: dict[str, Any] = {"kind": "sliding_window"}
CASCADE: dict[str, Any] = {"kind": "cascade", "background": False}
STACKS = {"retrieve": ["retrieve", WINDOW], "cascade + retrieve": ["retrieve", CASCADE, WINDOW]}
WINDOWS, SHARES = (1024, 2048, 4096, 8192), (0.25, 0.5)


@dataclass
class Sum:
    """What was found over all questions so far."""

    questions: int = 0
    whole: int = 0
    parts: float = 0.0
    tokens: int = 0

    def told(self) -> str:
        n = max(1, self.questions)
        whole, parts = 100 * self.whole / n, 100 * self.parts / n
        return f"{whole:.1f} % whole, {parts:.1f} % of the messages, {self.tokens // n:,} tokens"


def flat(text: str) -> str:
    return " ".join(text.split())


def ask(
    pool: Pool, window: int, share: float, policies: Sequence[Any], most: int, into: Sum
) -> None:
    """Assemble a sample of a conversation's questions and look for their evidence."""
    budget = {"window": window, "reply_reserve": 1, "shares": {"retrieved": share}}
    with contextkit.load({"budget": budget, "policies": list(policies)}) as cm:
        thread = cm.thread("t")
        thread.append([dict(item.message()) for item in pool.items])
        for question in pool.questions[:: max(1, len(pool.questions) // most)][:most]:
            call = thread.assemble(question.text)
            text = flat("\n".join(message.text for message in call.messages))
            found = [flat(pool.items[item].text) in text for item in question.evidence]
            into.questions += 1
            into.whole += all(found)
            into.parts += sum(found) / len(found)
            into.tokens += call.input_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=50, help="of each conversation")
    options = parser.parse_args()
    _, pools = load(options.data)
    for window in WINDOWS:
        for share in SHARES:
            for name, policies in STACKS.items():
                found = Sum()
                for pool in pools:
                    ask(pool, window, share, policies, options.questions, found)
                print(f"{window:>5} {share:>4} {name:<20}{found.told()}", flush=True)


if __name__ == "__main__":
    main()
