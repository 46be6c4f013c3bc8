"""Policies that take their time: who was answered is not made to wait for them."""

from __future__ import annotations

import threading
from typing import ClassVar

import httpx

from contextkit import plugins
from contextkit.draft import Draft
from contextkit.policy import Policy, Stage, Turn
from contextkit.server.relay import AT_ONCE
from contextkit.server.settings import Settings
from tests.fakes.answers import saying
from tests.fakes.provider import FakeProvider
from tests.server.running import manager_of, serving

GO = threading.Event()
WAITING = threading.Semaphore(0)


class Slow(Policy):
    """Waits where it is asked to."""

    kind: ClassVar[str] = "slow_when_asked"
    stage: ClassVar[Stage] = Stage.SHRINK

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        if turn.query.startswith("wait"):
            WAITING.release()
            GO.wait(30)
        return draft


def test_a_turn_is_recorded_while_all_others_assemble(provider: FakeProvider) -> None:
    plugins.register("policies", Slow)
    provider.respond, provider.chunk_delay_s = saying("word " * 20), 0.05
    told: list[int] = []
    with serving(
        manager_of(100_000, "slow_when_asked"), Settings(upstream=provider.origin)
    ) as running:
        url = f"{running.url}/chat/completions"

        def sent(text: str, **more: bool) -> dict[str, object]:
            return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **more}

        def ask(number: int) -> None:
            told.append(httpx.post(url, json=sent(f"wait {number}"), timeout=60).status_code)

        waiting = [threading.Thread(target=ask, args=(n,)) for n in range(AT_ONCE)]
        with httpx.stream("POST", url, json=sent("hi", stream=True), timeout=10) as answer:
            lines = answer.iter_lines()
            next(lines)
            for each in waiting:
                each.start()
            assert all(WAITING.acquire(timeout=20) for _ in waiting)
            assert "data: [DONE]" in list(lines)
        GO.set()
        for each in waiting:
            each.join(60)
        assert ["hi", "word " * 20] in running.logs().values()
    assert told == [200] * AT_ONCE
