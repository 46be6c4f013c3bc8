"""How each kernel is cut, tuned on an H200 and committed: nothing is tuned at run time.

`docs/bench/attention.py sweep` prints the timings that the figures come from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MULTIPROCESSORS = 132
MANY = 128
"""Rows times key heads from which on every multiprocessor has a program whatever the splits."""


@dataclass(frozen=True, slots=True)
class DecodeConfig:
    """Warps, pages in flight, programs that a multiprocessor should be given, registers of a thread.

    `stages_of_many` are the pages in flight where rows times key heads are `MANY`: one program alone on
    its multiprocessor, reading further ahead, is up to 11 % faster there than two, and slower elsewhere.
    """

    warps: int
    stages: int
    programs: int
    registers: int = 255
    stages_of_many: int | None = None


@dataclass(frozen=True, slots=True)
class PrefillConfig:
    """Queries of a program, keys of a tile (whole pages), warps, and tiles in flight."""

    queries: int
    keys: int
    warps: int
    stages: int


# (architecture, head size up to, bits of a key) -> config; heads of a group are packed up to 16 at once.
# Over packed pages a single warp has nobody to wait for.
DECODE = {
    (9, 64, 16): DecodeConfig(4, 4, 2),
    (9, 128, 16): DecodeConfig(4, 3, 2, stages_of_many=4),
    (9, 256, 16): DecodeConfig(4, 2, 2),
    (9, 64, 4): DecodeConfig(1, 3, 4),
    (9, 128, 4): DecodeConfig(1, 3, 4),
    (9, 256, 4): DecodeConfig(2, 3, 4),
}
PREFILL = {
    (9, 64): PrefillConfig(128, 128, 8, 3),
    (9, 128): PrefillConfig(128, 64, 8, 3),
    (9, 256): PrefillConfig(128, 64, 8, 2),
}
_OTHER_DECODE = DecodeConfig(4, 2, 2)
_OTHER_PREFILL = PrefillConfig(64, 32, 4, 2)


def decode_config(architecture: int, dim: int, bits: int, n_groups: int = 1) -> DecodeConfig:
    """For a head of `dim` (padded to a power of two), keys of 4 or 16 bits, `n_groups` rows x key heads."""
    if bits > 16:
        return _OTHER_DECODE
    found = DECODE.get((architecture, max(dim, 64), bits), _OTHER_DECODE)
    if found.stages_of_many is not None and n_groups >= MANY:
        return replace(found, stages=found.stages_of_many)
    return found


def packed_config(architecture: int, dim: int, *, heavy: bool) -> DecodeConfig:
    """The same for packed pages; `heavy` where a warp has a key bias or 16 heads of a group to hold too."""
    config = decode_config(architecture, dim, 4)
    return replace(config, warps=2 * config.warps) if heavy and config.warps < 4 else config


def prefill_config(architecture: int, dim: int, bits: int) -> PrefillConfig:
    """The same for prefill; fp32 takes twice the room."""
    if bits > 16:
        return _OTHER_PREFILL
    return PREFILL.get((architecture, max(dim, 64)), _OTHER_PREFILL)


def count_splits(n_groups: int, max_pages: int, programs: int, *, has_head: bool) -> int:
    """Into how many programs the visible pages of one row and key head are cut.

    Depends on shapes alone, so that a captured graph holds for every length.
    """
    at_once = programs * MULTIPROCESSORS
    wanted = at_once // max(n_groups, 1)
    if wanted < 4:  # several waves, so that rows of different lengths even out
        wanted = min(4, 4 * at_once // n_groups)
    splits = max(1, min(wanted, max_pages, 64))
    return max(2, splits) if has_head else splits
