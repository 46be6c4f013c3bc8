"""Sequences of a batch that go on behind what they have read, answered several at a time.

On a CPU every row is, and what each sees is worked out once for all layers. On a GPU a row alone is the
kernels'; many short ones cost fewer launches together.
"""

from __future__ import annotations

from collections.abc import Sequence as Items

import torch

from contextkit_backends.local.engine.batch import Prefill, paged_meta
from contextkit_backends.local.engine.context import Call
from contextkit_backends.local.kernels.gathered import Gathered

MOST_PADDING = 2
"""How many times as many keys the longest row of a group may have as the shortest."""
LEAST_ROWS = 4
"""Fewer rows than these are left to a GPU's kernels."""
SCORES = {"cpu": 1 << 23, "cuda": 1 << 28}
"""Numbers of scores that one call may hold."""


def can_gather(call: Call, dtype: torch.dtype, device: torch.device) -> bool:
    """Whether a layer asks for nothing that only the kernels and `kernels.plain` know."""
    plain = call.softcap is None and call.sink_logits is None and call.window is None
    return plain and (device.type != "cpu" or dtype in (torch.float32, torch.bfloat16))


def together(
    parts: Items[Prefill], n_heads: int, page_tokens: int, device: torch.device
) -> list[list[Prefill]]:
    """The parts in groups of like numbers of queries and keys; what is better alone is in none."""
    most = SCORES.get(device.type, 0)
    groups: list[list[Prefill]] = []
    for part in sorted(parts, key=lambda part: _shape(part, page_tokens)):
        group = [*groups[-1], part] if groups else []
        if (
            not group
            or not _alike(group, page_tokens)
            or _scores(group, n_heads, page_tokens) > most
        ):
            groups.append([])
        groups[-1].append(part)
    least = 1 if device.type == "cpu" else LEAST_ROWS
    return [
        group
        for group in groups
        if len(group) >= least and _scores(group, n_heads, page_tokens) <= most
    ]


def gathered(
    parts: Items[Prefill], page_tokens: int, dtype: torch.dtype, device: torch.device
) -> Gathered:
    """One call's worth of them."""
    sequences = [part.sequence for part in parts]
    meta = paged_meta(sequences, [part.first_position + _queries(part) for part in parts], device)
    places = [(part.start, _queries(part)) for part in parts]
    return Gathered.of(meta, places, sequences[0].head, page_tokens, dtype)


def is_turned(parts: Items[Prefill]) -> bool:
    """Whether any query is turned back for the head."""
    return any(part.sequence.gap(part.first_position + _queries(part) - 1) for part in parts)


def _queries(part: Prefill) -> int:
    return part.stop - part.start


def _keys(part: Prefill, page_tokens: int) -> int:
    return len(part.sequence.row().table) * page_tokens


def _shape(part: Prefill, page_tokens: int) -> tuple[int, int, int]:
    """Sorted by this, the like stand side by side."""
    return part.sequence.head, _queries(part).bit_length(), _keys(part, page_tokens)


def _alike(group: Items[Prefill], page_tokens: int) -> bool:
    """Whether the last one, which has the most keys, goes with the first."""
    first, last = (_shape(group[n], page_tokens) for n in (0, -1))
    return first[:2] == last[:2] and last[2] <= MOST_PADDING * first[2]


def _scores(group: Items[Prefill], n_heads: int, page_tokens: int) -> int:
    queries, keys = max(map(_queries, group)), _keys(group[-1], page_tokens)
    return len(group) * n_heads * queries * keys
