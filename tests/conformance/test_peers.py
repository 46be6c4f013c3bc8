"""Trimmers of other packages, as they are: which laws they keep and which they break.

Only what follows from how a package cuts is asserted, so that a figure may change with its version.
"""

from __future__ import annotations

import logging
from typing import Any

import pytest

from contextkit.testing import Report, conform
from contextkit.testing.peers import as_subject, is_installed, peers

PEERS = {peer.name: peer for peer in peers()}
PAIRED = (
    "langchain-summarize",
    "llama-index-memory",
    "agent-framework-window",
    "agent-framework-tool-results",
    "agent-framework-budget",
    "agent-framework-context-window",
    "pydantic-window",
    "pydantic-clear-results",
    "autogen-buffered",
    "autogen-head-and-tail",
)
SPLITTING = (
    "langchain-trim",
    "langchain-trim-human",
    "langchain-trim-human-alone",
    "llama-index-buffer",
    "autogen-token-limited",
    "autogen-token-limited-within",
)
FORGETFUL = (
    "langchain-summarize",
    "langchain-trim",
    "agent-framework-budget",
    "agent-framework-context-window",
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def judged(name: str, caplog: pytest.LogCaptureFixture) -> Report:
    """The report of a peer, or a skip where its package is missing."""
    peer = PEERS[name]
    if not is_installed(peer):
        pytest.skip(f"{peer.package} is not installed")
    caplog.set_level(logging.ERROR)
    return conform(as_subject(peer), n_cases=14)


def each(names: tuple[str, ...]) -> list[Any]:
    """The names as parameters; those whose package is slow to import or to write are slow tests."""
    slow = {name: pytest.mark.slow for name in names if name.startswith("llama-index")}
    return [pytest.param(name, marks=slow.get(name, ())) for name in names]


@pytest.mark.parametrize("name", each(PAIRED))
def test_peers_that_keep_calls_with_their_results(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    report = judged(name, caplog)
    assert not report.broken["valid"], report.examples
    assert not report.broken["answers"], report.examples
    assert not report.broken["unmutated"], report.examples
    assert not report.broken["order"], report.examples


@pytest.mark.parametrize("name", each(SPLITTING))
def test_peers_that_cut_between_them(name: str, caplog: pytest.LogCaptureFixture) -> None:
    report = judged(name, caplog)
    assert report.broken["valid"]
    assert not report.broken["answers"], report.examples


@pytest.mark.parametrize("name", FORGETFUL)
def test_peers_that_lose_the_request_they_answer(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert judged(name, caplog).broken["request"]
