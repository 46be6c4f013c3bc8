"""Recording a turn: what was asked and answered, the view and the closed ledger, in one transaction."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from contextkit import view as views
from contextkit.backend import Reply
from contextkit.call import Call
from contextkit.ledger import Ledger
from contextkit.log import Entry
from contextkit.seal import Plan
from contextkit.store import StoredView
from contextkit.thread_log import ThreadLog
from contextkit.verdict import read_verdict
from contextkit.view import View

if TYPE_CHECKING:
    from contextkit.manager import ContextManager


def commit(
    manager: ContextManager,
    log: ThreadLog,
    call: Call,
    plan: Plan,
    reply: Reply,
    only_next: bool = False,
) -> Ledger:
    """Store a sealed call's input and its reply; returns the closed ledger with its turn's number.

    `only_next`: raises `ViewConflict` where the log is longer than the call knew.
    """
    new = plan.draft.log.entries(plan.n_entries, plan.draft.log.stop)
    messages = [*(entry.message for entry in new), reply.message]
    measures = [*(entry.measure for entry in new), manager.counter.measure(reply.message)]
    _learn(manager, plan, reply)
    cost_usd = manager.cost_of(reply.usage, reply.model)
    ledger = call.ledger.closed(0, reply.usage, cost_usd, read_verdict(reply.raw))
    before = log.view.sent
    if manager.other_rule(reply.model) is None:
        ledger = manager.calibrate(ledger, manager.clock() - before.at if before else None)
    else:
        note = (
            f"{reply.model} answered and is billed; the window, the counts and the cache points are "
            f"those of {manager.backend.capabilities.model}"
        )
        ledger = replace(ledger, notes=(*ledger.notes, note))

    def store(entries: list[Entry]) -> tuple[View, Ledger]:
        view, body = log.view, None
        by = entries[0].seq - plan.n_entries
        account = ledger.renumbered(plan.n_entries, by) if by else ledger
        turn = json.dumps(account.to_dict())
        if plan.base_version == view.version:
            view, body = views.following(view, plan, entries, manager.clock())
        stored = None if body is None else StoredView(view.version, body)
        number = log.store.commit(log.record, entries=entries, view=stored, turn=turn)
        return view, replace(account, turn=number)

    at = plan.n_entries if only_next else None
    _, (log.view, account) = log.write(messages, measures, store, new, at=at)
    return account


def _learn(manager: ContextManager, plan: Plan, reply: Reply) -> None:
    """What a provider counted makes the estimates of a counter that is not exact better."""
    counter = manager.counter
    if reply.usage is None or counter.exact or not reply.usage.input_tokens:
        return
    counter.observe(plan.draft.measure, reply.usage.input_tokens)
    manager.save_counter()
