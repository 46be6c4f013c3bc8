"""A turn before sealing: the first draft, then the policies in their order, then pairing repairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from contextkit.contents import Protected
from contextkit.draft import Draft
from contextkit.errors import ContextKitError, PolicyError
from contextkit.log_view import LogView, leading_system
from contextkit.memo import Memo
from contextkit.piece import Piece, merge
from contextkit.policy import Policy, Stage, Turn
from contextkit.pricing import CacheRule
from contextkit.repair import repair
from contextkit.tokens import Measure
from contextkit.tools import Tool
from contextkit.view import View

if TYPE_CHECKING:
    from contextkit.thread import Thread

ATTEMPTS = 3
"""Times the policies may try under a limit lowered by what was added behind them."""
REQUEST_WHY = "the current request stays word for word"
BATCH_WHY = "the newest messages, which the model is to answer"


def begin(
    thread: Thread,
    log: LogView,
    view: View,
    tools: tuple[Tool, ...],
    limit_tokens: int | None,
) -> tuple[Draft, Turn]:
    """The draft that no policy has seen, and what the policies may know about the turn."""
    manager = thread.manager
    table = start_pieces(view.pieces, log, view.covered, manager.counter.zero)
    newest = log.entry(log.stop - 1)
    request = newest.request
    window, reserve = manager.window, manager.reply_reserve
    turn = Turn(
        query=log.entry(request).message.text if request >= 0 else "",
        request=request,
        task=_first_request(log),
        new_from=view.covered,
        window=window,
        reply_reserve=reserve,
        shares=manager.budget.shares,
        tools=tools,
        rule=manager.rule,
        tenant=thread.tenant,
        thread=thread.name,
        backend=manager.backend,
        memo=Memo(manager.history, thread.tenant),
        memory_of=lambda: thread.memory,
        summaries_of=lambda: thread.summaries,
        last_call=thread.last_call,
        n_calls=view.version,
        cold=_is_cold(view, manager.rule, manager.clock() - thread.used_at(view)),
        gaps_s=view.sent.pace.gaps_s if view.sent else (),
        max_input_tokens=manager.max_input_tokens,
    )
    draft = Draft(
        log=log,
        counter=manager.counter,
        pieces=table,
        sticky=table,
        tools=tools,
        frame=manager.frame(tools),
        limit_tokens=turn.limit_tokens if limit_tokens is None else limit_tokens,
        protected=_protected(log),
        notes=manager.notes,
        before=view.sent.repeated if view.sent else None,
    )
    if request >= 0:
        draft = _labelled(draft, draft.protected[0])
    return draft, turn


def _is_cold(view: View, rule: CacheRule | None, unused_s: float) -> bool:
    """Whether the cache of the call before has lapsed by the provider's rules."""
    if view.sent is None or rule is None:
        return False
    seconds = rule.ttl(view.sent.ttl or None).seconds
    return seconds is not None and unused_s > seconds


def start_pieces(
    committed: Sequence[Piece], log: LogView, covered: int, zero: Measure
) -> tuple[Piece, ...]:
    """The committed table with what was said since as one kept piece; a new thread's system apart."""
    pieces = list(committed)
    if not pieces:
        stop = leading_system(log)
        if stop:
            pieces.append(
                Piece(
                    0,
                    stop,
                    log.span(0, stop),
                    section="system",
                    pinned=True,
                    why="the instructions stand first and stay",
                )
            )
        covered = stop
    if covered < log.stop:
        pieces.append(Piece(covered, log.stop, log.span(covered, log.stop)))
    return (*pieces[:-2], *merge(pieces[-2:], log))


def run(policies: Sequence[Policy], draft: Draft, turn: Turn, irregular: bool) -> Draft:
    """The draft after every policy; repairs come before the policies that only arrange.

    Where the log gave no cause for repairs and the outcome is invalid all the same (a call id that
    was used long ago), the turn is run once more with them.
    """
    irregular = irregular or _is_pending(draft)
    done = _fitted(policies, draft, turn, irregular)
    if done.faults and not irregular:
        done = _fitted(policies, draft, turn, True)
    return done


