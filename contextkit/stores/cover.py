"""What every store holds of summaries: which may come into force next, and what `verify` looks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from contextkit.store import CoverMoved, ThreadRecord
from contextkit.summary import Summary

Digest = Callable[[int, int], str]
"""The digest of entries `start <= seq < stop`, empty where they are not all there."""


def check_next(
    thread: ThreadRecord,
    cover: Sequence[tuple[int, int, int]],
    summary: Summary,
    replaces: Sequence[Summary],
    n_entries: int,
) -> None:
    """Raises `CoverMoved` where the summary cannot come into force; `cover` is (start, stop, level)."""
    here = [row for row in cover if row[0] < summary.stop and row[1] > summary.start]
    fits = here == [(old.start, old.stop, old.level) for old in replaces]
    if here:
        fits = fits and here[0][0] == summary.start and here[-1][1] == summary.stop
    elif cover:
        fits = fits and cover[-1][1] == summary.start
    if not fits or not 0 <= summary.start < summary.stop <= n_entries:
        end = cover[-1][1] if cover else "nothing"
        raise CoverMoved(
            f"summary {summary.handle} of thread {thread.name!r} does not follow the {len(cover)} in "
            f"force (up to {end} of {n_entries} entries)"
        )


def check_cover(
    cover: Sequence[Summary], made: Sequence[Summary], n_entries: int, digest: Digest
) -> Iterator[str]:
    """What is wrong with the summaries of a thread: gaps, overlaps, sources that are not what they were."""
    stop: int | None = None
    for each in cover:
        if stop is not None and each.start != stop:
            yield f"summary {each.handle} begins at {each.start}, the one before it ends at {stop}"
        stop = each.stop
    if stop is not None and stop > n_entries:
        yield f"the summaries reach to {stop}, the log has {n_entries} entries"
    for each in made:
        yield from _check_sources(each, digest)


def _check_sources(summary: Summary, digest: Digest) -> Iterator[str]:
    at = summary.start
    for source in summary.sources:
        if source.start != at:
            yield f"summary {summary.handle} has no source for entry {at}"
        at = source.stop
        if digest(source.start, source.stop) != source.digest:
            place = f"{source.start}..{source.stop - 1}"
            yield f"summary {summary.handle}: entries {place} are not those that it was made from"
    if at != summary.stop:
        yield f"summary {summary.handle} has no source for entry {at}"
