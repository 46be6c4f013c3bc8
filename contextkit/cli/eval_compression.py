"""`contextkit eval compression`: what compression keeps at a rate, beside the plain ways to drop words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from contextkit.cli.opening import UsageError, out, print_json, progress, write_text
from contextkit.compression.base import Compresses
from contextkit.compression.methods import NAMES, encoder, method, scorer
from contextkit.evals.compression import Judges, Outcome, Reader, run
from contextkit.evals.compression_baselines import BASELINES
from contextkit.evals.compression_cases import cases
from contextkit.evals.plot import plot
from contextkit.evals.recall import Figure, figure
from contextkit.inspector.words import clean
from contextkit.plugins import find_missing
from contextkit.tokens import TiktokenCounter

RATES = (0.25, 0.5)
ASKED = (True, False)
TUNED = "llmlingua2+minilm"
"""`llmlingua2` with `encoder: minilm`, where its packages are installed."""
SHARES = {"answers": "answer, %", "protected": "protected, %", "read": "read, %"}


@dataclass(frozen=True, slots=True)
class Options:
    """How a compression evaluation is asked for."""

    methods: tuple[str, ...]
    rates: tuple[float, ...]
    passages: int
    scorer: str
    judge: str
    limit: int | None
    plot: Path | None
    as_json: bool


def run_compression(paths: Sequence[Path], options: Options) -> None:
    """Evaluate every file and show a table a data set, or all as JSON."""
    methods = _methods(options)
    judges = _judges(options)
    count = TiktokenCounter().count
    outcomes: list[Outcome] = []
    for path in paths:
        found = cases(path, options.passages)[: options.limit]
        asked = ASKED if any(case.question for case in found) else (False,)
        n_steps = len(found) * len(methods) * len(options.rates) * len(asked)
        with progress(clean(path.name), n_steps) as advance:
            for outcome in run(found, methods, options.rates, count, asked, judges):
                outcomes.append(outcome)
                advance()
    summary = summarize(outcomes)
    if options.plot is not None:
        _draw(summary, options)
    if options.as_json:
        print_json({"passages": options.passages, "scorer": options.scorer, "data_sets": summary})
        return
    for data_set, rows in summary.items():
        _show(data_set, rows)


def _methods(options: Options) -> list[tuple[str, Compresses]]:
    known: dict[str, Compresses] = {baseline.kind: baseline for baseline in BASELINES}
    by = scorer(options.scorer)
    for name in NAMES:
        known[name] = method(name, "stub", by)
    reader = encoder("minilm")
    missing = find_missing(reader)
    if missing is None:
        known[TUNED] = method("llmlingua2", "stub", reader=reader)
    elif TUNED in options.methods:
        raise UsageError(f"--method {TUNED}: {missing}")
    unknown = set(options.methods) - known.keys()
    if unknown:
        raise UsageError(
            f"--method {sorted(unknown)[0]}: no such method; there are {', '.join(known)}"
        )
    return [(name, made) for name, made in known.items() if name in (options.methods or known)]


def _judges(options: Options) -> Judges:
    if not options.judge:
        return Judges()
    return Judges(scorer("local", model=options.judge), _reader(options.judge))


def _reader(model: str) -> Reader:
    from contextkit.manager import load

    manager = load(
        {
            "backend": {"kind": "local", "model": model, "max_new_tokens": 24},
            "history": {"kind": "memory"},
        }
    )

    def read(text: str, question: str) -> str:
        call = manager.thread("reader").assemble(f"{text}\n\n{question}")
        return manager.backend.complete(call).text

    return read


def summarize(outcomes: Sequence[Outcome]) -> dict[str, list[dict[str, Any]]]:
    """By data set: a row for each method, rate, and whether the question was known."""
    found: dict[str, list[dict[str, Any]]] = {}
    keys = dict.fromkeys((o.data_set, o.rate, o.asked, o.method) for o in outcomes)
    for data_set, rate, asked, name in sorted(keys, key=lambda k: (k[0], k[1], not k[2])):
        own = [
            o
            for o in outcomes
            if (o.data_set, o.rate, o.asked, o.method) == (data_set, rate, asked, name)
        ]
        errors = sorted(100 * o.rate_error for o in own)
        found.setdefault(data_set, []).append(
            {
                "method": name,
                "rate": rate,
                "asked": asked,
                "n": len(own),
                "rate_error_median": round(errors[len(errors) // 2], 2),
                "rate_error_least": round(errors[0], 2),
                "over_target": sum(o.achieved_tokens > o.target_tokens for o in own),
                "answers": _share([o.answer for o in own]),
                "protected": _share([o.protected for o in own]),
                "read": _share([o.read for o in own]),
                "added_bits": _mean([o.added_bits for o in own]),
                "cpu_ms": round(sum(o.ms for o in own) / len(own), 2),
            }
        )
    return found


def _share(values: Sequence[float | None]) -> dict[str, float] | None:
    told = [float(value) for value in values if value is not None]
    return asdict(figure(told)) if told else None


def _mean(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return round(sum(told) / len(told), 3) if told else None


def _show(data_set: str, rows: Sequence[dict[str, Any]]) -> None:
    """One table; columns that nothing was measured for are left away."""
    table = Table(title=f"{clean(data_set)}, n = {rows[0]['n']:,}", title_justify="left", box=None)
    columns = [(name, head) for name, head in SHARES.items() if any(row[name] for row in rows)]
    judged = any(row["added_bits"] is not None for row in rows)
    for head in ("rate", "question", "method"):
        table.add_column(head, no_wrap=True)
    for head in (*(head for _, head in columns), *["added bits"] * judged, "off", "ms"):
        table.add_column(head, justify="right", no_wrap=True)
    before: tuple[Any, ...] = ()
    for row in rows:
        group = (row["rate"], row["asked"])
        new = group != before
        table.add_row(
            f"{row['rate']:.2f}" if new else "",
            ("known" if row["asked"] else "unknown") if new else "",
            row["method"],
            *(_told(row[name]) for name, _ in columns),
            *([_signed(row["added_bits"])] if judged else []),
            f"{row['rate_error_median']:+.1f}",
            f"{row['cpu_ms']:.{1 if row['cpu_ms'] < 100 else 0}f}",
        )
        before = group
    out().print(table)


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"


def _told(share: dict[str, float] | None) -> str:
    return (
        "" if share is None else f"{share['value']:.1f} [{share['low']:.0f}, {share['high']:.0f}]"
    )


def _draw(summary: dict[str, list[dict[str, Any]]], options: Options) -> None:
    """Answers kept by rate where questions are known; protected spans for texts without questions."""
    assert options.plot is not None
    rates = sorted(options.rates)
    for data_set, found in summary.items():
        what = "answers" if found[0]["answers"] else "protected"
        asked = what == "answers"
        rows: dict[str, list[Figure]] = {}
        for row in found:
            if row["asked"] == asked and row[what]:
                rows.setdefault(row["method"], []).append(Figure(**row[what]))
        path = options.plot
        if len(summary) > 1:
            path = path.with_stem(f"{path.stem}-{data_set.lower().replace(' ', '-')}")
        percent = [round(100 * rate) for rate in rates]
        write_text(path, plot(f"{data_set}: {what} kept", percent, rows, "tokens kept, %"))
