"""Public data sets as pools, told apart by their fields.

LoCoMo: Maharana et al. 2024 (arXiv:2402.17753). QMSum: Zhong et al. 2021 (arXiv:2104.05938). MuSiQue:
Trivedi et al. 2022 (arXiv:2108.00573). HotpotQA: Yang et al. 2018 (arXiv:1809.09600). Lost in the
middle: Liu et al. 2023 (arXiv:2307.03172).
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from contextkit.errors import InvalidDocument
from contextkit.evals.values import Asked, Item, Pool

Record: TypeAlias = dict[str, Any]

_TURN = re.compile(r"D\d+:\d+")
_SESSION = re.compile(r"session_(\d+)")
LOCOMO_CATEGORIES = {
    1: "multi-hop",
    2: "temporal",
    3: "open-domain",
    4: "single-hop",
    5: "adversarial",
}


def load(path: Path) -> tuple[str, list[Pool]]:
    """The data set's name and its pools, from JSON or JSON lines, plain or gzipped.

    Raises `InvalidDocument` for a file that cannot be read or is of none of the known forms.
    """
    records = records_of(path)
    first = records[0]
    for name, fields, read in _KNOWN:
        if fields <= first.keys():
            try:
                pools = read(records, path.name.partition(".")[0])
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise InvalidDocument(
                    f"{path}: looks like {name}, but is not: {type(error).__name__} {error}"
                ) from error
            return name, [pool for pool in pools if pool.questions]
    known = ", ".join(name for name, _, _ in _KNOWN)
    raise InvalidDocument(
        f"{path}: fields {', '.join(sorted(first)[:6])} belong to no known data set ({known})"
    )


def records_of(path: Path) -> list[Record]:
    """The objects of a file. Raises `InvalidDocument`."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidDocument(f"{path}: cannot be read: {error}") from error
    try:
        loaded: Any = json.loads(text)
    except json.JSONDecodeError:
        try:
            loaded = [json.loads(line) for line in text.splitlines() if line.strip()]
        except json.JSONDecodeError as error:
            raise InvalidDocument(f"{path}: is neither JSON nor JSON lines: {error}") from error
    records = cast("list[Any]", loaded) if isinstance(loaded, list) else [loaded]
    if not records or not isinstance(records[0], dict):
        raise InvalidDocument(f"{path}: holds no records")
    return records


def _locomo(records: Sequence[Record], name: str) -> list[Pool]:
    pools: list[Pool] = []
    for number, record in enumerate(records, 1):
        talk = record["conversation"]
        items: list[Item] = []
        place: dict[str, int] = {}
        for key in sorted((k for k in talk if _SESSION.fullmatch(k)), key=_session):
            for turn in talk[key]:
                place[turn["dia_id"]] = len(items)
                caption = turn.get("blip_caption")
                shared = f" [shared image: {caption}]" if caption else ""
                items.append(Item(turn["text"] + shared, turn["speaker"], talk[f"{key}_date_time"]))
        asked: list[Asked] = []
        for question in record["qa"]:
            named = {t for each in question["evidence"] for t in _TURN.findall(each)}
            evidence = tuple(sorted(place[turn] for turn in named if turn in place))
            if evidence:
                kind = LOCOMO_CATEGORIES.get(question["category"], str(question["category"]))
                asked.append(Asked(question["question"], evidence, kind))
        pools.append(
            Pool(record.get("sample_id") or f"{name}-{number}", tuple(items), tuple(asked), True)
        )
    return pools


def _session(key: str) -> int:
    return int(key.rpartition("_")[2])


def _qmsum(records: Sequence[Record], name: str) -> list[Pool]:
    pools: list[Pool] = []
    for number, record in enumerate(records, 1):
        items = tuple(Item(t["content"], t["speaker"]) for t in record["meeting_transcripts"])
        asked: list[Asked] = []
        for question in record["specific_query_list"]:
            spans = [range(int(a), int(b) + 1) for a, b in question["relevant_text_span"]]
            evidence = sorted({turn for span in spans for turn in span if turn < len(items)})
            if evidence:
                asked.append(Asked(question["query"], tuple(evidence), "specific"))
        pools.append(Pool(f"{name}-{number}", items, tuple(asked), True))
    return pools


def _musique(records: Sequence[Record], name: str) -> list[Pool]:
    return _pooled(
        name,
        [
            (
                record["question"],
                record["id"].partition("__")[0],
                [
                    (p["title"], p["paragraph_text"], p["is_supporting"])
                    for p in record["paragraphs"]
                ],
            )
            for record in records
        ],
    )


def _hotpotqa(records: Sequence[Record], name: str) -> list[Pool]:
    rows: list[tuple[str, str, list[tuple[str, str, bool]]]] = []
    for record in records:
        gold = {title for title, _ in record["supporting_facts"]}
        passages = [(title, "".join(said), title in gold) for title, said in record["context"]]
        rows.append((record["question"], record["type"], passages))
    return _pooled(name, rows)


def _lost_in_the_middle(records: Sequence[Record], name: str) -> list[Pool]:
    rows = [
        (
            record["question"],
            "open",
            [(c["title"], c["text"], bool(c.get("isgold", True))) for c in record["ctxs"]],
        )
        for record in records
    ]
    return _pooled(name, rows)


def _key_value(records: Sequence[Record], name: str) -> list[Pool]:
    pools: list[Pool] = []
    for number, record in enumerate(records, 1):
        keys = [key for key, _ in record["ordered_kv_records"]]
        items = tuple(Item(f'"{key}": "{value}"') for key, value in record["ordered_kv_records"])
        question = f'What is the value of "{record["key"]}"?'
        asked = Asked(question, (keys.index(record["key"]),), f"{len(items)} keys")
        pools.append(Pool(f"{name}-{number}", items, (asked,), False))
    return pools


def _pooled(
    name: str, rows: Sequence[tuple[str, str, Sequence[tuple[str, str, bool]]]]
) -> list[Pool]:
    """All passages of all questions as one pool, each once: the others' are the distractors."""
    place: dict[tuple[str, str], int] = {}
    asked: list[Asked] = []
    for question, category, passages in rows:
        for title, text, _ in passages:
            place.setdefault((title, text), len(place))
        evidence = {place[title, text] for title, text, is_gold in passages if is_gold}
        if evidence:
            asked.append(Asked(question, tuple(sorted(evidence)), category))
    items = tuple(Item(text, title) for title, text in place)
    return [Pool(name, items, tuple(asked), False)]


_KNOWN: tuple[tuple[str, set[str], Callable[[Sequence[Record], str], list[Pool]]], ...] = (
    ("LoCoMo", {"conversation", "qa"}, _locomo),
    ("QMSum", {"meeting_transcripts", "specific_query_list"}, _qmsum),
    ("MuSiQue", {"paragraphs", "question"}, _musique),
    ("HotpotQA", {"supporting_facts", "context"}, _hotpotqa),
    ("lost in the middle", {"ctxs", "question"}, _lost_in_the_middle),
    ("key-value retrieval", {"ordered_kv_records", "key"}, _key_value),
)
