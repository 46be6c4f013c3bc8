"""Does a graph of records, or partitioned reading, find more than the search alone at equal tokens?

    python docs/bench/records.py conversations.json
    python docs/bench/records.py meetings.jsonl.gz --limit 8
    ... --embedder minilm --every 2 --learned

LoCoMo: share of questions with all their evidence turns in the budget. QMSum: share of the gold spans'
tokens. Tokens are those of cl100k_base; a line costs its date, speaker and words. Records are extracted,
no model is asked. Prints Markdown rows with 95 % bootstrap intervals of the difference to the search
alone.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import contextkit
from contextkit.evals.datasets import load
from contextkit.evals.recall import measure_of
from contextkit.evals.values import Asked, Pool
from contextkit.memo import Memo
from contextkit.recall.hits import Hit
from contextkit.recall.packing import fill
from contextkit.searchable import pages
from contextkit.tokens.rank_files import load_encoding
from contextkit_policies._reading.brief import Extracting
from contextkit_policies._reading.parts import agreement, dealt
from contextkit_policies._records.gat import Learning
from contextkit_policies._records.recalled import Recalled, Way
from contextkit_policies.brief_context import raised, rendered
from contextkit_policies.graph_of_records import GraphOfRecords, regained

BUDGETS = (512, 1024, 2048, 4096)
TOP = 300
RESAMPLES = 1000


@dataclass(frozen=True)
class Talk:
    """A conversation, what each of its lines costs, and how evidence in it counts."""

    pool: Pool
    tokens: list[int]
    whole: bool
    """Whether all evidence of a question has to be there, or its tokens count one by one."""


def talks(path: Path) -> list[Talk]:
    count = counter()
    name, pools = load(path)
    whole = measure_of(name) == "all"
    return [Talk(pool, [count(item.line) for item in pool.items], whole) for pool in pools]


def counter() -> Callable[[str], int]:
    encode = load_encoding("cl100k_base").encode_ordinary
    return lambda text: len(encode(text))


@dataclass(frozen=True)
class Cell:
    """What one method scored on one question, at every budget."""

    category: str
    scores: tuple[float, ...]


def score(talk: Talk, question: Asked, hits: Sequence[Hit], less_tokens: int = 0) -> Cell:
    """What of the evidence is in each budget less these tokens."""
    scores: list[float] = []
    for budget in BUDGETS:
        taken = fill(hits, lambda hit: talk.tokens[hit.passage.start], budget - less_tokens)
        shown = {hit.passage.start for hit in taken}
        if talk.whole:
            scores.append(float(set(question.evidence) <= shown))
        else:
            found = sum(talk.tokens[seq] for seq in question.evidence if seq in shown)
            scores.append(found / sum(talk.tokens[seq] for seq in question.evidence))
    return Cell(question.category, tuple(scores))


def put_first(question: str, hits: list[Hit], count: Callable[[str], int]) -> tuple[list[Hit], int]:
    """The hits after reading the first 16 in two parts by their words, and what the brief costs."""
    parts = dealt([hit.passage for hit in hits[:16]], 2, lambda passage: 1, 16)
    brief = Extracting().read(question, parts)
    message = rendered(brief)
    if message is None:
        return hits, 0
    return raised(hits, brief.handles), count(message.text)


@dataclass
class Preflight:
    """What the agreement of two rankings told, question by question: (agreement, gold is on top)."""

    rows: list[tuple[float, bool]] = field(default_factory=list[tuple[float, bool]])

    def report(self) -> None:
        """The chance that agreement is higher where the gold is on top (AUROC), and what 0.3 does."""
        top = [a for a, is_top in self.rows if is_top]
        not_top = [a for a, is_top in self.rows if not is_top]
        pairs = sum((a > b) + 0.5 * (a == b) for a in top for b in not_top)
        auroc = pairs / (len(top) * len(not_top))
        skipped = [is_top for a, is_top in self.rows if a > 0.3]
        read = [is_top for a, is_top in self.rows if a <= 0.3]
        print(
            f"# preflight, first 3, over 0.3: {len(skipped)} of {len(self.rows)} not read; evidence "
            f"among the first 3 in {100 * sum(skipped) / max(1, len(skipped)):.0f} % of those, in "
            f"{100 * sum(read) / max(1, len(read)):.0f} % of the others; AUROC {auroc:.2f}"
        )


def measure(
    talk: Talk, embedder: Any, settings: argparse.Namespace, preflight: Preflight
) -> dict[str, list[Cell]]:
    cm = contextkit.load({"embedder": embedder, "policies": []})
    thread = cm.thread(talk.pool.name)
    thread.append([dict(item.message()) for item in talk.pool.items])
    began = time.process_time()
    policy = GraphOfRecords(every=settings.every)
    n_made = policy.build(thread)
    took = time.process_time() - began
    memory = thread.memory
    recalled = Recalled(Memo(cm.history, thread.tenant), thread.name, cm.embedder)
    recalled.refresh()
    print(f"# {thread.name}: {len(thread)} turns, {n_made} records, {took:.1f} CPU s", flush=True)
    ways = {
        f"walk {d}, weight {w}": Way(w, settings.damping, d, 6, 0.5)
        for d in ("both", "forward")
        for w in settings.weights
    }
    nets: dict[str, tuple[Way, Learning]] = {}
    texts = {handle: text for page in pages(cm.history, thread.record_) for handle, text in page}
    if settings.learned:
        for direction in ("both", "forward"):
            for residual in (True, False):
                way = Way(settings.weights[0], 0.5, direction, 6, 0.5)
                learning = Learning(residual=residual, epochs=settings.epochs)
                began = time.process_time()
                recalled.train(texts, way, learning)
                name = f"network {direction}{', residual' if residual else ''}"
                nets[name] = way, learning
                print(f"# {name}: {time.process_time() - began:.0f} CPU s", flush=True)
    cells: dict[str, list[Cell]] = {}
    count = counter()
    for question in talk.pool.questions[:: settings.stride]:
        hits = memory.search(question.text, top=TOP)
        rankings = memory.rankings(question.text, top=3)
        agreed = agreement(rankings["lexical"], rankings["dense"], 3)
        first = {hit.passage.start for hit in hits[:3]}
        preflight.rows.append((agreed, not first.isdisjoint(question.evidence)))
        scores = {hit.handle: hit.score for hit in hits}
        cells.setdefault("search alone", []).append(score(talk, question, hits))
        read, costs = put_first(question.text, hits, count)
        skips = score(talk, question, hits)
        cell = score(talk, question, read, costs)
        cells.setdefault("read in parts, extracted", []).append(cell)
        cells.setdefault("the same after the preflight", []).append(skips if agreed > 0.3 else cell)
        for name, way in ways.items():
            found = regained(hits, recalled.walked(question.text, scores, way))
            cells.setdefault(name, []).append(score(talk, question, found))
        for name, (way, learning) in nets.items():
            near = {hit.handle: texts[hit.handle] for hit in hits}
            found = regained(hits, recalled.learned(question.text, near, way, learning) or {})
            cells.setdefault(name, []).append(score(talk, question, found))
    cm.close()
    return cells


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """95 % of the resampled means (bootstrap over questions)."""
    draw = random.Random(7)
    n = len(differences)
    means = sorted(sum(draw.choices(differences, k=n)) / n for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def report(cells: dict[str, list[Cell]]) -> None:
    print(f"| method | {' | '.join(map(str, BUDGETS))} | difference at 1,024 |")
    print("| --- |" + " --- |" * (len(BUDGETS) + 1))
    base = cells["search alone"]
    for name, rows in cells.items():
        means = [100 * sum(row.scores[i] for row in rows) / len(rows) for i in range(len(BUDGETS))]
        gains = [100 * (a.scores[1] - b.scores[1]) for a, b in zip(rows, base, strict=True)]
        low, high = interval(gains)
        told = f"{sum(gains) / len(gains):+.1f} [{low:+.1f}, {high:+.1f}]"
        print(f"| {name} | {' | '.join(f'{m:.1f}' for m in means)} | {told} |")
    for category in sorted({row.category for row in base}):
        line = [
            f"{name} {100 * sum(c.scores[1] for c in of) / len(of):.1f}"
            for name, rows in cells.items()
            if (of := [row for row in rows if row.category == category])
        ]
        print(f"# category {category} at 1,024: {'; '.join(line)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--limit", type=int, default=None, help="talks that are read")
    parser.add_argument("--skip", type=int, default=0, help="talks that are passed over first")
    parser.add_argument("--stride", type=int, default=1, help="one in so many questions is asked")
    parser.add_argument(
        "--every", type=int, default=2, help="a question from one in so many stretches"
    )
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--damping", type=float, default=0.5)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.5])
    parser.add_argument("--learned", action="store_true", help="train networks too")
    parser.add_argument("--epochs", type=int, default=150)
    settings = parser.parse_args()
    cells: dict[str, list[Cell]] = {}
    preflight = Preflight()
    for talk in talks(settings.path)[settings.skip :][: settings.limit]:
        for name, rows in measure(talk, {"kind": settings.embedder}, settings, preflight).items():
            cells.setdefault(name, []).extend(rows)
    report(cells)
    preflight.report()


if __name__ == "__main__":
    main()
