"""What of a cached sequence a new prompt keeps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contextkit_backends.local.engine.reuse import Reuse, find_reuse

TOKENS = st.lists(st.integers(0, 5), max_size=120)


def test_a_longer_prompt_keeps_all() -> None:
    assert find_reuse(range(50), range(80)) == Reuse(50, 50, 50)


def test_the_last_token_is_always_read() -> None:
    assert find_reuse(range(50), range(50)).n_kept == 49
    assert find_reuse(range(50), range(20)).n_kept == 19
    assert find_reuse([], [7]).n_kept == 0
    assert find_reuse([7], []).n_kept == 0


def test_what_a_window_dropped_is_a_gap() -> None:
    prompt = [*range(10), *range(40, 100), *range(200, 220)]
    found = find_reuse(range(100), prompt)
    assert found == Reuse(10, 40, 100)
    assert found.n_kept == 70
    assert found.n_evicted == 30


def test_what_is_behind_the_agreement_is_cut_off() -> None:
    prompt = [*range(10), *range(40, 90), 777, *range(200, 220)]
    assert find_reuse(range(100), prompt) == Reuse(10, 40, 90)


def test_a_change_in_the_middle_keeps_the_head() -> None:
    prompt = [*range(10), 501, 502, *range(12, 100)]
    assert find_reuse(range(100), prompt) == Reuse(10, 10, 10)


@given(TOKENS, TOKENS)
def test_what_is_kept_is_what_the_prompt_says(cached: list[int], prompt: list[int]) -> None:
    found = find_reuse(cached, prompt)
    kept = cached[: found.head] + cached[found.resume : found.stop]
    assert kept == prompt[: found.n_kept]
    assert found.n_kept < max(1, len(prompt))
    assert 0 <= found.head <= found.resume <= found.stop <= len(cached)


@given(TOKENS, st.integers(0, 60), st.integers(0, 60), TOKENS)
def test_every_long_enough_gap_is_found(
    cached: list[int], head: int, gap: int, more: list[int]
) -> None:
    head = min(head, len(cached))
    tail = cached[head + gap :]
    prompt = [*cached[:head], *tail, *more, 9]
    expected = head + len(tail) if len(tail) >= 16 else head
    assert find_reuse(cached, prompt).n_kept >= expected
