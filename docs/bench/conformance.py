"""The tables of docs/conformance.md: peers and shipped policy stacks held against the same conversations.

    python docs/bench/conformance.py peers --cases 400 --shape tools
    python docs/bench/conformance.py reported --cases 400
    python docs/bench/conformance.py stacks --cases 10000 --jobs 16 --out stacks.json

`stacks` judges every call of every transcript; budgets and forms take turns, fifty transcripts each. It
goes on where its file ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from contextkit.testing import SHAPES, Form, Shape, conform
from contextkit.testing.conformance import Report, conform_each
from contextkit.testing.managed import managed
from contextkit.testing.peers import as_subject, is_installed, peers
from docs.bench import reported

SHOWN = ("valid", "request", "budget", "system")
CHUNK = 50
BUDGETS = (300, 500, 1000)
FORMS: tuple[Form, ...] = ("openai", "anthropic")
AGENT = {"policies": ["tool_results", "sliding_window", "cacheable_prefix"]}


def row(name: str, report: Report) -> str:
    """One row of the table: broken shares, how much of the prefix is repeated."""
    cells = [f"{report.rate(law)[0]:.1%}" if report.broken[law] else "0" for law in SHOWN]
    cells += [f"{report.moved_share:.0%}", f"{report.reused_share:.0%}"]
    return f"| {name} | " + " | ".join(cells) + " |"


def show_peers(n_cases: int, budget_tokens: int, shape: Shape) -> None:
    """The peers that are installed, then contextkit's default policies."""
    print(
        "| subject | version | invalid | request lost | over budget | system lost | moved | reused |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for peer in peers():
        if not is_installed(peer):
            print(f"| {peer.about} | {peer.package} | not installed | | | | | |", flush=True)
            continue
        subject = as_subject(peer)
        report = conform(subject, n_cases=n_cases, budget_tokens=budget_tokens, shape=shape)
        print(row(f"{peer.about} | {subject.version}", report), flush=True)
        others = {law: n for law, n in report.broken.items() if law not in SHOWN}
        if others:
            print(f"also {subject.name}: {others}, {report.examples}", file=sys.stderr)
    own = managed(AGENT)
    report = conform(own, n_cases=n_cases, budget_tokens=budget_tokens, shape=shape)
    print(row(f"`{', '.join(AGENT['policies'])}` | contextkit {own.version}", report))
    print(f"tight: {report.n_tight} of {report.n_calls}", file=sys.stderr)


def run_chunk(chunk: int, n_cases: int, shape: Shape) -> tuple[int, list[Report]]:
    """One chunk of transcripts through every shipped stack, every call judged."""
    from tests.laws.stacks import STACKS

    quiet()
    form, budget = FORMS[chunk % 2], BUDGETS[chunk % 3]
    subjects = [
        managed(
            {"policies": [dict(row) for row in stack.policies], "embedder": stack.embedder},
            form=form,
            name=stack.name,
        )
        for stack in STACKS
    ]
    reports = conform_each(
        subjects, n_cases=n_cases, budget_tokens=budget, first=chunk * CHUNK,
        form=form, shape=shape, every_call=True, again=False,
    )  # fmt: skip
    return chunk, reports


def add(found: dict[str, Counter[str]], chunk: int, reports: list[Report]) -> None:
    """The counts of a chunk onto those of the others; what broke a law is printed."""
    for report in reports:
        counts = found.setdefault(report.subject, Counter())
        counts.update(transcripts=report.n_cases, calls=report.n_calls, tight=report.n_tight)
        counts.update(report.broken)
        wrong = {law: text for law, text in report.examples.items() if law != "answers"}
        if wrong:
            print(f"{report.subject}, chunk {chunk}: {wrong}", flush=True)


def run_stacks(n_cases: int, out: Path, jobs: int, shape: Shape) -> None:
    """Every shipped stack on the same transcripts, chunk by chunk; counts are added up in a file."""
    done: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    chunks: list[int] = done.get("chunks", [])
    found = {name: Counter(counts) for name, counts in done.get("stacks", {}).items()}
    open_chunks = sorted(set(range(-(-n_cases // CHUNK))) - set(chunks))
    sizes = [min(CHUNK, n_cases - chunk * CHUNK) for chunk in open_chunks]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        pairs = zip(open_chunks, sizes, strict=True)
        runs = [pool.submit(run_chunk, *pair, shape) for pair in pairs]
        for run in as_completed(runs):
            chunk, reports = run.result()
            add(found, chunk, reports)
            chunks.append(chunk)
            stacks = {name: dict(counts) for name, counts in found.items()}
            out.write_text(json.dumps({"chunks": chunks, "stacks": stacks}, indent=1))
            n_transcripts = max((counts["transcripts"] for counts in found.values()), default=0)
            n_calls = sum(counts["calls"] for counts in found.values())
            print(
                f"{n_transcripts:,} transcripts x {len(found)} stacks, {n_calls:,} calls",
                flush=True,
            )


def quiet() -> None:
    """No warnings between the rows."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def main() -> None:
    """Read the arguments and run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("peers", "reported", "stacks"))
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--budget", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the transcripts of `reported`")
    parser.add_argument(
        "--shape", choices=tuple(SHAPES), default="", help="mixed; `reported`: tools"
    )
    parser.add_argument("--out", type=Path, default=Path("stacks.json"))
    parser.add_argument("--jobs", type=int, default=1, help="processes for `stacks`")
    options = parser.parse_args()
    quiet()
    usual = "tools" if options.what == "reported" else "mixed"
    shape = SHAPES[options.shape or usual]
    match options.what:
        case "peers":
            show_peers(options.cases, options.budget, shape)
        case "reported":
            reported.show(options.cases, options.seed, shape)
        case _:
            run_stacks(options.cases, options.out, options.jobs, shape)


if __name__ == "__main__":
    main()
