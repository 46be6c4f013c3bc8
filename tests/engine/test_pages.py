"""Pages: owned once, never lost, counts balanced; sequences read back exactly what they wrote."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from contextkit.errors import ConfigError, EngineError, PoolExhausted

pytest.importorskip("torch", reason="the local engine needs torch")

from contextkit_backends.local.engine.pages import PageCounts, PagePool
from contextkit_backends.local.engine.prefix import PrefixIndex
from contextkit_backends.local.engine.sequence import Sequence

from .token_pages import P, TokenPages

N_PAGES = 20


class Track:
    """A sequence and what it must answer, worked out the slow way from its whole history."""

    def __init__(self, sequence: Sequence, history: list[int], head: int, gone: set[int]) -> None:
        self.sequence, self.history, self.head, self.gone = sequence, history, head, gone

    def visible(self) -> list[int]:
        now, window = len(self.history), self.sequence.window
        recent = range(0 if window is None else max(0, now - window), now)
        return sorted({*range(min(self.head, now)), *recent} - self.gone)


class PoolMachine(RuleBasedStateMachine):
    """Random streams over one small pool: prefixes, chunks, forks, evictions, failures, refusals."""

    tracks = Bundle("tracks")

    @initialize(
        window=st.sampled_from([None, 5, 8, 13]),
        sinks=st.sampled_from([0, 1, 4, 5]),
        n_packed=st.sampled_from([0, 12]),
    )
    def engine(self, window: int | None, sinks: int, n_packed: int) -> None:
        self.window, self.sinks = window, 0 if window is None else sinks
        n_short = 4 if n_packed else 0  # fewer than sequences
        self.pages = PagePool(N_PAGES, page_tokens=P, n_packed=n_packed, n_short=n_short)
        self.storage = TokenPages(N_PAGES, n_packed, n_short)
        self.storage.sinks = self.sinks
        self.index = PrefixIndex(self.pages, {}, sinks=self.sinks, window=window)
        self.live: list[Track] = []
        self.least_head = self.sinks

    @rule(target=tracks, prompt=st.lists(st.integers(0, 1), min_size=1, max_size=30))
    def open(self, prompt: list[int]) -> Track:
        sequence = Sequence(self.pages, self.storage, sinks=self.sinks, window=self.window)
        known = self.index.open(sequence, prompt)
        assert known % P == 0
        assert known < len(prompt)
        track = Track(sequence, prompt[:known], self.sinks, set())
        self.live.append(track)
        self.extend(track, prompt[known:])
        return track

    @rule(track=tracks, tokens=st.lists(st.integers(0, 1), max_size=11))
    def extend(self, track: Track, tokens: list[int]) -> None:
        if track not in self.live:
            return
        try:
            self.storage.write(track.sequence, tokens)
        except PoolExhausted:
            return
        track.history = track.history + tokens

    @rule(track=tracks, n=st.integers(0, 9))
    def fail(self, track: Track, n: int) -> None:
        if track not in self.live:
            return
        try:
            track.sequence.reserve(n)
        except PoolExhausted:
            return
        track.sequence.abandon()

    @rule(target=tracks, track=tracks)
    def fork(self, track: Track) -> Track:
        twin = Track(track.sequence.fork(), track.history, track.head, {*track.gone})
        if track in self.live:
            self.live.append(twin)
        return twin

    @rule(track=tracks, start=st.integers(0, 12), n=st.integers(1, 12))
    def evict(self, track: Track, start: int, n: int) -> None:
        if track not in self.live:
            return
        stop, length = start + n, len(track.history)
        visible = track.visible()
        whole = visible == list(range(length))
        gap_end = next((j for j in visible if j >= track.head), length)
        allowed = stop <= length and (whole or (start <= track.head and stop >= gap_end))
        try:
            track.sequence.evict(start, stop)
        except EngineError:
            assert not allowed
            return
        assert allowed
        track.head = start
        self.least_head = min(self.least_head, start)
        track.gone |= {*range(start, stop)}

    @rule(track=consumes(tracks))
    def close(self, track: Track) -> None:
        track.sequence.close()
        track.sequence.close()
        if track in self.live:
            self.live.remove(track)

    @invariant()
    def every_page_is_in_one_place(self) -> None:
        held = Counter(
            page
            for track in self.live
            for page in (*track.sequence.head_pages, *track.sequence.tail_pages)
        )
        for page in range(N_PAGES + self.pages.n_packed):
            assert self.pages.references(page) == held[page]
        n_cached = 0
        for packed in (False, True):
            counts = self.pages.counts(packed=packed)
            n_held = sum(self.pages.is_packed(page) is packed for page in held)
            assert counts.used == n_held
            n_cached += counts.cached
        assert n_cached <= self.index.stats().n_entries
        if self.pages.short is not None:
            holders = Counter(t.sequence.short_head for t in self.live)
            for place in range(4):
                assert self.pages.short.references(place) == holders[place]

    @invariant()
    def every_sequence_reads_what_it_wrote(self) -> None:
        for track in self.live:
            sequence, visible = track.sequence, track.visible()
            assert sequence.length == len(track.history)
            assert sequence.n_cached == len(visible)
            found = self.storage.read(sequence)
            assert [found[j] for j in visible] == [track.history[j] for j in visible]
            needed = {j // P for j in visible} | {len(track.history) // P}
            assert len(found) <= P * len(needed)

    @invariant()
    def a_page_is_packed_once_and_no_head_is(self) -> None:
        for filled in self.storage.packed:
            assert filled.first_position >= self.least_head, (
                "an eviction may begin before the sinks"
            )
            assert not self.pages.is_packed(filled.source)
            assert self.pages.is_packed(filled.target)


TestPool = PoolMachine.TestCase
TestPool.settings = settings(max_examples=40, stateful_step_count=20)


@pytest.mark.slow
def test_many_pools() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        PoolMachine, settings=settings(max_examples=2000, stateful_step_count=60)
    )


def test_counts_follow_a_page_through_its_life() -> None:
    pages = PagePool(3, page_tokens=P)
    taken: list[int] = []
    pages.on_evict = taken.append
    first, second = pages.allocate(2)
    pages.remember(first)
    pages.retain(first)
    pages.release(first)
    pages.release(first)
    assert pages.counts() == PageCounts(total=3, free=1, cached=1)
    pages.retain(first)
    assert pages.counts() == PageCounts(total=3, free=1, cached=0)
    pages.release(first)
    pages.release(second)
    assert {*pages.allocate(3)} == {0, 1, 2}
    assert taken == [first]
    assert pages.n_evicted == 1


def test_the_least_recently_used_page_goes_first() -> None:
    pages = PagePool(3, page_tokens=P)
    held = pages.allocate(3)
    for page in held:
        pages.remember(page)
    for page in held:
        pages.release(page)
    pages.retain(held[0])
    pages.release(held[0])
    assert [pages.allocate()[0] for _ in range(3)] == [held[1], held[2], held[0]]


def test_exhausted_names_asked_and_available_and_takes_nothing() -> None:
    pages = PagePool(4, page_tokens=P)
    pages.allocate(1)
    with pytest.raises(PoolExhausted, match=r"20 more full-precision tokens .* 12 of 16") as caught:
        pages.allocate(5)
    assert (caught.value.asked_tokens, caught.value.available_tokens) == (20, 12)
    assert pages.counts().free == 3


def test_a_page_released_twice_or_vouched_for_by_nobody_is_a_mistake() -> None:
    pages = PagePool(2, page_tokens=P)
    (page,) = pages.allocate()
    pages.release(page)
    with pytest.raises(ValueError, match="more often"):
        pages.release(page)
    with pytest.raises(ValueError, match="held by nobody"):
        pages.remember(page)


@pytest.mark.parametrize("page_tokens", [0, 48, -64])
def test_page_sizes_that_are_no_power_of_two(page_tokens: int) -> None:
    with pytest.raises(ConfigError, match="power of two"):
        PagePool(4, page_tokens=page_tokens)


def test_a_window_smaller_than_the_sinks() -> None:
    with pytest.raises(ConfigError, match=r"window: 3 must be .* sinks \(4\)"):
        Sequence(PagePool(4, page_tokens=P), TokenPages(4), sinks=4, window=3)


def test_a_fork_writes_its_own_page() -> None:
    pages, storage = PagePool(8, page_tokens=P), TokenPages(8)
    one = Sequence(pages, storage)
    storage.write(one, [1, 2, 3, 4, 5, 6])
    two = one.fork()
    assert pages.counts().used == 2
    storage.write(one, [7])
    storage.write(two, [8])
    assert pages.counts().used == 3
    assert storage.read(one)[6] == 7
    assert storage.read(two)[6] == 8


def test_steps_in_the_wrong_order_are_refused() -> None:
    pages, storage = PagePool(8, page_tokens=P), TokenPages(8)
    sequence = Sequence(pages, storage)
    sequence.reserve(2)
    with pytest.raises(EngineError, match="neither committed nor abandoned"):
        sequence.reserve(1)
    with pytest.raises(EngineError, match="3 tokens, but 2"):
        sequence.commit([1, 2, 3])
    with pytest.raises(EngineError, match="fork"):
        sequence.fork()


@pytest.mark.parametrize("sinks", [0, 1, 4])
@pytest.mark.parametrize("position", [4, 5, 10**8, 10**8 + 3])
def test_a_sequence_skips_ahead_once_its_head_is_read(sinks: int, position: int) -> None:
    pages, storage = PagePool(8, page_tokens=P), TokenPages(8)
    sequence = Sequence(pages, storage, sinks=sinks, window=6)
    storage.write(sequence, [7] * sinks)
    sequence.skip(position)
    assert sequence.n_cached == sinks
    for token in range(20):
        storage.write(sequence, [token])
    assert sequence.length == position + 20
    assert sequence.n_cached == sinks + 6
    found = storage.read(sequence)
    assert [found[position + n] for n in range(14, 20)] == [*range(14, 20)]
    assert [found[n] for n in range(sinks)] == [7] * sinks
    sequence.close()
    assert pages.counts().free == 8


def test_only_a_sequence_at_its_head_skips() -> None:
    sequence = Sequence(PagePool(8, page_tokens=P), TokenPages(8), sinks=4, window=6)
    with pytest.raises(EngineError, match=r"head \(4 tokens\)"):
        sequence.skip(100)


@pytest.mark.parametrize(
    ("sinks", "window"), [(0, 5), (4, 7), (4, 8), (4, 9)], ids=lambda value: str(value)
)
def test_a_long_stream_holds_a_constant_number_of_pages(sinks: int, window: int) -> None:
    pages, storage = PagePool(8, page_tokens=P), TokenPages(8)
    sequence = Sequence(pages, storage, sinks=sinks, window=window)
    most = 0
    for token in range(200):
        storage.write(sequence, [token])
        most = max(most, pages.counts().used)
        assert sequence.n_cached == min(token + 1, sinks + window)
    assert most <= -(-sinks // P) + -(-window // P) + 1


def test_room_on_a_cpu_is_zero_and_its_own() -> None:
    import torch

    from contextkit_backends.local.engine.memory import zeros

    one, two = (zeros((3, 5), torch.bfloat16, torch.device("cpu")) for _ in range(2))
    one += 1
    assert one.sum() == 15
    assert two.sum() == 0
    assert (two.shape, two.dtype) == ((3, 5), torch.bfloat16)
