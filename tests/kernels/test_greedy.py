"""The likeliest token of each row, chosen on the device, and what becomes of broken logits."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from tests.kernels.cases import DEVICE  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Conversion of an array:DeprecationWarning")


@pytest.mark.parametrize("n_words", [97, 9000])
def test_the_next_token_stays_in_the_vocabulary_whatever_the_logits(n_words: int) -> None:
    from contextkit_backends.local.kernels.greedy import pick

    logits = torch.randn(6, n_words, generator=torch.Generator().manual_seed(0))
    logits[1] = torch.nan
    logits[2, 30] = torch.nan
    logits[3, n_words - 1] = torch.inf
    logits[4] = -torch.inf
    ids, answers = torch.full((6,), -7, device=DEVICE), torch.full((6,), -7, device=DEVICE)
    length = torch.tensor([5, 5, 5, 5, 5, -1], device=DEVICE)
    pick(logits.to(DEVICE), ids, answers, length)
    largest = logits.argmax(-1).tolist()
    assert ids.tolist() == [largest[0], 0, 30, n_words - 1, 0, largest[5]]
    assert answers.tolist() == [largest[0], -1, -31, -n_words, -1, largest[5]]
    assert length.tolist() == [6, 6, 6, 6, 6, -1]
