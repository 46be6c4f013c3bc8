"""The ledger of a call: for every token a reason, for everything left out a reason and a handle.

One final decision for every piece of the draft; sums that balance; what the provider's cache is
expected to read; and, once the call was sent, what it really used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, cast

from contextkit.budget import input_limit
from contextkit.errors import UnknownHandle
from contextkit.piece import Action, entry_handle, parse_handle
from contextkit.usage import Usage
from contextkit.verdict import Verdict


class Decision(NamedTuple):
    """What became of one piece, who decided it and why.

    `tokens_before` counts the log's own messages, `tokens_after` what the call shows for them.
    `handle` brings the original back through `Thread.expand`; it is empty for inserted items.
    """

    piece: str
    action: Action
    policy: str
    why: str
    section: str
    tokens_before: int
    tokens_after: int
    start: int
    stop: int
    handle: str = ""
    pinned: bool = False
    volatile: bool = False
    """Shown so in this call only: what stands from here on is not expected to be repeated."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """How much of the call before this one is repeated byte for byte at the start of this one.

    `moved` says that the earlier call is not a prefix of this one up to its stable end: then `policy`
    and `why` name the edit that moved it and `rewritten_tokens` is what has to be read in again.
    """

    shared_tokens: int = 0
    previous_tokens: int = 0
    moved: bool = False
    rewritten_tokens: int = 0
    policy: str = ""
    why: str = ""
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class CacheForecast:
    """What the provider's prompt cache is expected to do with this call, in tokens and money."""

    read_tokens: int = 0
    write_tokens: int = 0
    fresh_tokens: int = 0
    cost_usd: float | None = None
    uncached_usd: float | None = None
    relative_cost: float = 1.0
    """Cost of the input over the cost of the same input without a cache."""


