"""What the embedders share: texts of like length together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def batches(lengths: Mapping[int, int], limit: int) -> Iterator[list[int]]:
    """The indices, shortest first, in batches whose padded size stays within `limit`.

    The padded size is the number of texts times the length of the longest; one text is a batch always.
    """
    batch: list[int] = []
    for index in sorted(lengths, key=lambda i: (lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[index] > limit:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
