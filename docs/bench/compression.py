"""Answers kept at 4x on held-out questions, rate errors from 50 to 50,000 tokens, and speed.

    python -P docs/bench/compression.py answers NQ_OPEN.jsonl.gz [PASSAGES [SCORER]]
    python -P docs/bench/compression.py rates TEXT
    python -P docs/bench/compression.py speed TEXT [SCORER]

The shipped classifier was trained on the first 700 questions of the lost-in-the-middle file and on MuSiQue;
`answers` takes those from 700 on. Speeds are CPU time of one thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

from contextkit.compression.methods import NAMES, MethodName, method, scorer
from contextkit.evals.compression import Compresses, run
from contextkit.evals.compression_baselines import BASELINES
from contextkit.evals.compression_cases import cases
from contextkit.evals.recall import figure
from contextkit.tokens import TiktokenCounter

HELD_OUT = 700
RATE = 0.25
BY_WORDS: tuple[MethodName, ...] = tuple(name for name in NAMES if name != "structure")
count = TiktokenCounter().count


def answers(path: str, passages: str = "1", by: str = "surprisal") -> None:
    """Per method: answers kept with the question and without it, in percent with their intervals."""
    found = cases(Path(path), int(passages))[HELD_OUT:]
    if int(passages) > 1:
        found = found[:100]
    methods: list[tuple[str, Compresses]] = [(b.kind, b) for b in BASELINES]
    methods += [(name, method(name, "stub", scorer(by))) for name in NAMES]
    print(
        f"{len(found)} questions, {passages} passages, {count(found[0].text)} tokens in the first"
    )
    for name, told in methods:
        outcomes = [*run(found, [(name, told)], [RATE], count, (True, False))]
        shares = [
            figure([float(o.answer or 0) for o in outcomes if o.asked is asked])
            for asked in (True, False)
        ]
        spans = [o.protected for o in outcomes if o.protected is not None]
        worst = min(100 * o.rate_error for o in outcomes)
        print(
            f"{name:18}"
            + "".join(f" {s.value:5.1f} [{s.low:3.0f}, {s.high:3.0f}]" for s in shares)
            + f"  protected {100 * sum(spans) / len(spans):5.1f}  rate {worst:+.1f}",
            flush=True,
        )


def rates(path: str) -> None:
    """Per method: the largest distance below the target in percent of the text, and any excess."""
    text = Path(path).read_text(encoding="utf-8")
    for name in BY_WORDS:
        worst, over = 0.0, 0
        for tokens in (50, 200, 1000, 5000, 50_000):
            part = text[: max(1, int(len(text) * tokens / count(text)))]
            n = count(part)
            for rate in (0.2, 0.35, 0.5, 0.7, 0.9):
                made = method(name, "stub").compress(part, int(rate * n), count)
                worst = min(worst, 100 * (made.achieved_tokens - int(rate * n)) / n)
                over += made.achieved_tokens > made.target_tokens
        print(f"{name:18} at most {-worst:.2f} % below, {over} over", flush=True)


def speed(path: str, by: str = "surprisal") -> None:
    """Per method: megabytes and tokens a CPU second at 4x."""
    text = Path(path).read_text(encoding="utf-8")[:400_000]
    tokens = count(text)
    scored = scorer(by)
    scored.score_many([])
    for name in BY_WORDS:
        method(name, "stub", scored).compress(text[:2000], 100, count)
        began = process_time()
        method(name, "stub", scored).compress(text, int(RATE * tokens), count)
        took = process_time() - began
        print(f"{name:18} {len(text) / took / 1e6:6.2f} MB/s {tokens / took:9,.0f} tokens/s")


COMMANDS: dict[str, Callable[..., None]] = {"answers": answers, "rates": rates, "speed": speed}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
