"""The peers as a report of November 2026 judged them: its figures beside those of conversations drawn here.

    python docs/bench/conformance.py reported --cases 400 --seed 0

Its script is not in this repository: it drew 400 valid conversations with parallel calls and judged one
request of each under 300 tokens. What it does not name (counters, how much is kept) is chosen here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from contextkit.testing import Count, Transcript, find_subject, transcripts
from contextkit.testing.conformance import wilson
from contextkit.testing.laws import texts
from contextkit.testing.peers import is_installed, peers
from contextkit.testing.peers.base import encoder, text_of
from contextkit.testing.shapes import Shape
from contextkit.testing.wire import as_text, copied
from contextkit.validity import wire_problems

BUDGET = 300
N_REPORTED = 400

Messages = Sequence[Mapping[str, Any]]
Counting = Callable[[Messages], int]
Range = tuple[float, float]


@dataclass(frozen=True)
class Reported:
    """What the report gives for a peer, as shares.

    `lost` is None where it gives nothing or not how many messages or groups were kept.
    """

    peer: str
    invalid: float
    lost: Range | None = None
    count: str = "exact"


REPORTED = (
    Reported("langchain-trim", 0.512, count="texts"),
    Reported("langchain-trim-human-alone", 0.265, count="texts"),
    Reported("llama-index-buffer", 0.275),
    Reported("autogen-token-limited-within", 0.785, (0.20, 0.27), count="characters"),
    Reported("langchain-summarize", 0, (0.245, 0.30), count="texts"),
    Reported("langchain-summarize-4", 0, (0.245, 0.30), count="texts"),
    Reported("llama-index-memory", 0, (0, 0)),
    Reported("agent-framework-window", 0),
    Reported("agent-framework-tool-results", 0, (0, 0)),
    Reported("agent-framework-budget", 0, (0.345, 0.345)),
    Reported("agent-framework-context-window", 0, (0.385, 0.385)),
    Reported("pydantic-window", 0, (0.218, 0.282)),
    Reported("pydantic-window-4", 0, (0.218, 0.282)),
    Reported("pydantic-clear-results", 0, (0, 0)),
    Reported("autogen-buffered", 0),
    Reported("autogen-head-and-tail", 0),
)


def counted_texts(messages: Messages) -> int:
    """Tokens of the texts and four for each message: how the report's benchmark of speed counts."""
    return sum(len(encoder()(text_of(dict(message)))) + 4 for message in messages)


def counted_characters(messages: Messages) -> int:
    """A token for four characters of texts and calls, as a stub of a model client counts."""
    said = [text for message in messages for text in texts(message)]
    said += [as_text(message["tool_calls"]) for message in messages if "tool_calls" in message]
    return sum(len(text) for text in said) // 4


def counting(name: str) -> Counting:
    """The counter that a trimmer is handed."""
    known: dict[str, Counting] = {"texts": counted_texts, "characters": counted_characters}
    return known.get(name) or Count()


def is_refused(answer: list[Any]) -> bool:
    """Whether a provider would refuse it; as in the report, a system prompt alone is no request."""
    said = [message for message in answer if message["role"] != "system"]
    return not said or bool(wire_problems({"messages": answer}, "openai"))


def is_lost(case: Transcript, answer: list[Any]) -> bool:
    """Whether the newest request is not there word for word, however little else would fit."""
    newest = next(m for m in reversed(case.messages) if m["role"] == "user")
    said = {text for m in answer if m["role"] == "user" for text in texts(m)}
    return not said.issuperset(texts(newest))


def rates(row: Reported, cases: Sequence[Transcript]) -> tuple[int, int]:
    """How many last calls of a peer are refused, and how many lost the request."""
    trim: Any = find_subject(f"peer:{row.peer}").begin()
    count = counting(row.count)
    answers = [trim(copied(list(case.messages)), BUDGET, count) for case in cases]
    n_refused = sum(is_refused(answer) for answer in answers)
    n_lost = sum(is_lost(case, answer) for case, answer in zip(cases, answers, strict=True))
    return n_refused, n_lost


def agrees(n: int, total: int, reported: Range) -> bool:
    """Whether a share is that of the report, or in its range, within the error of both samples (95 %)."""
    share = n / total
    nearest = min(max(share, reported[0]), reported[1])
    error = sqrt(nearest * (1 - nearest) / N_REPORTED + share * (1 - share) / total)
    return abs(share - nearest) <= 1.96 * error


def show(n_cases: int, seed: int, shape: Shape) -> None:
    """The table: each figure of the report beside ours with its 95 % interval."""
    cases = list(transcripts(n_cases, seed=seed, shape=shape))
    known = {peer.name: peer for peer in peers()}
    print("| subject | counted by | invalid, reported | here | request lost, reported | here |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for row in REPORTED:
        peer = known[row.peer]
        if not is_installed(peer):
            print(f"| {peer.about} | {peer.package} is not installed | | | | |", flush=True)
            continue
        refused, lost = rates(row, cases)
        cells = [peer.about, row.count, *told(refused, n_cases, (row.invalid, row.invalid))]
        cells += told(lost, n_cases, row.lost) if row.lost else ("", f"{lost / n_cases:.1%}")
        print(f"| {' | '.join(cells)} |", flush=True)


def told(n: int, total: int, reported: Range) -> tuple[str, str]:
    """Two cells: the report's figure, ours; `!` where they do not agree."""
    low, high = reported
    figure = f"{low:.1%}" if low == high else f"{low:.1%} to {high:.1%}"
    share, *ends = wilson(n, total)
    mark = "" if agrees(n, total, reported) else " !"
    return figure, f"{share:.1%} ({ends[0]:.1%} to {ends[1]:.1%}){mark}"
