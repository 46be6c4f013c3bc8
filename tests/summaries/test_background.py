"""Jobs beside the conversation: one a key, waited for, stopped, their failures kept."""

from __future__ import annotations

from threading import Event

import pytest

from contextkit.background import Background


def test_one_job_of_a_key_runs_at_a_time() -> None:
    background, go, done = Background(), Event(), list[str]()

    def work(stop: Event) -> None:
        go.wait(20)
        done.append("first")

    assert background.submit("a", work)
    assert not background.submit("a", work)
    assert background.submit("b", lambda stop: done.append("other"))
    assert not background.wait(0.05)
    go.set()
    assert background.wait(20)
    assert sorted(done) == ["first", "other"]
    assert background.submit("a", work)
    assert background.wait(20)


def test_closing_asks_jobs_to_stop_and_waits_for_them() -> None:
    background, stopped = Background(), list[bool]()
    assert background.submit("a", lambda stop: stopped.append(stop.wait(20)))
    background.close()
    assert stopped == [True]
    assert not background.submit("a", lambda stop: stopped.append(False))


def test_a_failure_is_kept_until_a_job_of_its_key_succeeds() -> None:
    background = Background()

    def fail(stop: Event) -> None:
        raise ValueError("no")

    assert background.failure("a") is None
    background.submit("a", fail)
    background.wait()
    failure = background.failure("a")
    assert isinstance(failure, ValueError)
    assert background.failure("b") is None
    background.submit("a", lambda stop: None)
    background.wait()
    assert background.failure("a") is None
    with pytest.raises(ValueError, match="no"):
        raise failure
