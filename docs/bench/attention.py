"""Attention kernels beside what a user would take instead, in one run on one GPU.

    python docs/bench/attention.py            # everything, a table at the end
    python docs/bench/attention.py decode     # one part: decode, short, prefill, window
    python docs/bench/attention.py sweep      # what the table in kernels/configs.py was chosen from

Llama-3's attention shape: 32 heads, 8 key heads, 128 channels, bf16. Medians of `triton.testing.do_bench`,
which empties the L2 cache between calls; decode is also timed inside a CUDA graph of several calls over
different pages. Our keys lie in shuffled pages behind a block table, the others' are contiguous. Every
kernel of ours is compared with fp64 on the same random inputs first.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import triton
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from triton.testing import do_bench

ROOT = Path(__file__).resolve().parents[2]
# the kernels need torch and triton alone: so they import where contextkit's own needs are missing
sys.path.insert(0, str(ROOT / "backends" / "contextkit_backends" / "local"))

import kernels  # noqa: E402
from kernels import configs, plain  # noqa: E402
from kernels.base import PackedPages, PagedMeta, Scoring  # noqa: E402
from kernels.paged_prefill import prefill_anywhere  # noqa: E402

HEADS, KV_HEADS, DIM, PAGE = 32, 8, 128, 64
SCALE = DIM**-0.5
DEVICE, DTYPE = "cuda", torch.bfloat16
RESULTS: list[str] = []


def report(line: str) -> None:
    RESULTS.append(line)
    print(line, flush=True)


def median_ms(call: Callable[[], Any], repeat_ms: int = 100) -> float:
    return do_bench(call, warmup=25, rep=repeat_ms, return_mode="median")


def in_graph_ms(calls: list[Callable[[], Any]]) -> float:
    """One call's share of a graph that makes them all."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for call in calls:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    return median_ms(graph.replay) / len(calls)


