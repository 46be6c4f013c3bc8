"""Decoding on a GPU: tokens a second against the time to read the weights, and streaming at any length.

    python -P docs/bench/generate.py                  decode, 1.24 B and 8.03 B Llama shapes, random weights
    python -P docs/bench/generate.py --only stream    a window of 4,096 against re-computation
    python -P docs/bench/generate.py --peers          also transformers' generate, dynamic and compiled
    python -P docs/bench/generate.py --json FILE

Needs a CUDA device; -P keeps the names of this folder apart from packages'. Times are medians of three, on
an otherwise idle machine; the floor is the weights' bytes over the read bandwidth measured in the same run.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from contextkit_backends.local.engine import Engine

SHAPES: dict[str, dict[str, Any]] = {
    "1.24 B": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "8.03 B": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
    },
}
N_NEW = 128
SINKS, WINDOW = 4, 4096


def build(shape: str) -> Any:
    """A Llama of that shape with random weights, bf16, on the GPU."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        max_position_embeddings=131072, rope_theta=500000.0, **SHAPES[shape]
    )
    with torch.device("cuda"):
        torch.set_default_dtype(torch.bfloat16)
        model = transformers.LlamaForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def timed(act: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    act()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def read_bandwidth() -> float:
    """Bytes a second of summing 2 GiB, twenty times in a row."""
    values = torch.ones(2**29, dtype=torch.float32, device="cuda")

    def read() -> None:
        for _ in range(20):
            values.sum()

    read()
    return 20 * values.nbytes / statistics.median(timed(read) for _ in range(5))


def free() -> None:
    """Give the memory of what is not used any more back to the GPU."""
    gc.collect()
    torch.cuda.empty_cache()


def per_token(generate: Callable[[int], object]) -> float:
    """Seconds a token: the difference between a long and a short reply."""
    generate(8)
    short = statistics.median(timed(lambda: generate(8)) for _ in range(3))
    long = statistics.median(timed(lambda: generate(8 + N_NEW)) for _ in range(3))
    return (long - short) / N_NEW


def decode(shape: str, contexts: list[int], bandwidth: float, peers: bool) -> list[dict[str, Any]]:
    """Tokens a second, batch 1, and the share of the weight-read floor; ours first."""
    model = build(shape)
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    floor = bandwidth / weights
    rows: list[dict[str, Any]] = []

    def note(what: str, context: int, seconds: float, **more: Any) -> None:
        rate = 1 / seconds
        row = {"shape": shape, "what": what, "context": context, "tokens_per_s": round(rate, 1)}
        rows.append({**row, "of_floor": round(rate / floor, 3), "floor": round(floor, 1), **more})
        print(json.dumps(rows[-1]), flush=True)

    if peers:
        peer(model, contexts, note)
    engine = Engine.load(model, pool_tokens=65536)
    for context in contexts:
        prompt = torch.randint(0, 128000, (context,)).tolist()
        note(
            "contextkit",
            context,
            per_token(
                lambda n, p=prompt: engine.generate([p], max_new_tokens=n, eos=frozenset[int]())
            ),
        )
    prompts = torch.randint(0, 128000, (8, 1024)).tolist()
    seconds = per_token(lambda n: engine.generate(prompts, max_new_tokens=n, eos=frozenset[int]()))
    note("contextkit, 8 at once (all rows)", 1024, seconds / 8)
    graphs = engine.runner.graphs
    assert graphs is not None
    print(
        f"graphs {len(graphs)}, fused {graphs.fused is not None} {graphs.why_unfused}", flush=True
    )
    return rows


def peer(model: Any, contexts: list[int], note: Callable[..., None]) -> None:
    """transformers' own generate on the same weights, before the engine takes them over."""
    for context in contexts:
        ids = torch.randint(0, 128000, (1, context), device="cuda")
        for name, more in (
            ("dynamic", {}),
            ("static + compile", {"cache_implementation": "static"}),
        ):

            def generate(n: int, ids: Any = ids, more: dict[str, Any] = more) -> object:
                return model.generate(
                    ids, do_sample=False, max_new_tokens=n, min_new_tokens=n, **more
                )

            note(f"transformers {name}", context, per_token(generate))


def stream(shape: str) -> list[dict[str, Any]]:
    """Seconds a token with 4 sinks and a window of 4,096 at 10^4 … 10^7, and the ways without a cache."""
    rows: list[dict[str, Any]] = []

    def note(what: str, **figures: Any) -> None:
        rows.append({"shape": shape, "what": what, **figures})
        print(json.dumps(rows[-1]), flush=True)

    model = build(shape)
    engine = Engine.load(model, sinks=SINKS, window=WINDOW, pool_tokens=16384)
    filler = torch.randint(0, 128000, (SINKS + WINDOW + 8,)).tolist()
    took: dict[int, float] = {}
    for position in (10**4, 10**5, 10**6, 10**7):
        with engine.stream(first_position=position - WINDOW) as one:
            one.extend(filler, every=False)

            def go_on(n: int, one: Any = one) -> object:
                return engine.continue_stream(one, [5], max_new_tokens=n, eos=frozenset[int]())

            took[position] = per_token(go_on)
        note("contextkit, streaming", position=position, ms=round(1e3 * took[position], 3))
    flat = max(took.values()) / min(took.values())

    def again(n: int) -> float:
        ids = filler[:n]

        def act() -> None:
            with engine.stream(salt=str(time.perf_counter_ns())) as one:
                one.extend(ids, every=False)

        act()
        return statistics.median(timed(act) for _ in range(5))

    whole, half = again(SINKS + WINDOW), again(WINDOW // 2)
    step = statistics.median(took.values())
    # Amortised: every R/2 tokens the newer half is read again, tokens between are decoded with a cache.
    amortised = half / (WINDOW // 2) + step
    note("re-computation for every token", ms=round(1e3 * whole, 3), times=round(whole / step, 1))
    note(
        "re-computation of half the window every 2,048 tokens",
        ms=round(1e3 * amortised, 3),
        times=round(amortised / step, 3),
    )
    note("largest / smallest of the four positions", times=round(flat, 3))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", choices=("decode", "stream"))
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--contexts", nargs="+", type=int, default=[1024, 8192])
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("this benchmark needs a CUDA device")
    bandwidth = read_bandwidth()
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}, read {bandwidth / 1e9:.0f} GB/s",
        flush=True,
    )
    rows: list[dict[str, Any]] = []
    for shape in asked.shapes:
        if asked.only != "stream":
            rows += decode(shape, asked.contexts, bandwidth, asked.peers)
            free()
        if asked.only != "decode":
            rows += stream(shape)
            free()
    if asked.json is not None:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
