"""`contextkit replay`: recorded conversations under several configurations, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table
from rich.text import Text

from contextkit import replay
from contextkit.cli.importing import is_stdin, read_bytes
from contextkit.cli.opening import (
    UsageError,
    aside,
    check_target,
    out,
    print_json,
    progress,
    write_text,
)
from contextkit.errors import ReplayError
from contextkit.inspector.unfolded import Unfolded
from contextkit.inspector.words import clean, count, percent
from contextkit.replay.bills import Held
from contextkit.replay.outcome import call_json, figures

HEADS = ("configuration", "cost", "cached", "kept", "peak", "moved", "grounded", "reachable", "ms")
_YAML = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Options:
    """How a replay is asked for."""

    provider: str
    window: int | None
    reserve: int | None
    tokenizer: str
    rules: Path | None
    cadence_s: float
    schema_tokens: int
    limit: int | None
    html: Path | None
    as_json: bool
    calls: bool
    baseline: bool
    keep_warm: bool


def split_paths(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Recordings and configurations: `--policy a.yaml b.yaml` hands the second on as a file."""
    setups = [path for path in paths if path.suffix in _YAML]
    return [path for path in paths if path.suffix not in _YAML], setups


def load_runs(paths: Sequence[Path], limit: int | None) -> list[replay.Recording]:
    """All recordings of the files; what is wrong with them is said on stderr."""
    recordings: list[replay.Recording] = []
    for path in paths:
        reading = _read_stdin() if is_stdin(path) else replay.read(path)
        recordings += reading.recordings
        say_notes(reading.notes)
    return recordings[:limit]


def _read_stdin() -> replay.Reading:
    """The recordings that are piped in."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "stdin")
        path.write_bytes(read_bytes(Path("-")))
        try:
            return replay.read(path)
        except ReplayError as error:
            raise ReplayError(str(error).replace(str(path), "stdin")) from None


def say_notes(notes: Sequence[str]) -> None:
    """Remarks on stderr, a few of many."""
    for note in notes[:8]:
        aside().print(Text(clean(note)), style="yellow")
    if len(notes) > 8:
        aside().print(f"... and {len(notes) - 8} more remarks", style="dim")


def run_replay(files: Sequence[Path], policies: Sequence[Path], options: Options) -> None:
    """Replay every recording under every configuration, and show what came of it."""
    runs, more = split_paths(files)
    if not runs:
        raise UsageError("no recordings: give a JSON or JSONL file (.gz too) before the options")
    if options.html is not None:
        check_target(options.html)
    provider = replay.find_provider(
        options.provider, tokenizer=options.tokenizer, rules=options.rules
    )
    given = [replay.load_setup(path) for path in (*policies, *more)]
    setups = [setup.within(options.window, options.reserve) for setup in given]
    if options.baseline or not setups:
        setups.insert(0, replay.everything())
    recordings = load_runs(runs, options.limit)
    n_calls = sum(len(recording.calls) for recording in recordings) * len(setups)
    with progress("replaying", n_calls) as advance:
        comparison = replay.compare(
            recordings,
            setups,
            provider,
            cadence_s=options.cadence_s,
            schema_tokens=options.schema_tokens,
            keep_ledgers=options.html is not None,
            keep_warm=options.keep_warm,
            on_call=advance,
        )
    say_notes(comparison.notes)
    _show(comparison, options)


def _show(comparison: replay.Comparison, options: Options) -> None:
    if options.html is not None:
        from contextkit.replay.report import render

        write_text(options.html, render(comparison))
        aside().print(f"wrote {options.html}", style="dim")
    if options.as_json:
        value = comparison.to_json()
        if options.calls:
            for row, summary in zip(value["setups"], comparison.summaries, strict=True):
                row["recordings"] = [_run_json(outcome) for outcome in summary.outcomes]
        print_json(value)
        return
    console = out()
    console.print(Unfolded(table(comparison)))
    for summary in comparison.summaries:
        faults = [call for call in summary.calls if call.refused or call.problems]
        if faults:
            first = faults[0].refused or faults[0].problems[0]
            text = f"{summary.setup}: {count(len(faults), 'refused or invalid call')}; {first}"
            console.print(Text(clean(text)), style="yellow")
    console.print(Text(footing(comparison)), style="dim")


def _run_json(outcome: replay.Outcome) -> dict[str, object]:
    return {
        "recording": outcome.recording,
        **figures(outcome.setup, [outcome]),
        "turns": [call_json(call) for call in outcome.calls],
    }


def table(comparison: replay.Comparison) -> Table:
    """One row a configuration."""
    shown = Table(box=None, pad_edge=False)
    rows = [summary.to_json() for summary in comparison.summaries]
    warm = (
        [f"{row['warm_reads']:,}" for row in rows] if any(row["warm_reads"] for row in rows) else []
    )
    for index, head in enumerate((*HEADS, "warm") if warm else HEADS):
        shown.add_column(head, justify="left" if index == 0 else "right", overflow="fold")
    for index, row in enumerate(rows):
        shown.add_row(*cells(row), *warm[index : index + 1])
    return shown


def cells(row: dict[str, object]) -> list[str]:
    """The figures of a configuration as words."""

    def number(name: str, form: str) -> str:
        value = row[name]
        return "-" if value is None else format(value, form)

    def part(name: str) -> str:
        value = row[name]
        return percent(value) if isinstance(value, float) else "-"

    return [
        clean(str(row["setup"])),
        number("cost", ".3f"),
        part("read_share"),
        part("kept_share"),
        number("peak_tokens", ",d"),
        number("moves", ",d"),
        number("grounded", ".1%"),
        number("reachable", ".1%"),
        number("assembly_ms_p50", ".2f"),
    ]


def footing(comparison: replay.Comparison) -> str:
    """What the figures of a table mean and go by."""
    first = comparison.summaries[0].to_json()
    provider = comparison.provider
    return (
        f"{count(first['runs'], 'recording')}, {count(first['calls'], 'call')}, "
        f"{first['full_tokens']:,} tokens sent whole. cost: of the input, over the same history sent "
        f"whole and uncached ({provider}, rules of {provider.rule.as_of}, counted with "
        f"{provider.counter.name}). grounded: recorded tool calls whose ids, paths and names stand in "
        "the context; reachable: there or behind a handle." + _recorded(comparison.held)
    )


def _recorded(held: Held | None) -> str:
    if held is None:
        return ""
    together = "" if held.correlation is None else f", correlation {held.correlation:.3f}"
    return (
        f" {count(held.runs, 'run')} billed ${held.recorded_usd:,.2f}; simulated "
        f"${held.simulated_usd:,.2f} with rates learned from the other half of them "
        f"(${held.unlearned_usd:,.2f} unlearned){together}."
    )
