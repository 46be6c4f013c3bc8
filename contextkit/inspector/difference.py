"""What changed between two calls of a thread: which entries came, left, or stand in another form."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from contextkit.ledger import Decision, Ledger
from contextkit.piece import entry_handle

ABSENT, SHOWN, SHORTER, OUT, ADDED = "not said yet", "kept", "replaced", "left out", "put in"


@dataclass(frozen=True, slots=True)
class Change:
    """A range of the log, or an inserted item, that the two calls show differently."""

    handle: str
    before: str
    after: str
    tokens: int | None
    """Of the originals, where they can be counted."""
    policy: str
    why: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Two ledgers side by side."""

    first: int
    second: int
    input_tokens: tuple[int, int]
    sections: dict[str, tuple[int, int]]
    changes: tuple[Change, ...]
    frame_tokens: tuple[int, int]

    def to_json(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "second": self.second,
            "input_tokens": list(self.input_tokens),
            "frame_tokens": list(self.frame_tokens),
            "sections": {name: list(pair) for name, pair in self.sections.items()},
            "changes": [asdict(change) for change in self.changes],
        }


def difference(
    first: Ledger, second: Ledger, count: Callable[[int, int], int] | None = None
) -> Difference:
    """How `second` differs from `first`; `count` gives the tokens of entries `start <= seq < stop`."""
    names = dict.fromkeys([*first.sections, *second.sections])
    return Difference(
        first.turn,
        second.turn,
        (first.input_tokens, second.input_tokens),
        {name: (first.sections.get(name, 0), second.sections.get(name, 0)) for name in names},
        (*_ranges(first, second, count), *_inserts(first, second)),
        (first.frame_tokens, second.frame_tokens),
    )


def _ranges(
    first: Ledger, second: Ledger, count: Callable[[int, int], int] | None
) -> Sequence[Change]:
    """The log cut at every boundary of both, neighbours with the same change joined."""
    before, after = _of_log(first), _of_log(second)
    started = [d.start for d in before], [d.start for d in after]
    cuts = sorted({edge for d in (*before, *after) for edge in (d.start, d.stop)})
    rows: list[tuple[int, int, str, str, Decision | None]] = []
    for start, stop in pairwise(cuts):
        was, now = _at(before, started[0], start), _at(after, started[1], start)
        states = _state(was), _state(now)
        if states[0] == states[1] and not _is_other_form(was, now):
            continue
        last = rows[-1] if rows else None
        if last and last[1] == start and last[2:4] == states and _by(last[4]) == _by(now):
            rows[-1] = (last[0], stop, *states, now)
        else:
            rows.append((start, stop, *states, now))
    return [
        Change(
            entry_handle(start, stop),
            was,
            now,
            count(start, stop) if count else None,
            decision.policy if decision else "",
            decision.why if decision else "",
        )
        for start, stop, was, now, decision in rows
    ]


def _is_other_form(was: Decision | None, now: Decision | None) -> bool:
    """Whether both replace the same range, but by something else."""
    if was is None or now is None or was.action != "replace":
        return False
    return (was.policy, was.why, was.tokens_after) != (now.policy, now.why, now.tokens_after)


def _inserts(first: Ledger, second: Ledger) -> Sequence[Change]:
    before = {d.piece: d for d in first.decisions if d.start == d.stop}
    after = {d.piece: d for d in second.decisions if d.start == d.stop}
    gone = [
        Change(name, ADDED, OUT, d.tokens_after, d.policy, d.why)
        for name, d in before.items()
        if name not in after
    ]
    came = [
        Change(name, ABSENT, ADDED, d.tokens_after, d.policy, d.why)
        for name, d in after.items()
        if name not in before
    ]
    return [*gone, *came]


def _of_log(ledger: Ledger) -> list[Decision]:
    """The decisions about ranges of the log, in its order; no two of them meet."""
    return sorted((d for d in ledger.decisions if d.start < d.stop), key=lambda d: d.start)


def _at(decisions: Sequence[Decision], starts: Sequence[int], seq: int) -> Decision | None:
    place = bisect_right(starts, seq) - 1
    return decisions[place] if place >= 0 and seq < decisions[place].stop else None


def _state(decision: Decision | None) -> str:
    if decision is None:
        return ABSENT
    return {"keep": SHOWN, "move": "moved", "replace": SHORTER, "drop": OUT}.get(
        decision.action, ADDED
    )


def _by(decision: Decision | None) -> tuple[str, str]:
    return (decision.policy, decision.why) if decision else ("", "")
