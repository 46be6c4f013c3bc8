"""The policy stacks that every law is held against: each policy alone, together, at odd settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

WINDOW: Row = {"kind": "sliding_window"}
RESULTS: Row = {"kind": "tool_results"}
CACHE: Row = {"kind": "cacheable_prefix"}
ONCE: Row = {"kind": "read_once"}
NOTE: Row = {"kind": "left_out_note"}
HASTY: Row = {"kind": "read_once", "fill": 0.0, "over_share": 0.0, "gist_tokens": 16}
RECORDS: Row = {"kind": "graph_of_records", "apart": True}
BRIEF: Row = {"kind": "brief_context", "read_by": "extract", "agree_over": 1.0, "agree_first": 9}
RETRIEVE: Row = {"kind": "retrieve"}
REORDER: Row = {"kind": "reorder"}
SQUEEZE: Row = {
    "kind": "compress",
    "over_tokens": 32,
    "keep_recent": 0,
    "high_water": 0.0,
    "min_gain": 0.0,
}
CASCADE: Row = {"kind": "cascade", "background": False}
DEEP: Row = {
    "kind": "cascade",
    "fan_out": 2,
    "levels": 3,
    "target_tokens": 32,
    "background": False,
    "low_water": 0.2,
    "high_water": 0.4,
    "keep_task": False,
}
EDGE: Row = {"kind": "sliding_window", "sinks": 0, "low_water": 0.05, "high_water": 1.0}
EAGER: Row = {
    "kind": "tool_results",
    "keep_recent": 0,
    "offload_over_tokens": 32,
    "preview_tokens": 16,
    "high_water": 0.0,
    "min_gain": 0.0,
}


@dataclass(frozen=True)
class Stack:
    """A named list of policies and what the judge has to know about it."""

    name: str
    policies: tuple[Row, ...]

    def _row(self, kind: str) -> Row | None:
        return next((row for row in self.policies if row["kind"] == kind), None)

    @property
    def sheds(self) -> bool:
        """Whether older history can leave."""
        return self._row("sliding_window") is not None

    @property
    def preview_tokens(self) -> int | None:
        """What an offloaded result leaves, or None where results are never offloaded."""
        row = self._row("tool_results")
        return None if row is None else int(row.get("preview_tokens", 96))

    @property
    def embedder(self) -> str | None:
        """What compares meanings, for policies that need it."""
        return "hashing" if self._row("brief_context") else None

    @property
    def pins(self) -> tuple[Row, ...]:
        return tuple(row for row in self.policies if row["kind"] == "pin")


def _stack(name: str, *rows: Row) -> Stack:
    return Stack(name, rows)


STACKS: tuple[Stack, ...] = (
    _stack("none"),
    _stack("window", WINDOW),
    _stack("window-no-sinks", {**WINDOW, "sinks": 0}),
    _stack("window-no-task", {**WINDOW, "keep_task": False}),
    _stack("window-edge", EDGE),
    _stack("window-edge-no-task", {**EDGE, "keep_task": False}),
    _stack("window-narrow", {**WINDOW, "low_water": 0.89, "high_water": 0.9}),
    _stack("window-many-sinks", {**WINDOW, "sinks": 9}),
    _stack("window-low", {**WINDOW, "low_water": 0.01, "high_water": 0.02}),
    _stack("results", RESULTS),
    _stack("results-eager", EAGER),
    _stack("cache", CACHE),
    _stack("pin-contains-window", {"kind": "pin", "contains": ["PIN-ME", "reservation"]}, WINDOW),
    _stack("window-pin-contains", WINDOW, {"kind": "pin", "contains": ["PIN-ME", "reservation"]}),
    _stack("pin-role-window", {"kind": "pin", "roles": ["developer", "system"]}, WINDOW),
    _stack("pin-handle-window", {"kind": "pin", "handles": ["m0"]}, EDGE, CACHE),
    _stack("results-window", RESULTS, WINDOW),
    _stack("results-window-cache", RESULTS, WINDOW, CACHE),
    _stack("window-results", WINDOW, RESULTS),
    _stack("eager-edge", EAGER, EDGE),
    _stack("edge-eager", EDGE, EAGER),
    _stack("eager-edge-cache", EAGER, EDGE, {**CACHE, "ttl": "1h", "sort_tools": False}),
    _stack("pin-eager-edge", {"kind": "pin", "contains": ["PIN-ME"]}, EAGER, EDGE),
    _stack("eager-pin-edge", EAGER, {"kind": "pin", "contains": ["PIN-ME"]}, EDGE),
    _stack("pin-tool-results-window", {"kind": "pin", "contains": ["PIN-ME"], "roles": ["tool"]},
           RESULTS, WINDOW),
    _stack("no-dedupe", {**RESULTS, "deduplicate": False, "collapse": False, "keep_recent": 0}, WINDOW),
    _stack("keep-many", {**RESULTS, "keep_recent": 50, "high_water": 1.0}, WINDOW, CACHE),
    _stack("two-windows", {**WINDOW, "sinks": 4}, EDGE),
    _stack("once", ONCE),
    _stack("hasty", HASTY, CACHE),
    _stack("once-window-note", ONCE, WINDOW, NOTE, CACHE),
    _stack("hasty-edge-note", HASTY, EDGE, NOTE),
    _stack("window-large-note", WINDOW, {**NOTE, "share": 0.9}),
    _stack("pin-eager-hasty-edge-note", {"kind": "pin", "contains": ["PIN-ME"]}, EAGER, HASTY, EDGE,
           NOTE, CACHE),
    _stack("agent", {**RESULTS, "high_water": 1.0}, ONCE,
           {**WINDOW, "low_water": 0.2}, NOTE, CACHE),
    _stack("retrieve", RETRIEVE),
    _stack("retrieve-window-cache", RETRIEVE, WINDOW, CACHE),
    _stack("retrieve-greedy-edge", {**RETRIEVE, "top_k": 500, "max_tokens": 100_000}, EDGE),
    _stack("pin-retrieve-eager-edge-cache", RETRIEVE, {"kind": "pin", "contains": ["PIN-ME"]}, EAGER,
           EDGE, CACHE),
    _stack("brief-window-reorder", BRIEF, WINDOW, REORDER),
    _stack("brief-model-edge", {**BRIEF, "read_by": "model", "part_tokens": 256}, EDGE, CACHE),
    _stack("records-eager-edge-reorder", RECORDS, EAGER, EDGE, REORDER, CACHE),
    _stack("compress-window", {"kind": "compress"}, WINDOW, CACHE),
    _stack("squeeze-edge", SQUEEZE, EDGE),
    _stack("squeeze-words-eager-edge", {**SQUEEZE, "method": "words", "target_tokens": 16}, EAGER, EDGE,
           NOTE, CACHE),
    _stack("compact-window-cache", {"kind": "compact_on_request", "tool": "look_up"}, WINDOW, CACHE),
    _stack("cascade-window-cache", CASCADE, WINDOW, CACHE),
    _stack("cascade-beside-window", {"kind": "cascade"}, WINDOW),
    _stack("cascade-model-edge", {**DEEP, "method": "model"}, EDGE),
    _stack("pin-eager-deep-edge-note", RETRIEVE, {"kind": "pin", "contains": ["PIN-ME"]}, EAGER, DEEP,
           EDGE, NOTE, CACHE),
    _stack("all", {"kind": "pin", "contains": ["PIN-ME"], "roles": ["system"]}, RESULTS, WINDOW, CACHE),
    _stack("retrieve-cascade-window-cache", RETRIEVE, CASCADE, WINDOW, CACHE),
)  # fmt: skip

BUDGETS = (200, 300, 500, 1000, 2000, 4000, 8000, 32000)


def stack(name: str) -> Stack:
    """The stack of that name."""
    return next(s for s in STACKS if s.name == name)
