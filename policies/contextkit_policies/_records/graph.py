"""Records and the graph they make with the passages of a thread.

A record is an answered question. Edges are typed and run from what was read to the answer it gave:
`passage` from a passage of the thread, `record` from an earlier record (Zhang et al., "Graph of Records",
2024). Kept as one JSON value a record; what a record stands on is always passages in the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from contextkit_policies._records.packages import require

Direction: TypeAlias = Literal["forward", "both"]
"""`forward`: from what was read to the answer, as the authors' code has it; `both`: also back."""

STEPS = 50
CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Record:
    """A question drawn from a passage, its answer, and what was read to answer it."""

    key: str
    """SHA-256 (hex) of where the question was drawn from."""
    number: int
    """In the order in which they were made; a record reads only earlier ones."""
    question: str
    answer: str
    drawn_from: tuple[str, ...]
    """Handles of the passages that gave the question."""
    passages: tuple[str, ...]
    """Handles of the passages that were read."""
    records: tuple[str, ...] = ()
    """Keys of the earlier records that were read."""

    @property
    def text(self) -> str:
        """Question and answer, as they are searched."""
        return f"{self.question}\n{self.answer}"

    def dump(self) -> bytes:
        return json.dumps(asdict(self)).encode("ascii")

    @classmethod
    def load(cls, body: bytes) -> Record:
        row: dict[str, Any] = json.loads(body)
        for name in ("drawn_from", "passages", "records"):
            row[name] = tuple(row[name])
        return cls(**row)


class RecordGraph:
    """Passages (by handle) and records (by key) as one directed graph with typed edges."""

    def __init__(self, passages: Iterable[str], records: Iterable[Record]) -> None:
        networkx = require("networkx", "records")
        self.records = {r.key: r for r in sorted(records, key=lambda r: (r.number, r.key))}
        graph: Any = networkx.DiGraph()
        graph.add_nodes_from(passages, kind="passage")
        for record in self.records.values():
            graph.add_node(record.key, kind="record")
            read = [(h, "passage") for h in record.passages] + [
                (k, "record") for k in record.records
            ]
            for node, kind in read:
                if node in graph:
                    graph.add_edge(node, record.key, kind=kind)
        self.graph = graph
        self.nodes: list[str] = list(graph)
        self.place = {node: index for index, node in enumerate(self.nodes)}

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def _forward(self) -> list[tuple[int, int]]:
        return [(self.place[a], self.place[b]) for a, b in self.graph.edges()]

    def edges(self, direction: Direction) -> list[tuple[int, int]]:
        """Edges as pairs of places in `nodes`."""
        back = [] if direction == "forward" else [(b, a) for a, b in self._forward]
        return self._forward + back

    def stands_on(self, key: str) -> tuple[str, ...]:
        """The passages that a record stands on, through earlier records too, nearest first."""
        found: dict[str, None] = {}
        waiting, seen = [key], {key}
        while waiting:
            record = self.records[waiting.pop(0)]
            found.update(dict.fromkeys(record.passages))
            for earlier in record.records:
                if earlier in self.records and earlier not in seen:
                    seen.add(earlier)
                    waiting.append(earlier)
        return tuple(found)

    def walk(
        self, seeds: Mapping[str, float], *, damping: float, direction: Direction = "both"
    ) -> dict[str, float]:
        """Where a walk is that starts at the seeds and goes on with chance `damping` at each step.

        Personalised PageRank (Haveliwala 2002); a node without a way out, or that the graph does not
        have, returns to the seeds. The values add up to 1; with no seed there is nothing.
        """
        import numpy as np

        place = dict(self.place)
        for node in seeds:
            place.setdefault(node, len(place))
        start = np.zeros(len(place))
        for node, weight in seeds.items():
            start[place[node]] = max(0.0, weight)
        if not start.any():
            return {}
        start /= start.sum()
        pairs = np.asarray(self.edges(direction), np.int64).reshape(-1, 2)
        out = np.bincount(pairs[:, 0], minlength=len(start))
        at = start
        for _ in range(STEPS):
            share = at[pairs[:, 0]] / out[pairs[:, 0]]
            spread = np.bincount(pairs[:, 1], share, minlength=len(start))
            lost = at[out == 0].sum()
            following = (1 - damping) * start + damping * (spread + lost * start)
            moved = float(np.abs(following - at).sum())
            at = following
            if moved < CLOSE:
                break
        return {node: float(at[i]) for node, i in place.items() if at[i] > 0}
