"""The committed view of a thread: its piece table, how far it reaches, what was last sent under it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contextkit import piece as pieces_of
from contextkit.draft import Draft
from contextkit.log import Entry
from contextkit.log_view import LogView
from contextkit.piece import Piece
from contextkit.prefix import runs, stable
from contextkit.seal import Pace, Plan, Sent
from contextkit.tokens import TokenCounter, measure_all


@dataclass(frozen=True, slots=True)
class View:
    """Version 0 is a thread that no turn was recorded in."""

    version: int = 0
    covered: int = 0
    """Entries that the pieces speak of; what was said since is kept until a policy decides."""
    pieces: tuple[Piece, ...] = ()
    sent: Sent | None = None


def load(version: int, body: dict[str, Any], log: LogView, counter: TokenCounter) -> View:
    """The view whose JSON `following` wrote, measured by `counter`."""
    pieces = _load_pieces(body["pieces"], log, counter)
    sent = body["sent"]
    rows = sent["pieces"]
    shown = pieces if rows is None else _load_pieces(rows, log, counter)
    pace = Pace(tuple(sent.get("gaps", ())), sent.get("held", 0.0))
    restored = _sent(shown, sent["tools"], sent["at"], sent.get("ttl", ""), pace)
    return View(version, body["covered"], pieces, restored)


def _sent(shown: Sequence[Piece], tools_digest: str, at: float, ttl: str, pace: Pace) -> Sent:
    all_runs, lasting = runs(shown), stable(shown)
    is_all = len(lasting) == len(shown)
    return Sent(all_runs, all_runs if is_all else runs(lasting), tools_digest, at, ttl, pace)


def _sent_now(view: View, draft: Draft, shown: Sequence[Piece], at: float) -> Sent:
    """What a call of this draft, recorded at `at`, has sent."""
    earlier = view.sent
    pace = (earlier.pace if earlier else Pace()).after(
        at - earlier.at if earlier else None, draft.held_tokens
    )
    ttl = draft.cache_points[-1][1] if draft.cache_points else ""
    if shown is not draft.pieces:
        return _sent(shown, draft.tools_digest, at, ttl, pace)
    repeated = draft.reading.repeated
    return Sent(draft.runs, repeated.runs, draft.tools_digest, at, ttl, pace, repeated)


def shown_ranges(body: dict[str, Any]) -> list[tuple[int, int]]:
    """The ranges of the log that a view's JSON shows, ascending; for fetching them together.

    The entry before each range comes too: it bounds the range's measure.
    """
    rows = body["pieces"]
    return [(max(0, row["start"] - 1), row["stop"]) for row in rows if "shown" not in row]


def committed(view: View, draft: Draft, at: float) -> View:
    """The view after a call of this draft, recorded at `at` (seconds since the epoch)."""
    sent = _sent_now(view, draft, draft.pieces, at)
    return View(view.version + 1, draft.log.stop, draft.sticky, sent)


def following(view: View, plan: Plan, entries: Sequence[Entry], at: float) -> tuple[View, str]:
    """The view after a recorded call, whose own `entries` are about to be stored, and its JSON text.

    Where other entries came before them, the new pieces reach only as far as the log that the call
    knew.
    """
    draft = plan.draft
    sticky, shown, covered = draft.sticky, draft.pieces, draft.log.stop
    if entries[0].seq != plan.n_entries:
        covered = plan.n_entries
        sticky = pieces_of.truncate(sticky, covered, draft.log)
        shown = pieces_of.truncate(shown, covered, draft.log)
    sent = _sent_now(view, draft, shown, at)
    same = [run[:3] for run in runs(sticky)] == [run[:3] for run in sent.runs]
    body = {
        "covered": covered,
        "pieces": pieces_of.dump(sticky),
        "sent": {
            "pieces": None if same else pieces_of.dump(shown),
            "tools": draft.tools_digest,
            "at": sent.at,
            "ttl": sent.ttl,
            "gaps": list(sent.pace.gaps_s),
            "held": sent.pace.held_tokens,
        },
    }
    return View(view.version + 1, covered, sticky, sent), json.dumps(body)


def _load_pieces(
    rows: Sequence[dict[str, Any]], log: LogView, counter: TokenCounter
) -> tuple[Piece, ...]:
    loaded: list[Piece] = []
    for fields, shown in pieces_of.load(rows):
        span = fields["start"], fields["stop"]
        measure = log.span(*span) if shown is None else measure_all(counter, shown)
        loaded.append(Piece(measure=measure, shown=shown, **fields))
    return tuple(loaded)
