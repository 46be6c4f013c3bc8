"""`contextkit kv-size`: what a local model's cache takes with every option of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from contextkit import plugins
from contextkit.cli.opening import UsageError, out, print_json
from contextkit.inspector.words import clean
from contextkit.kv_size import KvShape, KvSize, kv_size, read_shape, sizes

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def show_kv_size(
    model: str, n_tokens: int, *, sinks: int, window: int, page_tokens: int, as_json: bool
) -> None:
    """One row an option, and what in the model's shape the figures come from."""
    if page_tokens & (page_tokens - 1):
        raise UsageError(f"--page-tokens: {page_tokens} is not a power of two (16, 32, 64, 128)")
    if window < sinks:
        raise UsageError(f"--window: {window} is smaller than --sinks ({sinks})")
    shape = read_shape(plugins.find("backends", "local").describe_model(model))
    found = sizes(shape, n_tokens, sinks=sinks, window=window, page_tokens=page_tokens)
    plain = kv_size(shape, n_tokens, "bf16", page_tokens=page_tokens).n_bytes
    notes = list(_notes(shape, n_tokens))
    if as_json:
        rows = [{**asdict(size), "of_bf16": size.n_bytes / plain} for size in found]
        said = {"model": model, "tokens": n_tokens, "page_tokens": page_tokens}
        print_json({**said, "shape": asdict(shape), "options": rows, "notes": notes})
        return
    console = out()
    console.print(Text(clean(f"{model}: one stream of {n_tokens:,} tokens, {_describe(shape)}")))
    console.print(_table(found, plain))
    for note in notes:
        console.print(Text(note, style="dim"))


def _describe(shape: KvShape) -> str:
    heads = f"{shape.n_kv_heads} key-value heads for {shape.n_heads}"
    return f"{shape.n_layers} layers, {heads}, {shape.key_dim} + {shape.value_dim} numbers a head"


def _table(found: list[KvSize], plain: int) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    table.add_column("cache", no_wrap=True)
    for name in ("readable tokens", "bytes", "bytes a token", "of bf16"):
        table.add_column(name, justify="right", no_wrap=True)
    for size in found:
        kept = "" if size.window is None else f", {size.sinks} sinks + {size.window:,}"
        each = f"{size.n_bytes / max(1, size.n_tokens):,.0f}"
        share = f"{size.n_bytes / plain:.1%}"
        table.add_row(
            f"{size.option}{kept}", f"{size.n_tokens:,}", amount(size.n_bytes), each, share
        )
    return table


def _notes(shape: KvShape, n_tokens: int) -> Iterator[str]:
    if shape.n_kv_heads < shape.n_heads:
        times = shape.n_heads / shape.n_kv_heads
        yield f"Grouped heads: with a key-value head for each head it would be {times:g} times as much."
    if shape.sliding:
        windows = ", ".join(f"{window:,}" for window in sorted({*shape.sliding}))
        yield (
            f"{len(shape.sliding)} of {shape.n_layers} layers read only {windows} tokens back; their pages "
            "are kept like the others'."
        )
    if shape.latent_dim is not None:
        n_bytes = 2 * n_tokens * shape.n_layers * shape.latent_dim
        yield f"As compressed latents (bf16), which this engine expands, it would be {amount(n_bytes)}."


def amount(n_bytes: float) -> str:
    """Bytes in the unit that leaves at most four digits before the point."""
    for unit in _UNITS[:-1]:
        if n_bytes < 1024:
            return f"{n_bytes:,.0f} B" if unit == "B" else f"{n_bytes:,.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:,.1f} {_UNITS[-1]}"
