"""Makes `word_bits.tsv` and `word_classifier.npz` of `contextkit/data` again; needs torch.

    python -P docs/bench/word_classifier.py table NQ_OPEN.jsonl.gz MUSIQUE.json QMSUM.jsonl.gz …
    python -P docs/bench/word_classifier.py train NQ_OPEN.jsonl.gz MUSIQUE.json word_classifier.npz

Trained on the first 700 questions of lost in the middle (MIT) and on MuSiQue's hops (CC BY 4.0): each
passage alone, with and without its question, and among distractors. The table counts the same passages,
all of MuSiQue's, and every fourth turn of QMSum (MIT). The shipped weights had a mixture of distractors a
little different from this one.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from contextkit.compression import words
from contextkit.compression.traits import traits
from contextkit.compression.vocabulary import SPOKEN
from contextkit.evals.compression_cases import Case, cases
from contextkit.evals.datasets import records_of

TRAINED, RARE = 700, 3
HIDDEN, EPOCHS, BATCH, RATE, DECAY, DROPPED = 64, 7, 8, 1e-3, 1.0, 0.3
Example = tuple[torch.Tensor, torch.Tensor]


def table(nq: str, musique: str, *meetings: str) -> None:
    """Words with their self-information in tenths of a bit."""
    counts: Counter[str] = Counter()
    for text in _texts(nq, musique, meetings):
        counts.update(word.lower() for word in SPOKEN.findall(text))
    total = counts.total()
    for word, n in counts.most_common():
        if n >= RARE and not any(c.isdigit() for c in word):
            print(f"{word}\t{round(10 * math.log2(total / n))}")


def _texts(nq: str, musique: str, meetings: Sequence[str]) -> Iterator[str]:
    yield from (record["ctxs"][0]["text"] for record in records_of(Path(nq))[:TRAINED])
    for record in records_of(Path(musique)):
        yield from (paragraph["paragraph_text"] for paragraph in record["paragraphs"])
    for path in meetings:
        for record in records_of(Path(path)):
            yield from (turn["content"] for turn in record["meeting_transcripts"][::4])


def train(nq: str, musique: str, out: str) -> None:
    """Fits the network and writes its weights."""
    untyped: Any = torch
    untyped.manual_seed(2)
    torch.set_num_threads(1)

    def some(passages: int) -> list[Case]:
        return cases(Path(nq), passages)[:TRAINED] + cases(Path(musique), passages)

    alone, three, six = some(1), some(3), some(6)
    examples = [
        *(_example(case, case.question) for case in [*alone, *alone, *three, *six]),
        *(_example(case, "") for case in [*alone, *alone, *three[::2]]),
    ]
    net = _fit([example for example in examples if example is not None])
    np.savez_compressed(out, allow_pickle=False, **net.weights())


def _example(case: Case, question: str) -> Example | None:
    """Traits, and which words are an answer's; None where no word is."""
    units = words(case.text)
    marked = np.zeros(len(units), np.float32)
    for answer in case.answers:
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", case.text, re.IGNORECASE):
            for index, unit in enumerate(units):
                if unit.start < match.end() and unit.stop > match.start():
                    marked[index] = 1
    if not marked.any():
        return None
    return torch.tensor(traits(case.text, units, question)), torch.tensor(marked)


class Net(nn.Module):
    """Two hidden layers over a word and its neighbours."""

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.scale = mean, scale
        self.layers = nn.ModuleList(
            [nn.Linear(3 * len(mean), HIDDEN), nn.Linear(HIDDEN, HIDDEN // 2)]
        )
        self.last = nn.Linear(HIDDEN // 2, 1)
        self.drop = nn.Dropout(DROPPED)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """A score a row."""
        rows = (rows - self.mean) / self.scale
        zero = torch.zeros_like(rows[:1])
        seen = torch.cat([rows, torch.cat([zero, rows[:-1]]), torch.cat([rows[1:], zero])], 1)
        for layer in self.layers:
            seen = self.drop(torch.relu(layer(seen)))
        scores: torch.Tensor = self.last(seen)[:, 0]
        return scores

    def weights(self) -> dict[str, Any]:
        """As the shipped file has them."""
        found: dict[str, Any] = {"mean": self.mean.numpy(), "scale": self.scale.numpy()}
        for number, layer in enumerate([*self.layers, self.last], 1):
            assert isinstance(layer, nn.Linear)
            found[f"w{number}"] = layer.weight.detach().numpy().T.astype(np.float16)
            found[f"b{number}"] = layer.bias.detach().numpy().astype(np.float16)
        return found


def _fit(examples: list[Example]) -> Net:
    rows = torch.cat([rows for rows, _ in examples])
    net = Net(rows.mean(0), rows.std(0) + 0.05)
    optimizer: Any = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    draw = random.Random(0)
    n_steps = EPOCHS * math.ceil(len(examples) / BATCH)
    schedule: Any = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    for _ in range(EPOCHS):
        draw.shuffle(examples)
        for at in range(0, len(examples), BATCH):
            batch = examples[at : at + BATCH]
            loss: Any = torch.stack([_loss(net, rows, marked) for rows, marked in batch]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def _loss(net: Net, rows: torch.Tensor, marked: torch.Tensor) -> torch.Tensor:
    """An answer's words against the others of its text, and each word by itself."""
    scores = net(rows)
    listed = -(scores.log_softmax(0) * marked).sum() / marked.sum()
    single = nn.functional.binary_cross_entropy_with_logits(scores, marked)
    loss: torch.Tensor = listed + 0.5 * single
    return loss


COMMANDS: dict[str, Callable[..., None]] = {"table": table, "train": train}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