def _fitted(policies: Sequence[Policy], draft: Draft, turn: Turn, repairing: bool) -> Draft:
    """The policies under the limit; where later ones or repairs added to it, under a lower one."""
    limit = draft.limit_tokens
    done = under = draft
    for attempt in range(ATTEMPTS):
        if attempt:
            under, turn = draft.changed(limit_tokens=limit), replace(turn, attempt=attempt)
        done, lowest = _run(policies, under, turn, repairing)
        over = done.upper_tokens - draft.limit_tokens
        if over <= 0 or limit <= over:
            break
        limit = min(limit, lowest) - over
    return done if under is draft else done.changed(limit_tokens=draft.limit_tokens)


def _run(
    policies: Sequence[Policy], draft: Draft, turn: Turn, repairing: bool
) -> tuple[Draft, int]:
    """The draft after all, and the fewest tokens it had on the way: what came on top was added late."""
    limit, lowest = draft.limit_tokens, draft.upper_tokens
    is_settled = False
    for index, policy in enumerate(policies):
        if policy.stage is Stage.ARRANGE and not is_settled:
            draft, is_settled = _settled(policies, draft, turn, limit, repairing), True
        draft = _apply(policy, index, draft, turn)
        lowest = min(lowest, draft.upper_tokens)
    return draft if is_settled else _settled(policies, draft, turn, limit, repairing), lowest


def _settled(
    policies: Sequence[Policy], draft: Draft, turn: Turn, limit: int, repairing: bool
) -> Draft:
    """The draft repaired where that is due, its whole limit back, after every policy's second look."""
    draft = repair(draft) if repairing else draft
    if draft.limit_tokens != limit:
        draft = draft.changed(limit_tokens=limit)
    for index, policy in enumerate(policies):
        draft = _guarded(policy, index, policy.settle, draft, turn)
    return draft


def _apply(policy: Policy, index: int, draft: Draft, turn: Turn) -> Draft:
    changed = _guarded(policy, index, policy.apply, draft, turn)
    if policy.stage is Stage.ARRANGE and changed.measure != draft.measure:
        raise PolicyError(
            f"policies.{index} ({policy.kind}) only arranges, but changed what is said; its stage "
            "must be gather or shrink for that"
        )
    return changed


def _guarded(
    policy: Policy, index: int, step: Callable[[Draft, Turn], object], draft: Draft, turn: Turn
) -> Draft:
    try:
        changed = step(draft, turn)
        if not isinstance(changed, Draft):
            raise TypeError(f"it returned {changed!r} in place of a draft")
        return changed
    except ContextKitError:
        raise
    except Exception as error:
        raise PolicyError(
            f"policies.{index} ({policy.kind}) failed: {type(error).__name__}: {error}"
        ) from error


def _is_pending(draft: Draft) -> bool:
    """Whether the newest batch still waits for results."""
    newest = draft.log.entry(draft.log.stop - 1)
    return any(group == newest.group for group in newest.open.values())


def _first_request(log: LogView) -> int:
    """`seq` of the first user request, looked for among the opening messages."""
    start = leading_system(log)
    for seq in range(start, min(start + 64, log.stop)):
        if log.entry(seq).message.is_request:
            return seq
    return -1


def _labelled(draft: Draft, request: Protected) -> Draft:
    """The current request as a section of its own; what stands in another form is left alone."""
    for piece in draft.pieces:
        if piece.stop <= request.start or piece.start >= request.stop:
            continue
        low, high = max(piece.start, request.start), min(piece.stop, request.stop)
        if piece.is_log and low < high:
            draft = draft.keep(
                low, high, policy="assembly", why=request.why, section="request", sticky=False
            )
    return draft


def _protected(log: LogView) -> tuple[Protected, ...]:
    """The current request with its batch, and the newest batch: what the model is asked about."""
    newest = log.entry(log.stop - 1)
    while newest.message.is_empty and newest.seq > 0:
        newest = log.entry(newest.seq - 1)
    guards: list[Protected] = []
    if newest.request >= 0:
        entry = log.entry(newest.request)
        stop = entry.seq + 1
        while stop < log.stop and log.entry(stop).group == entry.group:
            stop += 1
        guards.append(Protected(entry.group, stop, REQUEST_WHY))
    if not guards or newest.group >= guards[0].stop:
        guards.append(Protected(newest.group, log.stop, BATCH_WHY))
    return tuple(guards)
