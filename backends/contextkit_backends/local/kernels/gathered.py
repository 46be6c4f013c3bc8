"""Queries of several rows over their pages in one dense call a layer, in plain torch.

Keys are gathered from the pages and padded to the longest row; which of them each query sees is worked
out once for all layers. For rows of like length, in full precision, without caps or a layer's own window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .base import PagedMeta
from .dense import attend
from .transfer import bring


@dataclass(frozen=True, eq=False, slots=True)
class Gathered:
    """Rows of one batch, padded: where their queries are, where their keys lie, who sees whom."""

    at: Any
    """int64 `[R, n]`: each query's place in the batch; padding, behind the others, is the row's first."""
    places: Any
    """int64 `[n_queries]`: places in the batch …"""
    cells: Any
    """int64 `[n_queries]`: … and in `at`, flattened."""
    pages: Any
    """int64 `[R * n_entries]`."""
    bias: Any
    """0 where a query sees a key, `[R, 1, n, m]`, and -inf elsewhere."""
    blank: Any
    """bool `[R, 1, m, 1]`: slots that the row has not written, which may hold anything."""
    head: int

    @classmethod
    def of(
        cls,
        meta: PagedMeta,
        parts: Sequence[tuple[int, int]],
        head: int,
        page_tokens: int,
        dtype: Any,
    ) -> Gathered:
        """Rows of `meta`, each with its queries' first place in the batch and their number.

        A row's queries are its newest tokens; all rows have the same `head`.
        """
        device = meta.table.device
        starts, counts = torch.tensor(parts).T[:, :, None]
        at, places, cells = padded(starts, counts, device)
        newest = bring(torch.arange(int(counts.max())) - counts, device)
        positions = _positions(meta, page_tokens)
        length, floor = meta.length[:, None], meta.floor[:, None]
        blank = (positions >= length) | ((positions >= head) & (positions < floor))
        t = (length + newest)[:, :, None]
        low = floor[:, :, None]
        if meta.window is not None:
            low = torch.maximum(low, t - meta.window)
        j = positions[:, None]
        seen = (j <= t) & ((j < head) | (j >= low)) & ~blank[:, None]
        bias = torch.zeros(seen.shape, dtype=dtype, device=device).masked_fill_(~seen, -torch.inf)
        pages = meta.table.long().flatten()
        return cls(at, places, cells, pages, bias[:, None], blank[:, None, :, None], head)

    def attend(self, q: Any, q_head: Any, keys: Any, values: Any, out: Any, scale: float) -> None:
        """Fill the rows' places of `out [n, n_heads, Dv]` from `q` and the pages."""
        k, v = self._gather(keys), self._gather(values)
        of_head = None if q_head is None else q_head[self.at]
        found = attend(q[self.at], of_head, k, v, self.bias, self.head, scale)
        out[self.places] = found.flatten(0, 1)[self.cells]

    def _gather(self, pool: Any) -> Any:
        """`[R, n_kv_heads, m, D]`, 0 where nothing is written."""
        _, n_kv_heads, page_tokens, dim = pool.shape
        rows = len(self.at)
        found = pool.index_select(0, self.pages).view(rows, -1, n_kv_heads, page_tokens, dim)
        found = found.transpose(1, 2).reshape(rows, n_kv_heads, -1, dim)
        return found.masked_fill_(self.blank, 0.0)


def padded(starts: Any, counts: Any, device: Any) -> tuple[Any, Any, Any]:
    """`at`, `places`, `cells` of rows that begin at `starts` and have `counts` tokens, both `[R, 1]`.

    Worked out on the host, so that a GPU is not waited for.
    """
    index = torch.arange(int(counts.max()))[None]
    real = index < counts
    at = starts + index * real
    cells = real.flatten().nonzero()[:, 0]
    return bring(at, device), bring(at.flatten()[cells], device), bring(cells, device)


def _positions(meta: PagedMeta, page_tokens: int) -> Any:
    """Which position each slot of a row's pages holds: int64 `[R, m]`, far off for padding."""
    entries = torch.arange(meta.table.shape[1], device=meta.table.device)[None]
    n_head, first = meta.n_head_pages[:, None].long(), meta.tail_first[:, None].long()
    blocks = torch.where(entries < n_head, entries, first + entries - n_head)
    slots = torch.arange(page_tokens, device=meta.table.device)
    return (blocks[:, :, None] * page_tokens + slots).flatten(1)
