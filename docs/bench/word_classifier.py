"""Makes `word_classifier.npz` of `contextkit/data` again: what a reader knows, as far as a table tells it.

    python -P docs/bench/word_classifier.py NQ_OPEN MUSIQUE HOTPOTQA SQUAD OUT.npz

The shipped reader (`encoder: minilm`) says of every stretch how likely it answers, and a small network over
a word and its neighbours learns that beside the answers themselves (Hinton et al. 2015, arXiv:1503.02531).
Texts come from the files of `word_reader_jobs.py`: the first 700 questions of lost in the middle, MuSiQue's
hops, HotpotQA's bridges, and of SQUAD two questions a paragraph at the most, each passage alone with and
without its question, and some among distractors. Ten minutes on two cores for the reader, five for
the network.
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from contextkit.compression import words
from contextkit.compression.classifier import chances_of
from contextkit.compression.forms import Numbers, Rows
from contextkit.compression.methods import encoder
from contextkit.compression.traits import traits
from contextkit.compression.word_reader import Encoder, shipped_reader
from contextkit.evals.compression_cases import Case, cases

TRAINED, SEED = 700, 0
AMONG, HOPS_AMONG_SIX, SQUAD_AMONG = 3, 300, 3500
NQ_WEIGHT, AMONG_WEIGHT, UNASKED_WEIGHT = 10.0, 6.0, 4.0
"""How much more a text counts than one of SQuAD's with its question."""
SIDES, HIDDEN, LONGEST = 1, 64, 10
EPOCHS, BATCH, RATE, DECAY, DROPPED = 6, 16, 1.5e-3, 0.1, 0.1
TAUGHT, SINGLE = 0.5, 0.15
"""Share of the reader in what is learned; what single words add to it."""
OUT = -1e9
LEAST = -60.0

Spans = list[tuple[int, int]]


class Job(NamedTuple):
    """A text, its question or none, and the spellings of each answer."""

    text: str
    question: str
    answers: Sequence[Sequence[str]]
    weight: float


class Example(NamedTuple):
    """Traits `[n, columns]`, sentences `[n]`, each answer as first and last units, the reader's chances."""

    rows: npt.NDArray[np.float16]
    sentence: Numbers
    answers: list[Spans]
    taught: Rows
    weight: float


def jobs(nq: str, musique: str, hotpotqa: str, squad: str) -> Iterator[Job]:
    """What is trained on."""
    rng = random.Random(SEED)
    for case in cases(Path(nq))[:TRAINED]:
        yield from (_job(case, asked, NQ_WEIGHT) for asked in (True, False))
    for n in (3, 6):
        yield from (_job(case, True, AMONG_WEIGHT) for case in cases(Path(nq), n)[:TRAINED])
    for path in (musique, hotpotqa):
        for asked in (True, False):
            yield from (_job(case, asked) for case in cases(Path(path)))
        among = cases(Path(path), 2 * AMONG)
        among = rng.sample(among, min(HOPS_AMONG_SIX, len(among)))
        yield from (_job(case, True) for case in [*cases(Path(path), AMONG), *among])
    alone, asked_of = cases(Path(squad)), defaultdict[str, list[Case]](list)
    for case in alone:
        asked_of[case.text].append(case)
    for text, asked_here in asked_of.items():
        yield Job(text, "", [case.answers for case in asked_here], UNASKED_WEIGHT)
        yield from (_job(case, True) for case in asked_here[:2])
    yield from (_job(case, True) for case in rng.sample(cases(Path(squad), AMONG), SQUAD_AMONG))


def _job(case: Case, asked: bool, weight: float = 1.0) -> Job:
    return Job(case.text, case.question if asked else "", [case.answers], weight)


def example(job: Job) -> Example | None:
    """The job as the network is told it; None where nothing right is in it."""
    torch.set_num_threads(1)
    units = words(job.text)
    known = traits(job.text, units, job.question)
    sentence = known.layout.sentence
    reader = shipped_reader()
    marks = reader.marks(_encoder(), job.text, units, job.question)
    taught = chances_of(marks, reader.lengths, sentence)
    starts, stops = (np.array([unit[side] for unit in units]) for side in (0, 1))
    found = [
        sorted({*_spans(job.text, spellings, starts, stops, sentence)}) for spellings in job.answers
    ]
    found = [each for each in found if each]
    rows = known.dense().astype(np.float16)
    return Example(rows, sentence, found, taught, job.weight) if found else None


@cache
def _encoder() -> Encoder:
    return encoder("minilm")


def _spans(
    text: str, answers: Sequence[str], starts: Numbers, stops: Numbers, sentence: Numbers
) -> Iterator[tuple[int, int]]:
    """First and last unit of what stands within a sentence."""
    for answer in answers:
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE):
            inside = np.flatnonzero((starts < match.end()) & (stops > match.start()))[:LONGEST]
            if len(inside) and sentence[inside[0]] == sentence[inside[-1]]:
                yield int(inside[0]), int(inside[-1])