@dataclass(frozen=True)
class Ledger:
    """The account of one call. `usage` is None until the reply was recorded."""

    thread: str
    turn: int
    window: int
    reply_reserve: int
    input_tokens: int
    upper_tokens: int
    frame_tokens: int
    """Tool schemas, template and reply priming."""
    exact: bool
    counter: str
    decisions: tuple[Decision, ...]
    prefix: Prefix = field(default_factory=Prefix)
    forecast: CacheForecast = field(default_factory=CacheForecast)
    notes: tuple[str, ...] = ()
    """Repairs and warnings that concern the whole call."""
    usage: Usage | None = None
    cost_usd: float | None = None
    """The real cost of the call by its usage and the dated prices, input and output."""
    verdict: Verdict | None = None
    """What the provider said about its cache, where it was asked."""
    max_input_tokens: int | None = None
    """What the model takes of input, where that is known to be less than its window."""

    def __repr__(self) -> str:
        reach = f"{self.input_tokens:,} of {self.limit_tokens:,} tokens"
        return (
            f"Ledger({self.thread!r}, turn {self.turn}, {reach}, {len(self.decisions)} decisions)"
        )

    @property
    def limit_tokens(self) -> int:
        """What the input may take: the window without the reply reserve, or what the model takes."""
        return input_limit(self.window, self.reply_reserve, self.max_input_tokens)

    @property
    def sections(self) -> dict[str, int]:
        """Tokens of the call by section, in the order in which they first appear."""
        sums: dict[str, int] = {"frame": self.frame_tokens} if self.frame_tokens else {}
        for decision in self.decisions:
            if decision.tokens_after:
                sums[decision.section] = sums.get(decision.section, 0) + decision.tokens_after
        return sums

    @property
    def left_out(self) -> Iterator[Decision]:
        """Decisions that show less than the log holds."""
        return (d for d in self.decisions if d.action in ("drop", "replace"))

    def find(self, handle: str) -> Decision:
        """The decision that covers a handle. Raises `UnknownHandle`."""
        span = parse_handle(handle) if isinstance(cast("object", handle), str) else None
        for decision in self.decisions:
            if decision.piece == handle:
                return decision
            if span and decision.start <= span[0] < decision.stop:
                return decision
        known = ", ".join(d.piece for d in self.decisions[:8])
        raise UnknownHandle(f"no piece of this call is called {handle!r}; it is made of {known} …")

    def explain(self, handle: str) -> str:
        """One sentence: what became of a piece, by whom, why, and how to get it back."""
        decision = self.find(handle)
        verbs = {
            "keep": "is in the call as it was said",
            "drop": "was left out",
            "replace": "is shown in a shorter form",
            "insert": "was put in",
            "move": "stands in another place",
        }
        text = (
            f"{handle} {verbs[decision.action]} ({decision.tokens_before:,} -> "
            f"{decision.tokens_after:,} tokens for {decision.piece}): {decision.why} "
            f"[{decision.policy}]"
        )
        if decision.handle and decision.action in ("drop", "replace"):
            text += f"; thread.expand({handle!r}) gives the original back"
        return text

    def table(self) -> str:
        """The decisions as a plain-text table, one piece a line, and the sums."""
        rows = [("piece", "action", "section", "before", "after", "policy", "why")]
        rows += [
            (
                d.piece,
                d.action + (" (pinned)" if d.pinned else ""),
                d.section,
                f"{d.tokens_before:,}",
                f"{d.tokens_after:,}",
                d.policy,
                d.why,
            )
            for d in self.decisions
        ]
        rows.append(
            ("frame", "keep", "frame", "", f"{self.frame_tokens:,}", "assembly", "template")
        )
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        lines = [
            "  ".join(
                cell.rjust(widths[i]) if i in (3, 4) else cell.ljust(widths[i] if i < 6 else 0)
                for i, cell in enumerate(row)
            ).rstrip()
            for row in rows
        ]
        bar = "" if self.exact else f" (at most {self.upper_tokens:,})"
        lines.append(
            f"{self.input_tokens:,} tokens{bar} of {self.limit_tokens:,}; "
            f"{self.reply_reserve:,} kept for the reply"
        )
        return "\n".join(lines)

    def closed(
        self,
        turn: int,
        usage: Usage | None,
        cost_usd: float | None,
        verdict: Verdict | None = None,
    ) -> Ledger:
        """The same ledger after the call was answered."""
        return replace(self, turn=turn, usage=usage, cost_usd=cost_usd, verdict=verdict)

    def renumbered(self, start: int, by: int) -> Ledger:
        """The same ledger where entries from `start` on were stored `by` places further on."""
        note = f"another writer appended first: what was to be m{start} is m{start + by}"
        moved = tuple(d if d.start < start else _shifted(d, by) for d in self.decisions)
        return replace(self, decisions=moved, notes=(*self.notes, note))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON values; sections and the limit are written out."""
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        out["decisions"] = [d._asdict() for d in self.decisions]
        for name in ("prefix", "forecast", "usage", "verdict"):
            value = out[name]
            out[name] = (
                None if value is None else {f.name: getattr(value, f.name) for f in fields(value)}
            )
        out["notes"] = list(self.notes)
        out["sections"] = self.sections
        out["limit_tokens"] = self.limit_tokens
        return out

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Ledger:
        """The ledger that `to_dict` wrote."""
        rest = {k: v for k, v in value.items() if k not in ("sections", "limit_tokens")}
        rest["decisions"] = tuple(Decision(**d) for d in rest["decisions"])
        rest["prefix"] = Prefix(**rest["prefix"])
        rest["forecast"] = CacheForecast(**rest["forecast"])
        rest["notes"] = tuple(rest["notes"])
        rest["usage"] = Usage(**rest["usage"]) if rest["usage"] else None
        rest["verdict"] = Verdict(**rest["verdict"]) if rest.get("verdict") else None
        return cls(**rest)


def _shifted(decision: Decision, by: int) -> Decision:
    start, stop = decision.start + by, decision.stop + by
    if start == stop:
        return decision._replace(start=start, stop=stop)
    handle = entry_handle(start, stop)
    return decision._replace(start=start, stop=stop, piece=handle, handle=handle)
