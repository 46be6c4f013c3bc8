"""Perplexity of one long text read as a stream: sinks, a window alone, everything, and re-reading.

    python docs/bench/perplexity.py TEXT [--model pocket] [--tokens 200000] [--window 1024] [--out FILE]

TEXT is a plain text file, `.gz` too, repeated where it is too short. Ways:

    sinks       4 sinks and the window, in the model's dtype
    int4-int8   the same, full pages quantised
    window      the window without sinks
    dense       everything read so far (its first `--dense-tokens` only)
    recompute   the last sinks + window + 1 tokens read anew for one token, every `--stride` tokens;
                the model's begin-of-text token stands for the first of them

The stream begins with that token too, where the model has one: it is what a trained model leans on.

A token's prediction is counted where its position lies. The last table compares all ways on the tokens
that `recompute` was asked for, with the standard error of the paired difference. Read in chunks of
`--chunk` tokens, which no way but int4-int8 notices: there, the keys of a chunk and of the page in progress
are read unquantised.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import math
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from contextkit_backends.local.engine import Engine
from contextkit_backends.local.load import find_folder, load_model

EDGES = (0, 1024, 2048, 4096, 6144, 8192, 16384, 32768, 65536, 131072)


@dataclass(frozen=True)
class Way:
    """One way of reading; `losses` gives, for each position asked, -log p of the token after it."""

    name: str
    n_tokens: int
    losses: Callable[[list[int]], Iterator[tuple[int, float]]]


def streamed(options: argparse.Namespace, **settings: Any) -> Callable[..., Any]:
    """Losses of an engine's stream, at every position."""

    def losses(ids: list[int]) -> Iterator[tuple[int, float]]:
        engine = Engine.load(
            options.model,
            device=options.device,
            dtype=options.dtype,
            page_tokens=options.page_tokens,
            pool_tokens=2 * options.chunk + settings.pop("tokens_kept"),
            chunk_tokens=options.chunk,
            **settings,
        )
        with engine.stream() as stream:
            for start in range(0, len(ids) - 1, options.chunk):
                chunk = ids[start : min(start + options.chunk, len(ids) - 1)]
                after = torch.tensor(ids[start + 1 : start + 1 + len(chunk)])
                found = log_loss(stream.extend(chunk), after)
                yield from zip(range(start, start + len(chunk)), found, strict=True)

    return losses


def recomputed(options: argparse.Namespace, context: int, begins: int | None) -> Callable[..., Any]:
    """Losses of a fresh forward pass over the last `context` tokens, every `stride` positions."""

    def losses(ids: list[int]) -> Iterator[tuple[int, float]]:
        model = load_model(
            find_folder(options.model),
            device=options.device,
            dtype=options.dtype,
            trust_remote_code=False,
        )
        asked = range(context - 1, len(ids) - 1, options.stride)
        for start in range(0, len(asked), options.batch):
            ends = asked[start : start + options.batch]
            windows = torch.tensor([ids[end + 1 - context : end + 1] for end in ends])
            if begins is not None:
                windows[:, 0] = begins
            with torch.inference_mode():
                logits = model(windows.to(model.device), use_cache=False, logits_to_keep=1).logits
            found = log_loss(logits[:, -1].float(), torch.tensor([ids[end + 1] for end in ends]))
            yield from zip(ends, found, strict=True)

    return losses


def log_loss(logits: Any, after: Any) -> list[float]:
    """-log p of the tokens `after [n]` under `logits [n, vocab]`."""
    found: list[float] = torch.nn.functional.cross_entropy(
        logits, after.to(logits.device), reduction="none"
    ).tolist()
    return found


def ways(options: argparse.Namespace, begins: int | None) -> list[Way]:
    """Those that were asked for, in the order of the table."""
    sinks, window, n = options.sinks, options.window, options.tokens
    kept = {"window": window, "tokens_kept": sinks + window + 2 * options.page_tokens}
    n_dense = min(n, options.dense_tokens)
    context = sinks + window + 1
    every = [
        Way("sinks", n, streamed(options, sinks=sinks, kv="bf16", **kept)),
        Way("int4-int8", n, streamed(options, sinks=sinks, kv="int4-int8", **kept)),
        Way("window", n, streamed(options, sinks=0, kv="bf16", **kept)),
        Way("dense", n_dense, streamed(options, kv="bf16", tokens_kept=n_dense)),
        Way("recompute", n, recomputed(options, context, begins)),
    ]
    return [way for way in every if way.name in options.ways]


