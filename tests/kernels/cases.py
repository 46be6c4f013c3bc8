"""Random rows over shuffled pages, and what attention over them is by the definition, in fp64."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from contextkit_backends.local.kernels import KeyBias, PackedPages, PagedMeta

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@dataclass(frozen=True)
class RowSpec:
    """A sequence: its length, its head, where eviction ended, which blocks are packed."""

    length: int
    head: int = 0
    floor: int = 0
    packed: frozenset[int] = frozenset()
    packs: bool = False  # every full page without a head key
    short: bool = False  # of the head's last page nothing but the head is kept


@dataclass
class Case:
    """Pools and a block table for rows, with every row's own keys and values kept beside them."""

    rows: list[RowSpec]
    heads: int = 4
    kv_heads: int = 2
    dim: int = 16
    v_dim: int = 16
    page: int = 16
    window: int | None = None
    n_queries: int = 1
    n_short: int = 0
    dtype: torch.dtype = torch.float32
    head_windowed: bool = False
    biased: bool = False
    interleaved: bool = False
    seed: int = 0
    k: list[Any] = field(default_factory=list)
    v: list[Any] = field(default_factory=list)
    packed: PackedPages = field(init=False)

    def __post_init__(self) -> None:
        self.random = torch.Generator().manual_seed(self.seed)
        tables = [self._blocks(row) for row in self.rows]
        n_pages = sum(len(blocks) for blocks in tables) + 3
        free = torch.randperm(n_pages, generator=self.random).tolist()
        # what no token was written to is poison
        self.keys = torch.full((n_pages, self.kv_heads, self.page, self.dim), torch.nan)
        self.values = torch.full((n_pages, self.kv_heads, self.page, self.v_dim), torch.nan)
        self.short = [
            torch.full((len(tables), self.kv_heads, self.n_short, dim), torch.nan)
            for dim in (self.dim, self.v_dim)
        ]
        self._allocate_packed(n_pages)
        width = max(len(blocks) for blocks in tables) + 1
        table = torch.zeros(len(tables), width, dtype=torch.int32)
        flags = torch.zeros(len(tables), width, dtype=torch.int8)
        for at, (row, blocks) in enumerate(zip(self.rows, tables, strict=True)):
            k, v = (
                self.normal(row.length, self.kv_heads, self.dim),
                self.normal(row.length, self.kv_heads, self.v_dim),
            )
            for entry, block in enumerate(blocks):
                page = free.pop()
                table[at, entry] = page
                here = slice(block * self.page, (block + 1) * self.page)
                if row.short and block == self._count(row.head) - 1:
                    table[at, entry], flags[at, entry] = at, 2
                    n = row.head % self.page
                    self.short[0][at, :, :n] = k[here][:n].transpose(0, 1)
                    self.short[1][at, :, :n] = v[here][:n].transpose(0, 1)
                elif self._is_packed(row, block):
                    flags[at, entry] = 1
                    k[here], v[here] = self._pack(page, block, k[here], v[here])
                else:
                    n = len(k[here])
                    self.keys[page, :, :n] = k[here].transpose(0, 1)
                    self.values[page, :, :n] = v[here].transpose(0, 1)
            self.k.append(k.to(DEVICE))
            self.v.append(v.to(DEVICE))
        n_head = [
            min(self._count(row.head), len(b)) for row, b in zip(self.rows, tables, strict=True)
        ]
        first = [self._tail_first(row) for row in self.rows]
        self.keys, self.values = (
            self.keys.to(DEVICE, self.dtype),
            self.values.to(DEVICE, self.dtype),
        )
        if self.n_short:
            short_keys, short_values = (x.to(DEVICE, self.dtype) for x in self.short)
            self.packed = replace(self.packed, short_keys=short_keys, short_values=short_values)
        self.meta = PagedMeta(
            table=table.to(DEVICE),
            n_head_pages=torch.tensor(n_head, dtype=torch.int32, device=DEVICE),
            tail_first=torch.tensor(first, dtype=torch.int32, device=DEVICE),
            length=torch.tensor([row.length for row in self.rows], device=DEVICE),
            head=torch.tensor([row.head for row in self.rows], dtype=torch.int32, device=DEVICE),
            floor=torch.tensor([row.floor for row in self.rows], device=DEVICE),
            window=self.window,
            is_packed=flags.to(DEVICE),
            head_windowed=self.head_windowed,
        )

    def normal(self, *shape: int) -> Any:
        """Random numbers that the dtype holds exactly."""
        return torch.randn(*shape, generator=self.random).to(self.dtype).float()

    def queries(self, n: int) -> Any:
        """`[n, heads, D]` in the case's dtype."""
        return self.normal(n, self.heads, self.dim).to(DEVICE, self.dtype)

    def expected(
        self,
        q: Any,
        q_head: Any,
        at: int,
        first: int,
        *,
        scale: float,
        softcap: float | None = None,
        sink_logits: Any = None,
        layer_window: int | None = None,
    ) -> Any:
        """Attention of the queries of row `at` by the definition."""
        row, group = self.rows[at], self.heads // self.kv_heads
        k = self.k[at].double().repeat_interleave(group, 1)
        v = self.v[at].double().repeat_interleave(group, 1)
        out = []
        for index, t in enumerate(range(first, first + len(q))):
            low = max(row.floor, t - self.window) if self.window is not None else row.floor
            gap = max(0, low - row.head)
            seen, of_head = [], []
            for j in range(min(t + 1, row.length)):
                if j < row.head:
                    near = layer_window is None or j > t - gap - layer_window
                    ok = near or not self.head_windowed
                else:
                    ok = j >= low and (layer_window is None or j > t - layer_window)
                if ok:
                    seen.append(j)
                    of_head.append(j < row.head and q_head is not None)
            own = q[index].double()
            of = own if q_head is None else q_head[index].double()
            choose = torch.tensor(of_head, device=DEVICE)[:, None, None]
            scores = (torch.where(choose, of[None], own[None]) * k[seen]).sum(-1) * scale
            if softcap is not None:
                scores = softcap * torch.tanh(scores / softcap)
            if sink_logits is not None:
                scores = torch.cat([scores, sink_logits.double()[None]])
            weights = scores.softmax(0)[: len(seen)]
            out.append((weights[..., None] * v[seen]).sum(0))
        return torch.stack(out)

    def _count(self, n: int) -> int:
        return -(-n // self.page)

    def _tail_first(self, row: RowSpec) -> int:
        low = (
            row.floor
            if self.window is None
            else max(row.floor, row.length - self.n_queries - self.window)
        )
        return max(self._count(row.head), max(low, 0) // self.page)

    def _blocks(self, row: RowSpec) -> list[int]:
        stop = self._count(row.length)
        return [*range(min(self._count(row.head), stop)), *range(self._tail_first(row), stop)]

    def _is_packed(self, row: RowSpec, block: int) -> bool:
        full = (block + 1) * self.page <= row.length
        return block in row.packed or (row.packs and full and block >= self._count(row.head))

    def _allocate_packed(self, n_pages: int) -> None:
        half = self.dim // 2
        bias = None
        if self.biased:
            angles = torch.rand(half, generator=self.random)
            self.angles = (
                torch.cat([angles, angles]) if not self.interleaved else angles.repeat_interleave(2)
            )
            turner = KeyBias(None, None, None, self.dim, self.interleaved)
            self.bias_vector = 5 * torch.randn(self.kv_heads, self.dim, generator=self.random)
            steps = torch.arange(self.page)[:, None] * self.angles
            table = (
                self.bias_vector[:, None] * steps.cos()
                + turner.turn(self.bias_vector)[:, None] * steps.sin()
            )
            bias = KeyBias(
                table.to(DEVICE),
                torch.ones(n_pages, self.dim, device=DEVICE),
                torch.zeros(n_pages, self.dim, device=DEVICE),
                self.dim,
                self.interleaved,
            )
        shape = (n_pages, self.kv_heads)
        self.packed = PackedPages(
            keys=torch.zeros(*shape, self.page, half, dtype=torch.uint8, device=DEVICE),
            key_grid=torch.full((*shape, half, 4), 255, dtype=torch.uint8, device=DEVICE),
            values=torch.zeros(
                *shape, self.v_dim, self.page, dtype=torch.uint8, device=DEVICE
            ).transpose(2, 3),
            value_scale=torch.full(
                (*shape, self.page), torch.nan, dtype=torch.float16, device=DEVICE
            ),
            bias=bias,
        )

    def _pack(self, page: int, block: int, k: Any, v: Any) -> tuple[Any, Any]:
        """Quantise a full page `[P, kv_heads, D]`; returns the numbers that the codes stand for."""
        pool = self.packed
        low, high = k.amin(0), k.amax(0)
        byte = (((high - low) / 15).half().view(torch.int16) >> 7) + 1
        scale = (byte << 7).view(torch.float16).float()
        zero = (low / scale).round().clamp(-128, 127)
        codes = ((k / scale).round() - zero).clamp(0, 15).to(torch.uint8)
        half = self.dim // 2
        pool.keys[page] = (codes[..., :half] | codes[..., half:] << 4).transpose(0, 1).to(DEVICE)
        for channels, at in ((slice(half), 0), (slice(half, None), 1)):
            pool.key_grid[page, :, :, at] = byte[:, channels].to(DEVICE, torch.uint8)
            pool.key_grid[page, :, :, 2 + at] = (zero[:, channels] + 128).to(DEVICE, torch.uint8)
        v_scale = (v.abs().amax(-1) / 127).half()
        v_codes = (v / v_scale.float()[..., None]).round().clamp(-127, 127)
        pool.values[page] = (v_codes + 128).transpose(0, 1).to(DEVICE, torch.uint8)
        pool.value_scale[page] = v_scale.T.to(DEVICE)
        k = (codes + zero) * scale
        if pool.bias is not None:
            start = block * self.page * self.angles
            pool.bias.cos[page], pool.bias.sin[page] = (
                start.cos().to(DEVICE),
                start.sin().to(DEVICE),
            )
            here = (torch.arange(self.page)[:, None] + block * self.page) * self.angles
            turned = pool.bias.turn(self.bias_vector)
            k = k + (
                self.bias_vector[:, None] * here.cos() + turned[:, None] * here.sin()
            ).transpose(0, 1)
        return k, v_codes * v_scale.float()[..., None]
