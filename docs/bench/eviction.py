"""What an eviction costs in quality: the same tokens kept in the cache, or read anew without what left.

    python -P docs/bench/eviction.py TEXT [--model pocket] [--trials 24] [--device cpu]

For each trial a stretch of TEXT is read, all but its head and its end is evicted, and the text goes on.
Told is the perplexity of what follows: with everything in the cache, after the eviction, and where head and
end were read anew without the rest. Then the same with a number hidden in what stays, and asked for.
"""

from __future__ import annotations

import argparse
import gzip
import math
import random
from pathlib import Path

import torch

from contextkit_backends.local.engine import Engine, Stream

HEAD, READ, KEPT, NEXT = 64, 1600, 600, 128
WAYS = ("everything", "evicted", "read anew")


def continued(stream: Stream, ids: list[int]) -> float:
    """-log p of each token of `ids` but the first, on average."""
    logits = stream.extend(ids[:-1])
    after = torch.tensor(ids[1:], device=logits.device)
    return float(torch.nn.functional.cross_entropy(logits, after))


def opened(engine: Engine, ids: list[int], way: str) -> Stream:
    """A stream that holds `ids` in one of the three ways."""
    stream = engine.stream()
    if way == "read anew":
        stream.extend([*ids[:HEAD], *ids[len(ids) - KEPT :]], every=False)
        return stream
    stream.extend(ids, every=False)
    if way == "evicted":
        stream.evict(HEAD, len(ids) - KEPT)
    return stream


def encoded(engine: Engine, text: str) -> list[int]:
    """The ids of a text without the token that texts begin with."""
    assert engine.tokenizer is not None
    ids = engine.tokenizer.encode(text)
    return ids[1:] if ids[:1] == [0] else ids


def answer(engine: Engine, stream: Stream, question: str, n: int) -> str:
    """What the model says to a question behind what the stream holds, greedily."""
    assert engine.tokenizer is not None
    ids = encoded(engine, question)
    said: list[int] = []
    while len(said) < n:
        logits = stream.extend(ids, every=False)
        ids = [int(logits.argmax())]
        if ids[0] in engine.eos:
            break
        said += ids
    return engine.tokenizer.decode(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    data = options.text.read_bytes()
    text = (gzip.decompress(data) if options.text.suffix == ".gz" else data).decode()
    engine = Engine.load(options.model, device=options.device, dtype="float32", pool_tokens=8192)
    ids = encoded(engine, text[: 40_000 * options.trials])
    draw = random.Random(0)
    losses: dict[str, list[float]] = {way: [] for way in WAYS}
    right = dict.fromkeys(WAYS, 0)
    for _ in range(options.trials):
        start = draw.randrange(len(ids) - READ - NEXT)
        stretch = [0, *ids[start : start + READ]]
        after = ids[start + READ - 1 : start + READ + NEXT]
        number = str(draw.randrange(10_000, 99_999))
        needle = encoded(engine, f" The code of the vault is {number}. ")
        place = READ - KEPT // 2
        asked = encoded(engine, "<|user|>") + stretch[1:place] + needle + stretch[place:]
        for way in WAYS:
            with opened(engine, stretch, way) as stream:
                losses[way].append(continued(stream, after))
            with opened(engine, [0, *asked], way) as stream:
                question = "\n\nWhat is the code of the vault?<|end|><|assistant|>"
                right[way] += number in answer(engine, stream, question, 12).replace(" ", "")
    for way in WAYS:
        mean = math.fsum(losses[way]) / options.trials
        print(
            f"{way:12} perplexity {math.exp(mean):7.2f}   needle {right[way]} of {options.trials}"
        )
    d = [a - b for a, b in zip(losses["evicted"], losses["read anew"], strict=True)]
    mean = math.fsum(d) / len(d)
    error = (math.fsum((x - mean) ** 2 for x in d) / (len(d) - 1) / len(d)) ** 0.5
    print(f"evicted against read anew: {100 * math.expm1(mean):+.2f} % ± {100 * error:.2f}")


if __name__ == "__main__":
    main()