def meta_of(
    table: Any, length: int, *, head: int = 0, window: int | None = None, packed: bool = False
) -> PagedMeta:
    rows = table.shape[0]
    whole = torch.full((rows,), length, dtype=torch.int64, device=DEVICE)
    n_head = -(-head // PAGE)
    low = max(0, length - 1 - window) if window is not None else 0
    first = max(n_head, low // PAGE)
    n_entries = n_head + -(-length // PAGE) - first
    flags = torch.full((rows, n_entries), int(packed), dtype=torch.int8, device=DEVICE)
    flags[:, -1] = 0
    flags[:, :n_head] = 0
    small = torch.zeros(rows, dtype=torch.int32, device=DEVICE)
    return PagedMeta(
        table[:, :n_entries].contiguous(),
        small + n_head,
        small + first,
        whole,
        small + head,
        torch.zeros_like(whole),
        window,
        flags,
    )


def random_pool(n_pages: int) -> tuple[Any, Any]:
    shape = (n_pages, KV_HEADS, PAGE, DIM)
    return torch.randn(shape, device=DEVICE, dtype=DTYPE), torch.randn(
        shape, device=DEVICE, dtype=DTYPE
    )


def random_packed(n_pages: int) -> PackedPages:
    def numbers(low: int, high: int, *shape: int) -> Any:
        return torch.randint(
            low, high, (n_pages, KV_HEADS, *shape), device=DEVICE, dtype=torch.uint8
        )

    values = numbers(1, 256, DIM, PAGE).transpose(2, 3)
    # scales 0.06 to 0.25, zeros around the middle of the codes
    grid = torch.cat([numbers(88, 105, DIM // 2, 2), numbers(112, 129, DIM // 2, 2)], -1)
    value_scale = (0.1 + torch.rand(n_pages, KV_HEADS, PAGE, device=DEVICE) / 5).half() / 50
    return PackedPages(numbers(0, 256, PAGE, DIM // 2), grid, values, value_scale)


def shuffled(rows: int, length: int, n_tables: int, pool: int) -> list[Any]:
    """Disjoint block tables over a pool of `pool` pages."""
    order = torch.randperm(pool, device=DEVICE, dtype=torch.int32)
    return list(order[: n_tables * rows * (length // PAGE)].view(n_tables, rows, -1))


def relative_error(out: Any, expected: Any) -> float:
    error = (out.double() - expected).norm() / expected.norm()
    assert error < 1e-2, f"wrong result: relative error {error:.2e}"
    return float(error)


def expected_decode(q: Any, k: Any, v: Any) -> Any:
    """One row in fp64; `k`, `v` `[n_pages, n_kv_heads, P, D]`."""
    k, v = (x.double().transpose(0, 1).flatten(1, 2) for x in (k, v))
    weights = (q.double().view(KV_HEADS, -1, DIM) @ k.transpose(1, 2) * SCALE).softmax(-1)
    return (weights @ v).view(HEADS, DIM)


SHORT = ((1, 4096), (32, 4096), (32, 32768))
SHAPES = ((1, 4096), (1, 32768), (1, 131072), (8, 4096), (32, 4096), (32, 32768))


def bench_decode(shapes: tuple[tuple[int, int], ...] = SHAPES) -> None:
    for rows, length in shapes:
        moved = 2 * rows * KV_HEADS * length * DIM * 2
        n_tables = max(2, min(16, int(1e9 // moved))) if moved < 2e9 else 1
        tables = shuffled(rows, length, n_tables, n_tables * rows * length // PAGE)
        name = f"decode B={rows} N={length}"
        q = torch.randn(rows, HEADS, DIM, device=DEVICE, dtype=DTYPE)
        decode_full(name, q, tables, length, moved)
        contiguous(name, q, n_tables, rows, length, moved)
        decode_packed(name, q, tables, length)


def decode_full(name: str, q: Any, tables: list[Any], length: int, moved: int) -> None:
    keys, values = random_pool(len(tables) * tables[0].numel())
    metas = [meta_of(table, length) for table in tables]
    calls = [
        lambda meta=meta: kernels.decode(q, None, keys, values, meta, scale=SCALE) for meta in metas
    ]
    last = metas[-1].table[-1].long()
    wrong = relative_error(calls[-1]()[-1], expected_decode(q[-1], keys[last], values[last]))
    timed(name, "ours bf16, paged", calls, moved, f"error {wrong:.1e}")


def decode_packed(name: str, q: Any, tables: list[Any], length: int) -> None:
    rows = len(q)
    packed = random_packed(len(tables) * tables[0].numel())
    keys, values = random_pool(rows * len(tables))
    metas = [meta_of(table, length, packed=True) for table in tables]
    for at, meta in enumerate(metas):  # the page in progress is in the small pool
        meta.table[:, -1] = torch.arange(rows, device=DEVICE, dtype=torch.int32) + at * rows
    calls = [
        lambda meta=meta: kernels.decode(q, None, keys, values, meta, scale=SCALE, packed=packed)
        for meta in metas
    ]
    pages = metas[-1].table[-1].long()
    k, v = plain.dequantise(packed, pages[:-1])
    k = torch.cat([k, keys[pages[-1:]].float()])
    v = torch.cat([v, values[pages[-1:]].float()])
    wrong = relative_error(calls[-1]()[-1], expected_decode(q[-1], k, v))
    of_page = KV_HEADS * (PAGE * (DIM // 2 + DIM + 2) + 2 * DIM)
    moved = rows * (length // PAGE) * of_page
    timed(name, "ours int4-int8, paged", calls, moved, f"error {wrong:.1e}")


def contiguous(name: str, q: Any, n: int, rows: int, length: int, moved: int) -> None:
    """The same bytes without pages, for the library kernels."""
    own = [
        torch.randn(rows, KV_HEADS, length, DIM, device=DEVICE, dtype=DTYPE) for _ in range(2 * n)
    ]
    q = q[:, :, None]
    for label, backend in (
        ("cuDNN", SDPBackend.CUDNN_ATTENTION),
        ("FlashAttention-2", SDPBackend.FLASH_ATTENTION),
    ):

        def call(at: int, backend: Any = backend) -> Callable[[], Any]:
            def run() -> Any:
                with sdpa_kernel(backend):
                    return functional.scaled_dot_product_attention(
                        q, own[2 * at], own[2 * at + 1], enable_gqa=True
                    )

            return run

        timed(name, f"SDPA {label}, contiguous", [call(at) for at in range(n)], moved)


def timed(
    name: str, label: str, calls: list[Callable[[], Any]], moved: int, note: str = ""
) -> None:
    turn = itertools.cycle(calls)
    alone = median_ms(lambda: next(turn)())
    graph = in_graph_ms(calls)
    report(
        f"{name:22s} {label:32s} {alone * 1e3:8.1f} us alone {graph * 1e3:8.1f} us in a graph "
        f"{moved / graph / 1e6:6.0f} GB/s {note}"
    )


def expected_prefill(
    q: Any, q_head: Any, k: Any, v: Any, at: int, *, head: int, window: int | None
) -> Any:
    """Query `at` in fp64; `k`, `v` `[N, n_kv_heads, D]`."""
    low = 0 if window is None else max(0, at - window)
    j = torch.arange(at + 1, device=DEVICE)
    seen = (j < head) | (j >= low)
    group = HEADS // KV_HEADS
    k, v = (x[: at + 1][seen].double().repeat_interleave(group, 1) for x in (k, v))
    of = torch.where((j[seen] < head)[:, None, None], q_head[at].double(), q[at].double())
    weights = ((of * k).sum(-1) * SCALE).softmax(0)
    return (weights[..., None] * v).sum(0)


def bench_prefill(lengths: tuple[int, ...] = (4096, 16384, 65536)) -> None:
    for n in lengths:
        run_prefill(n, head=0, window=None)


def bench_window(n: int = 65536) -> None:
    run_prefill(n, head=4, window=4096)


def run_prefill(n: int, *, head: int, window: int | None) -> None:
    pairs = n * (n + 1) / 2
    if window is not None:
        pairs = window * (window + 1) / 2 + (n - window) * (window + 1 + head)
    useful = 4 * HEADS * DIM * pairs
    q, q_head = (torch.randn(n, HEADS, DIM, device=DEVICE, dtype=DTYPE) for _ in range(2))
    k, v = (torch.randn(n, KV_HEADS, DIM, device=DEVICE, dtype=DTYPE) for _ in range(2))
    keys, values = random_pool(n // PAGE)
    table = shuffled(1, n, 1, n // PAGE)[0]
    slots = (table[0].long()[:, None] * PAGE + torch.arange(PAGE, device=DEVICE)).flatten()
    kernels.write(keys, values, k, v, slots)
    meta = meta_of(table, n, head=head, window=None)
    meta = PagedMeta(
        meta.table, meta.n_head_pages, meta.tail_first, meta.length, meta.head, meta.floor, window
    )
    name = f"prefill N={n}" + (f" sinks {head} window {window}" if window else " causal")

    def line(
        label: str, call: Callable[[], Any], at: tuple[int, ...] = (0, 63, n // 2 + 1, n - 1)
    ) -> None:
        out = call()
        wrong = max(
            relative_error(out[i], expected_prefill(q, q_head, k, v, i, head=head, window=window))
            for i in at
        )
        ms = median_ms(call, 300)
        report(
            f"{name:42s} {label:28s} {ms:8.3f} ms {useful / ms / 1e9:6.0f} TFLOP/s error {wrong:.1e}"
        )

    of_head = q_head if head else None
    for label, call in prefill_kernels(q, of_head, keys, values, meta):
        line(label, call)
    batch = [x.transpose(0, 1)[None].contiguous() for x in (q, k, v)]
    if window is None:
        line(
            "ours, dense_prefill",
            lambda: kernels.dense_prefill(q[None], k[None], v[None], scale=SCALE)[0],
        )
        for label, backend in (
            ("SDPA cuDNN", SDPBackend.CUDNN_ATTENTION),
            ("SDPA FlashAttention-2", SDPBackend.FLASH_ATTENTION),
        ):
            with sdpa_kernel(backend):
                line(
                    label,
                    lambda: functional.scaled_dot_product_attention(
                        *batch, is_causal=True, enable_gqa=True
                    )[0].transpose(0, 1),
                )
        return
    bench_flex(name, batch, n, head, window)


def prefill_kernels(
    q: Any, q_head: Any, keys: Any, values: Any, meta: PagedMeta
) -> Iterator[tuple[str, Any]]:
    yield "ours, paged", lambda: kernels.prefill(q, q_head, keys, values, meta, 0, scale=SCALE)
    any_gpu = (q, q_head, keys, values, meta.table, meta, 0, Scoring(SCALE))
    yield "ours, paged, any GPU", lambda: prefill_anywhere(*any_gpu)


def bench_flex(name: str, batch: list[Any], n: int, head: int, window: int) -> None:
    """FlexAttention of the same mask, without the head's own queries."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def seen(b: Any, h: Any, i: Any, j: Any) -> Any:
        return (i >= j) & ((i - j <= window) | (j < head))

    mask = create_block_mask(seen, None, None, n, n, device=DEVICE, _compile=True)
    compiled = torch.compile(flex_attention, dynamic=False)
    useful = 4 * HEADS * DIM * (window * (window + 1) / 2 + (n - window) * (window + 1 + head))
    ms = median_ms(lambda: compiled(*batch, block_mask=mask, enable_gqa=True), 300)
    report(
        f"{name:42s} {'FlexAttention, contiguous':28s} {ms:8.3f} ms {useful / ms / 1e9:6.0f} TFLOP/s"
    )


def sweep() -> None:
    """Configurations of the decode kernels, and of prefill, around the committed ones."""
    for rows, length in SHORT:
        for bits, key in ((16, (9, 128, 16)), (4, (9, 128, 4))):
            for config in DECODES[bits]:
                configs.DECODE[key] = config
                sweep_decode(rows, length, bits, config)


DECODES = {
    16: [configs.DecodeConfig(*one) for one in ((4, 3, 1), (4, 3, 2), (4, 4, 2))],
    4: [
        configs.DecodeConfig(*one)
        for one in ((4, 3, 4, 96), (4, 4, 4, 96), (4, 4, 4, 112), (4, 4, 4))
    ],
}


def sweep_decode(rows: int, length: int, bits: int, config: Any) -> None:
    n_tables = 1 if rows * length > 1 << 19 else 8
    pool = n_tables * rows * length // PAGE
    q = torch.randn(rows, HEADS, DIM, device=DEVICE, dtype=DTYPE)
    metas = [
        meta_of(table, length, packed=bits == 4) for table in shuffled(rows, length, n_tables, pool)
    ]
    if bits == 4:
        packed, (keys, values) = random_packed(pool), random_pool(1)
        for meta in metas:
            meta.table[:, -1] = 0
    else:
        packed, (keys, values) = None, random_pool(pool)
    calls = [
        lambda meta=meta: kernels.decode(q, None, keys, values, meta, scale=SCALE, packed=packed)
        for meta in metas
    ]
    try:
        print(
            f"sweep B={rows} N={length} bits {bits} {config} {in_graph_ms(calls) * 1e3:.1f} us",
            flush=True,
        )
    except triton.runtime.errors.OutOfResources as error:
        print(f"sweep B={rows} N={length} bits {bits} {config} does not fit: {error}", flush=True)


def main() -> None:
    parts = {
        "decode": bench_decode,
        "short": lambda: bench_decode(SHORT),
        "prefill": bench_prefill,
        "window": bench_window,
        "sweep": sweep,
    }
    chosen = sys.argv[1:] or ["decode", "prefill", "window"]
    torch.manual_seed(torch.seed() % 1000)
    report(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}"
    )
    for name in chosen:
        parts[name]()


if __name__ == "__main__":
    main()