class Net(nn.Module):
    """Two hidden layers over a word and its neighbours; stretches by their ends and what is inside."""

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        super().__init__()
        self.mean, self.scale = mean, scale
        self.layers = nn.ModuleList(
            [nn.Linear((2 * SIDES + 1) * len(mean), HIDDEN), nn.Linear(HIDDEN, HIDDEN // 2)]
        )
        self.last = nn.Linear(HIDDEN // 2, 4)
        self.lengths = nn.Parameter(torch.zeros(LONGEST))
        self.drop = nn.Dropout(DROPPED)

    def forward(
        self, rows: torch.Tensor, sentence: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of all stretches `[batch, n, LONGEST]` and of single words; -1 is no sentence."""
        n, there = rows.shape[1], sentence >= 0
        rows = (rows - self.mean) / self.scale * there[..., None]
        padded = nn.functional.pad(rows, (0, 0, SIDES, SIDES))
        seen = torch.cat([padded[:, at : at + n] for at in range(2 * SIDES + 1)], 2)
        for layer in self.layers:
            seen = self.drop(torch.relu(layer(seen)))
        begin, end, inside, single = self.last(seen).unbind(2)
        end = nn.functional.pad(end, (0, LONGEST))
        sums = nn.functional.pad(inside.cumsum(1), (1, LONGEST))
        of = nn.functional.pad(sentence, (0, LONGEST), value=-2)
        told = [
            (begin + end[:, k : k + n] + sums[:, k + 1 : k + 1 + n] - sums[:, :n] + self.lengths[k])
            .masked_fill((of[:, k : k + n] != sentence) | ~there, OUT)
            for k in range(LONGEST)
        ]  # fmt: skip
        return torch.stack(told, 2), single.masked_fill(~there, OUT)

    def weights(self) -> dict[str, Any]:
        """As the shipped file has them."""
        found: dict[str, Any] = {"mean": self.mean.numpy(), "scale": self.scale.numpy()}
        found["lengths"] = self.lengths.detach().numpy()
        for number, layer in enumerate([*self.layers, self.last], 1):
            assert isinstance(layer, nn.Linear)
            found[f"w{number}"] = layer.weight.detach().numpy().T.astype(np.float16)
            found[f"b{number}"] = layer.bias.detach().numpy().astype(np.float16)
        return found


def fit(examples: Sequence[Example]) -> Net:
    """Learns from all of them."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    rows = torch.from_numpy(np.concatenate([each.rows for each in examples[::7]])).float()
    net = Net(rows.mean(0), rows.std(0) + 0.05)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    n_steps = EPOCHS * math.ceil(len(examples) / BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    draw = random.Random(SEED)
    for epoch in range(EPOCHS):
        order = sorted(examples, key=lambda each: len(each.sentence) + 60 * draw.random())
        batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        draw.shuffle(batches)
        total = 0.0
        for batch in batches:
            told: Any = loss(net, batch)
            optimizer.zero_grad()
            told.backward()
            optimizer.step()
            schedule.step()
            total += told.item()
        print(f"epoch {epoch}: {total / len(batches):.3f}", flush=True)
    return net.eval()


def loss(net: Net, batch: Sequence[Example]) -> torch.Tensor:
    """The reader's chances, each answer against all other stretches, and its words against the others."""
    pad = nn.utils.rnn.pad_sequence
    rows, taught = (
        pad([torch.from_numpy(told) for told in column], batch_first=True).float()
        for column in ([each.rows for each in batch], [each.taught for each in batch])
    )
    sentences = [torch.from_numpy(each.sentence) for each in batch]
    sentence = pad(sentences, batch_first=True, padding_value=-1)
    scores, single = net(rows, sentence)
    likely = scores.flatten(1).log_softmax(1)
    learned = -(taught.flatten(1) * likely.clamp(min=LEAST)).sum(1)
    marked = torch.zeros(sentence.shape)
    right: list[torch.Tensor] = []
    for number, each in enumerate(batch):
        of_answers = [
            likely[number, [first * LONGEST + last - first for first, last in answer]].logsumexp(0)
            for answer in each.answers
        ]
        right.append(torch.stack(of_answers).mean())
        for first, last in (span for answer in each.answers for span in answer):
            marked[number, first : last + 1] = 1
    listed = -(single.log_softmax(1) * marked).sum(1) / marked.sum(1)
    weight = torch.tensor([each.weight for each in batch])
    whole = TAUGHT * learned - (1 - TAUGHT) * torch.stack(right) + SINGLE * listed
    mean: torch.Tensor = (whole * weight).sum() / weight.sum()
    return mean


def main(nq: str, musique: str, hotpotqa: str, squad: str, out: str) -> None:
    """Asks the reader, fits the network, writes its weights."""
    with get_context("spawn").Pool() as pool:
        found = pool.imap(example, jobs(nq, musique, hotpotqa, squad), 64)
        examples = [each for each in found if each]
    print(f"{len(examples)} texts", flush=True)
    np.savez_compressed(out, allow_pickle=False, **fit(examples).weights())


if __name__ == "__main__":
    main(*sys.argv[1:])
