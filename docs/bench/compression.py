"""Answers kept at 4x on held-out questions, rate errors from 50 to 50,000 tokens, and speed.

    python -P docs/bench/compression.py answers NQ_OPEN|SQUAD [PASSAGES [SCORER [METHOD …]]]
    python -P docs/bench/compression.py rates TEXT
    python -P docs/bench/compression.py speed TEXT [SCORER]
    python -P docs/bench/compression.py throughput TEXT [--texts N] [--characters N] [--device D] …

What is shipped was trained on the first 700 questions of the lost-in-the-middle file, on MuSiQue, HotpotQA
and paragraphs of SQuAD's training part: `answers` takes the former's from 700 on; give it SQuAD's
development part. Of more than 1,000 questions it draws so many. Speeds are CPU time of one thread;
`throughput` is that of texts that are scored by a model, told side by side and one after the other, in wall
and CPU time; with `--processes N` so many tell all of the texts at the same time.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
from collections.abc import Callable
from multiprocessing import Queue, get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from time import perf_counter, process_time

from contextkit.cli.eval_compression import TUNED
from contextkit.compression.base import Compressed, Compresses
from contextkit.compression.in_step import Task, compress_many
from contextkit.compression.methods import NAMES, MethodName, encoder, method, scorer
from contextkit.evals.compression import run
from contextkit.evals.compression_baselines import BASELINES
from contextkit.evals.compression_cases import cases
from contextkit.evals.recall import figure
from contextkit.tokens import TiktokenCounter

HELD_OUT, DRAWN = 700, 1000
WARM_UP_SECONDS = 300
RATE = 0.25
QUESTION = "What should a founder do first?"
BY_WORDS: tuple[MethodName, ...] = tuple(name for name in NAMES if name != "structure")
count = TiktokenCounter().count


def answers(path: str, passages: str = "1", by: str = "surprisal", *named: str) -> None:
    """Per method: answers kept with the question and without it, in percent with their intervals.

    `llmlingua2+minilm` is told only where it is named.
    """
    found = cases(Path(path), int(passages))
    if found[0].data_set == "lost in the middle":
        found = found[HELD_OUT:]
    found = found if int(passages) == 1 else found[:100]
    found = found if len(found) <= DRAWN else random.Random(0).sample(found, DRAWN)
    methods: list[tuple[str, Compresses]] = [(b.kind, b) for b in BASELINES]
    methods += [(name, method(name, "stub", scorer(by))) for name in NAMES]
    if TUNED in named:
        methods.append((TUNED, method("llmlingua2", "stub", reader=encoder("minilm"))))
    methods = [each for each in methods if not named or each[0] in named]
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
    for name in NAMES:
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


def throughput(path: str, *options: str) -> None:
    """Tokens a second, end to end, of texts cut out of one; both ways have to tell the same."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=16)
    parser.add_argument("--characters", type=int, default=4000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="*", default=["llmlingua"])
    parser.add_argument("--alone", type=int, help="texts told one by one; default: all")
    parser.add_argument("--processes", type=int, default=1)
    told = parser.parse_args(options)
    if told.processes > 1:
        _side_by_side(path, told)
        return
    asked = scorer("local", device=told.device, dtype=told.dtype, threads=told.threads)
    tasks = _tasks(Path(path).read_text(encoding="utf-8"), told.texts, told.characters)
    for name in told.methods:
        by = method(name, "stub", asked)
        compress_many(by, tasks)
        gc.freeze()  # as a server does once it has loaded
        together: list[Compressed] = []
        for _ in range(told.repeats):
            together = _timed(f"{name} in step", tasks, lambda part, by=by: compress_many(by, part))
        part = tasks[: told.alone]
        alone = _timed(
            f"{name} one by one",
            part,
            lambda part, by=by: [made for task in part for made in compress_many(by, [task])],
        )
        same = sum(a.text == b.text for a, b in zip(together, alone, strict=False))
        print(f"{same} of {len(part)} texts the same both ways")


def _side_by_side(path: str, told: argparse.Namespace) -> None:
    """Tokens a second of several processes from the first one's start to the last one's end."""
    context = get_context("spawn")
    ready, done = context.Barrier(told.processes + 1), context.Queue()
    workers = [
        context.Process(target=_worker, args=(path, told, ready, done), daemon=True)
        for _ in range(told.processes)
    ]
    for worker in workers:
        worker.start()
    for name in told.methods:
        ready.wait(WARM_UP_SECONDS)
        began = perf_counter()
        tokens = sum(done.get(timeout=WARM_UP_SECONDS) for _ in workers)
        took = perf_counter() - began
        print(
            f"{name:26} {told.processes} processes {tokens:9,} tokens {took:7.2f} s"
            f" {tokens / took:9,.0f} tokens/s",
            flush=True,
        )
    for worker in workers:
        worker.join()


def _worker(path: str, told: argparse.Namespace, ready: Barrier, done: Queue[int]) -> None:
    asked = scorer("local", device=told.device, dtype=told.dtype, threads=told.threads)
    tasks = _tasks(Path(path).read_text(encoding="utf-8"), told.texts, told.characters)
    for name in told.methods:
        by = method(name, "stub", asked)
        compress_many(by, tasks)
        gc.freeze()
        ready.wait(WARM_UP_SECONDS)
        rounds = [compress_many(by, tasks) for _ in range(told.repeats)]
        done.put(sum(each.source_tokens for made in rounds for each in made))


def _tasks(text: str, n: int, characters: int) -> list[Task]:
    room = max(1, len(text) - characters)
    starts = [index * characters % room for index in range(n)]
    parts = [text[start : start + characters] for start in starts]
    return [Task(part, int(RATE * count(part)), count, QUESTION) for part in parts]


def _timed(
    name: str, tasks: list[Task], tell: Callable[[list[Task]], list[Compressed]]
) -> list[Compressed]:
    began, cpu = perf_counter(), process_time()
    made = tell(tasks)
    took, busy = perf_counter() - began, process_time() - cpu
    tokens = sum(each.source_tokens for each in made)
    print(
        f"{name:26} {len(tasks):5} texts {tokens:9,} tokens {took:7.2f} s {tokens / took:9,.0f} tokens/s"
        f" {tokens / busy:9,.0f} a CPU second",
        flush=True,
    )
    return made


COMMANDS: dict[str, Callable[..., None]] = {
    "answers": answers,
    "rates": rates,
    "speed": speed,
    "throughput": throughput,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
