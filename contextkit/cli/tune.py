"""`contextkit tune`: searches policy settings on recorded runs and writes the YAML it found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from contextkit import replay
from contextkit.cli.opening import UsageError, check_target, out, print_json, progress, write_text
from contextkit.cli.replay import cells, load_runs, split_paths
from contextkit.inspector.words import clean, count
from contextkit.replay.tuning import Constraints, Memory, Trial, Tuned, Tuner, to_yaml

HEADS = ("setting", "cost", "cached", "kept", "peak", "moved", "grounded", "reachable", "ms")


@dataclass(frozen=True, slots=True)
class Options:
    """How a search is asked for."""

    provider: str
    window: int | None
    reserve: int | None
    tokenizer: str
    rules: Path | None
    cadence_s: float
    limit: int | None
    constraints: Constraints
    trials: int
    output: Path
    state: Path | None
    as_json: bool


def run_tune(files: Sequence[Path], start: Path | None, options: Options) -> None:
    """Search from a configuration, write the one found, show both on both sides of the split."""
    runs, more = split_paths(files)
    if not runs:
        raise UsageError("no recordings: give a JSON or JSONL file (.gz too) before the options")
    begins = [*([start] if start else []), *more]
    if len(begins) > 1:
        raise UsageError("tune starts from one configuration; give one --start")
    check_target(options.output)
    default = replay.Setup("default", {"policies": list(replay.DEFAULT_POLICIES)})
    setup = replay.load_setup(begins[0]) if begins else default
    setup = setup.within(options.window, options.reserve)
    provider = replay.find_provider(
        options.provider, tokenizer=options.tokenizer, rules=options.rules
    )
    recordings = load_runs(runs, options.limit)
    with progress("tuning", options.trials) as advance:
        tuner = Tuner(
            recordings,
            provider,
            options.constraints,
            cadence_s=options.cadence_s,
            memory=Memory(options.state),
            on_trial=advance,
        )
        tuned = tuner.tune(setup, max_trials=options.trials)
    write_text(options.output, to_yaml(tuned, provider, options.constraints))
    _show(tuned, options)


def _show(tuned: Tuned, options: Options) -> None:
    rows = [
        ("before", tuned.start),
        ("after", tuned.best),
        ("before, held out", tuned.held_out_start),
        ("after, held out", tuned.held_out_best),
    ]
    shown = [(name, trial) for name, trial in rows if trial is not None]
    if options.as_json:
        print_json(
            {
                "output": str(options.output),
                "trials": tuned.n_trials,
                "moves": list(tuned.moves),
                "violation": tuned.best.violation,
                "settings": {name: _json(trial) for name, trial in shown},
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    for index, head in enumerate(HEADS):
        table.add_column(head, justify="left" if index == 0 else "right", overflow="fold")
    for name, trial in shown:
        table.add_row(*cells({**trial.row, "setup": name}))
    console = out()
    console.print(table)
    for move in tuned.moves:
        console.print(Text(clean(move)))
    if tuned.best.violation:
        console.print(
            Text("no setting that was tried keeps all constraints; this one misses them least"),
            style="yellow",
        )
    console.print(Text(f"{count(tuned.n_trials, 'replay')}; wrote {options.output}"), style="dim")


def _json(trial: Trial) -> dict[str, object]:
    return {**trial.row, "policies": trial.setup.fields.get("policies")}