def perplexity(losses: dict[int, float], positions: Iterator[int] | range) -> float | None:
    """Over those of the positions that were asked; None where there are none."""
    found = [losses[position] for position in positions if position in losses]
    return math.exp(math.fsum(found) / len(found)) if found else None


def compare(
    losses: dict[int, float], other: dict[int, float], positions: list[int]
) -> tuple[float, float, float]:
    """Perplexity, and by how many percent it is over the other's, with its standard error."""
    differences = [losses[position] - other[position] for position in positions]
    mean = math.fsum(differences) / len(differences)
    spread = math.fsum((x - mean) ** 2 for x in differences) / max(1, len(differences) - 1)
    own = math.fsum(losses[position] for position in positions) / len(positions)
    return math.exp(own), 100 * math.expm1(mean), 100 * math.sqrt(spread / len(positions))


def read_tokens(options: argparse.Namespace) -> tuple[list[int], int | None]:
    """The first `tokens` of the text, repeated where it is too short; the token that texts begin with."""
    data = options.text.read_bytes()
    text = (gzip.decompress(data) if options.text.suffix == ".gz" else data).decode()
    tokenizer = transformers.AutoTokenizer.from_pretrained(find_folder(options.model))
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    begins: int | None = tokenizer.bos_token_id
    ids = ids * -(-options.tokens // len(ids))
    if begins is not None:
        ids = [begins, *ids]
    return ids[: options.tokens], begins


def table(header: list[str], rows: list[list[Any]]) -> str:
    """Markdown, perplexities with two digits."""
    cells = [
        [f"{x:.2f}" if isinstance(x, float) else "" if x is None else str(x) for x in row]
        for row in rows
    ]
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *cells])


def report(options: argparse.Namespace, measured: dict[str, dict[int, float]]) -> dict[str, Any]:
    """Curves by position, and all ways on the positions that `recompute` was asked for."""
    edges = [edge for edge in EDGES if edge < options.tokens] + [options.tokens]
    spans = [range(a, b) for a, b in itertools.pairwise(edges)]
    names = [name for name in measured if name != "recompute"]
    curves = [
        [f"{span.start:,} - {span.stop:,}", *(perplexity(measured[name], span) for name in names)]
        for span in spans
    ]
    print(table(["position", *names], curves))
    found: dict[str, Any] = {"curves": [["position", *names], *curves]}
    asked = sorted(measured.get("recompute", ()))
    if asked:
        paired = [
            [name, *compare(losses, measured["recompute"], asked)]
            for name, losses in measured.items()
            if max(losses) >= asked[-1]
        ]
        header = ["way", "perplexity", "against recompute, %", "standard error, %"]
        print(f"\n{len(asked):,} positions, every {options.stride} tokens:\n")
        print(table(header, paired))
        found["paired"] = [header, *paired]
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--dense-tokens", type=int, default=8192)
    parser.add_argument("--sinks", type=int, default=4)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument("--page-tokens", type=int, default=64)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--stride", type=int, default=61)
    parser.add_argument(
        "--batch", type=int, default=32, help="Windows that recompute reads at once."
    )
    parser.add_argument(
        "--ways", nargs="+", default=["sinks", "int4-int8", "window", "dense", "recompute"]
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--out", type=Path, help="All figures as JSON.")
    return parser.parse_args()


def main() -> None:
    options = parse()
    ids, begins = read_tokens(options)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor()
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    print(
        f"{options.model}, {options.tokens:,} tokens of {options.text.name}; {device}; {versions}\n"
    )
    measured: dict[str, dict[int, float]] = {}
    seconds: dict[str, float] = {}
    for way in ways(options, begins):
        began = time.perf_counter()
        measured[way.name] = dict(way.losses(ids[: way.n_tokens]))
        seconds[way.name] = time.perf_counter() - began
    figures = report(options, measured)
    print("\n" + ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items()))
    if options.out:
        settings = {key: str(value) for key, value in vars(options).items()}
        said = {"settings": settings, "device": device, "versions": versions, "seconds": seconds}
        options.out.write_text(json.dumps({**said, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
