"""A turn before sealing: the first draft, then the policies in their order, then pairing repairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contextkit.draft import Draft, LogView, Protected, leading_system
from contextkit.errors import ContextKitError, PolicyError
from contextkit.piece import Piece
from contextkit.policy import Policy, Stage, Turn
from contextkit.repair import repair
from contextkit.tools import Tool

if TYPE_CHECKING:
    from contextkit.thread import Thread

REQUEST_WHY = "the current request stays word for word"
BATCH_WHY = "the newest messages, which the model is to answer"


def begin(
    thread: Thread,
    log: LogView,
    table: tuple[Piece, ...],
    tools: tuple[Tool, ...],
    new_from: int,
    shrink: float,
) -> tuple[Draft, Turn]:
    """The draft that no policy has seen, and what the policies may know about the turn."""
    manager = thread.manager
    newest = log.entry(log.stop - 1)
    request = newest.request
    window, reserve = manager.window, manager.reply_reserve
    turn = Turn(
        query=log.entry(request).message.text if request >= 0 else "",
        request=request,
        task=_first_request(log),
        new_from=new_from,
        window=window,
        reply_reserve=reserve,
        shares=manager.budget.shares,
        tools=tools,
        rule=manager.rule,
        tenant=thread.tenant,
        thread=thread.name,
        backend=manager.backend,
    )
    draft = Draft(
        log=log,
        counter=manager.counter,
        pieces=table,
        sticky=table,
        tools=tools,
        frame=manager.frame(tools),
        limit_tokens=int((window - reserve) * shrink),
        protected=_protected(log),
    )
    if request >= 0:
        guard = draft.protected[0]
        draft = draft.keep(
            guard.start,
            guard.stop,
            policy="assembly",
            why=guard.why,
            section="request",
            sticky=False,
        )
    return draft, turn


def run(policies: Sequence[Policy], draft: Draft, turn: Turn, irregular: bool) -> Draft:
    """The draft after every policy; repairs come before the policies that only arrange."""
    repaired = False
    for index, policy in enumerate(policies):
        if policy.stage is Stage.ARRANGE and not repaired:
            draft, repaired = _repaired(draft, irregular), True
        draft = _apply(policy, index, draft, turn)
    return draft if repaired else _repaired(draft, irregular)


def _apply(policy: Policy, index: int, draft: Draft, turn: Turn) -> Draft:
    try:
        return policy.apply(draft, turn)
    except ContextKitError:
        raise
    except Exception as error:
        raise PolicyError(
            f"policies.{index} ({policy.kind}) failed: {type(error).__name__}: {error}"
        ) from error


def _repaired(draft: Draft, irregular: bool) -> Draft:
    newest = draft.log.entry(draft.log.stop - 1)
    pending = any(group == newest.group for group in newest.open.values())
    return repair(draft) if irregular or pending else draft


def _first_request(log: LogView) -> int:
    """`seq` of the first user request, looked for among the opening messages."""
    start = leading_system(log)
    for seq in range(start, min(start + 64, log.stop)):
        if log.entry(seq).message.is_request:
            return seq
    return -1


def _protected(log: LogView) -> tuple[Protected, ...]:
    """The current request with its batch, and the newest batch: what the model is asked about."""
    newest = log.entry(log.stop - 1)
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
