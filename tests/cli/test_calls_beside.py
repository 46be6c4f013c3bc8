"""A history that an adapter keeps apart from its calls says where those are."""

from __future__ import annotations

from pathlib import Path

import pytest

import contextkit
from tests.cli.conftest import Run

WHERE = "its calls are in support/42/calls"


@pytest.fixture
def kept_apart(stored: Path) -> None:
    """A history, one that began anew, their calls; and a history without any."""
    with contextkit.load(stored) as manager:
        for name in ("support/42", "support/42~2", "support/43"):
            manager.thread(name).append([{"role": "user", "content": "Which gate?"}])
        manager.thread("support/42/calls").respond("Which gate?")
        manager.thread("support/43/calls", tenant="acme").respond("Which gate?")


@pytest.mark.usefixtures("kept_apart")
@pytest.mark.parametrize("name", ["support/42", "support/42~2"])
@pytest.mark.parametrize("more", [(), ("--cost",), ("--turn", "1"), ("--explain", "m0")])
def test_a_history_says_where_its_calls_are(run: Run, name: str, more: tuple[str, ...]) -> None:
    done = run("inspect", name, *more)
    assert WHERE in " ".join(done.output.split())


@pytest.mark.usefixtures("kept_apart")
def test_what_has_calls_or_none_names_no_other_thread(run: Run) -> None:
    assert run("inspect", "support/43").stdout == "1 message, no recorded turns\n"
    for more in ((), ("--cost",)):
        assert "its calls are in" not in run("inspect", "support/42/calls", *more).output
    wrong = run("inspect", "support/42/calls", "--turn", "9")
    assert wrong.stderr.rstrip().endswith("it has 1 turn")
