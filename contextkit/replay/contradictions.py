"""Recorded usage that cannot be: named, so that nobody tunes on it; the replay itself goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from contextkit.replay.recording import RecordedCall

FAR = 3.0
"""Tokens that a provider reported and that were counted may differ by this factor."""
_SMALL = 200
"""Calls below so many tokens are no evidence."""


def contradictions(name: str, calls: Sequence[RecordedCall]) -> Iterator[str]:
    """What in the reported usage of a run contradicts itself, one sentence a call."""
    largest = 0
    for number, call in enumerate(calls, 1):
        usage = call.usage
        if usage is None:
            continue
        where = f"{name}: call {number}: the usage contradicts itself:"
        cached = usage.cache_read_tokens + usage.cache_write_tokens
        if cached > usage.input_tokens:
            yield (
                f"{where} {cached:,} tokens were read and written, {usage.input_tokens:,} sent in all"
            )
        elif number > 1 and largest and usage.cache_read_tokens > largest:
            yield (
                f"{where} {usage.cache_read_tokens:,} tokens were read, no call before sent more than "
                f"{largest:,}"
            )
        largest = max(largest, usage.input_tokens)


def miscounted(name: str, calls: Sequence[RecordedCall], counted: Sequence[int]) -> Iterator[str]:
    """Where the reported input is far from what the messages hold: another history was sent."""
    pairs = [
        (number, call.usage.input_tokens, tokens)
        for number, (call, tokens) in enumerate(zip(calls, counted, strict=True), 1)
        if call.usage and min(call.usage.input_tokens, tokens) > _SMALL
    ]
    off = [pair for pair in pairs if not 1 / FAR < pair[1] / pair[2] < FAR]
    if off:
        number, reported, tokens = off[0]
        yield (
            f"{name}: call {number}: {reported:,} input tokens were reported, its messages hold "
            f"{tokens:,}{f'; so with {len(off) - 1} more calls' if len(off) > 1 else ''}"
        )
