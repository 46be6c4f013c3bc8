"""A whole thread at a glance: sums, and buckets of turns for the strip above the charts.

Reading ten thousand ledgers takes longer than a page may, so a summary grows: every request reads on
for a moment where the one before stopped, and what was read is kept as plain numbers, taken from the
ledgers' JSON without making ledgers of it. Closed turns never change, so nothing is read twice.
"""

from __future__ import annotations

import time
from array import array
from collections import OrderedDict
from math import isnan, nan
from threading import Lock
from typing import Any

from contextkit.inspector.bill import TOLERANCE
from contextkit.inspector.web.reading import Reading

PAGE = 100
BUCKETS = 300
KEPT = 8
"""Threads whose summaries are remembered."""
STEP_S = 0.25

_SUMS = ("input", "read", "write", "fresh", "output", "missed", "rewritten")


class Summary:
    """The figures of one thread's turns, as far as they were read."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._columns = {name: array("q") for name in (*_SUMS, "limit", "moved")}
        self._cost, self._uncached = array("d"), array("d")
        self._moves: dict[str, dict[str, Any]] = {}

    @property
    def n_read(self) -> int:
        return len(self._cost)

    def grow(self, reading: Reading, limit_s: float = STEP_S) -> dict[str, Any]:
        """Read on for about `limit_s` and say what is known; `is_complete` once it is everything."""
        until = time.monotonic() + limit_s
        with self._lock:
            last = reading.store.last_turn(reading.record)
            while self.n_read < last:
                if not self._read_page(reading) or time.monotonic() > until:
                    break
            return {"n_turns": last, "n_read": self.n_read, "is_complete": self.n_read >= last,
                    "totals": self._totals(), "buckets": self._buckets()}  # fmt: skip

    def _read_page(self, reading: Reading) -> bool:
        start = self.n_read + 1
        found = reading.figures(start, start + PAGE)
        for row in map(_row, found):
            for column, number in zip(self._columns.values(), row, strict=True):
                column.append(number)
        self._cost.extend(_number(_cost(value)) for value in found)
        self._uncached.extend(_number(value["forecast"]["uncached_usd"]) for value in found)
        for prefix in (value["prefix"] for value in found):
            if prefix["moved"]:
                self._add_move(prefix["policy"], prefix["rewritten_tokens"], prefix["cost_usd"])
        return bool(found)

    def _add_move(self, policy: str, tokens: int, usd: float | None) -> None:
        row = self._moves.setdefault(policy, {"moves": 0, "rewritten_tokens": 0, "usd": 0.0})
        row["moves"] += 1
        row["rewritten_tokens"] += tokens
        row["usd"] = None if usd is None or row["usd"] is None else row["usd"] + usd

    def _totals(self) -> dict[str, Any]:
        moves = sorted(self._moves.items(), key=lambda item: -int(item[1]["rewritten_tokens"]))
        return {
            **{name: sum(self._columns[name]) for name in (*_SUMS, "moved")},
            "cost_usd": _known(sum(self._cost)),
            "uncached_usd": _known(sum(self._uncached)),
            "by_policy": dict(moves),
        }

    def _buckets(self) -> dict[str, list[int]]:
        """`first` turn of each bucket, its fullest call, its highest limit, moves, missed tokens."""
        size = max(1, -(-self.n_read // BUCKETS))
        starts = range(0, self.n_read, size)
        columns = self._columns
        return {
            "first": [start + 1 for start in starts],
            "input": [max(columns["input"][n : n + size]) for n in starts],
            "limit": [max(columns["limit"][n : n + size]) for n in starts],
            "moved": [sum(columns["moved"][n : n + size]) for n in starts],
            "missed": [sum(columns["missed"][n : n + size]) for n in starts],
        }


def _row(value: dict[str, Any]) -> tuple[int, ...]:
    """A turn's numbers in the order of the columns, each as `bill` has it on its line."""
    usage, forecast, prefix = value["usage"], value["forecast"], value["prefix"]
    total, read, written = value["input_tokens"], forecast["read_tokens"], forecast["write_tokens"]
    output = missed = 0
    if usage:
        total, output = usage["input_tokens"], usage["output_tokens"]
        missed = max(0, read - usage["cache_read_tokens"])
        read, written = usage["cache_read_tokens"], usage["cache_write_tokens"]
    return (
        total,
        read,
        written,
        max(0, total - read - written),
        output,
        missed if missed > TOLERANCE * total else 0,
        prefix["rewritten_tokens"],
        value["limit_tokens"],
        prefix["moved"],
    )


def _cost(value: dict[str, Any]) -> float | None:
    """The real cost of a turn where it is known, else what its input is expected to cost."""
    cost: float | None = value["cost_usd"]
    expected: float | None = value["forecast"]["cost_usd"]
    return expected if cost is None else cost


def _number(usd: float | None) -> float:
    return nan if usd is None else usd


class Summaries:
    """The summaries of the threads that were looked at last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[int, Summary] = OrderedDict()

    def of(self, reading: Reading) -> Summary:
        with self._lock:
            found = self._kept.setdefault(reading.record.id, Summary())
            self._kept.move_to_end(reading.record.id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return found


def _known(sum_usd: float) -> float | None:
    return None if isnan(sum_usd) else sum_usd
