"""What a report of November 2026 gives for the peers comes out again, within the error of both samples."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from contextkit.testing import SHAPES, Transcript, transcripts
from contextkit.testing.peers import is_installed, peers
from docs.bench.reported import (
    N_REPORTED,
    REPORTED,
    Reported,
    agrees,
    counted_characters,
    counted_texts,
    is_lost,
    is_refused,
    rates,
)

PEERS = {peer.name: peer for peer in peers()}
SLOW = ("llama-index", "agent-framework", "pydantic")
SYSTEM: dict[str, Any] = {"role": "system", "content": "You are an agent."}
ASKED: dict[str, Any] = {"role": "user", "content": "Which gate?"}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def rows() -> list[Any]:
    """The report's rows; those whose package is slow are slow tests."""
    return [
        pytest.param(
            row, id=row.peer, marks=[pytest.mark.slow] if row.peer.startswith(SLOW) else []
        )
        for row in REPORTED
    ]


@pytest.fixture(scope="module")
def cases() -> list[Transcript]:
    """As many conversations as the report judged."""
    return list(transcripts(N_REPORTED, shape=SHAPES["tools"]))


@pytest.mark.parametrize("row", rows())
def test_the_share_of_invalid_requests(
    row: Reported, cases: list[Transcript], caplog: pytest.LogCaptureFixture
) -> None:
    if not is_installed(PEERS[row.peer]):
        pytest.skip(f"{PEERS[row.peer].package} is not installed")
    caplog.set_level(logging.ERROR)
    refused, lost = rates(row, cases)
    assert agrees(refused, len(cases), (row.invalid, row.invalid))
    if row.lost and row.peer != "autogen-token-limited-within":  # there the page says it does not
        assert agrees(lost, len(cases), row.lost)


def test_agreeing_is_within_the_error_of_both_samples() -> None:
    assert agrees(205, 400, (0.512, 0.512))
    assert agrees(180, 400, (0.512, 0.512))
    assert not agrees(170, 400, (0.512, 0.512))
    assert agrees(108, 400, (0.245, 0.30))
    assert agrees(130, 400, (0.245, 0.30))
    assert not agrees(150, 400, (0.245, 0.30))
    assert agrees(0, 400, (0, 0))
    assert not agrees(5, 400, (0, 0))


def test_a_system_prompt_alone_is_no_request() -> None:
    assert is_refused([])
    assert is_refused([SYSTEM])
    assert not is_refused([SYSTEM, ASKED])


def test_a_request_in_other_words_is_lost() -> None:
    case = Transcript(0, 0, "openai", (SYSTEM, ASKED), (2,))
    assert not is_lost(case, [ASKED])
    assert is_lost(case, [SYSTEM, {"role": "user", "content": "Which gate, in short?"}])


def test_the_counters_count_each_message_once() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": "{}"}}
    asking: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [call]}
    messages = [SYSTEM, ASKED, asking, {**asking, "content": "One moment."}]
    assert counted_texts(messages) == sum(counted_texts([m]) for m in messages)
    apart = sum(counted_characters([m]) for m in messages)
    assert apart <= counted_characters(messages) < apart + len(messages)
