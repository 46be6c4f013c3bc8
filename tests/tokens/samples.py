"""Texts of every kind an agent meets, made from a seed, and the transcripts that ship."""

from __future__ import annotations

import base64
import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contextkit.messages import Message, Part, Role, TextPart, ToolCallPart, ToolResultPart

TRANSCRIPTS = Path(__file__).parents[1] / "fixtures" / "agents"

PROSE = (
    "The committee met on Tuesday to discuss the proposal, which had been circulated two weeks "
    "earlier. Several members said that the budget was too small; others thought the schedule was "
    "the real problem. After an hour of debate they agreed to ask for a second estimate, and to "
    "decide at the next meeting. Nobody mentioned the letter that had started it all. "
)
CODE = '''\
def merge(left: list[int], right: list[int]) -> list[int]:
    """Merge two sorted lists into one."""
    merged: list[int] = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            merged.append(left[i])
            i += 1
        else:
            merged.append(right[j])
            j += 1
    return merged + left[i:] + right[j:]
'''
CHINESE = (
    "会议于星期二举行，讨论了两周前分发的提案。几位成员认为预算太少，另一些人则认为时间表才是"
    "真正的问题。经过一个小时的辩论，他们同意要求第二次估算，并在下次会议上作出决定。"
)
RUSSIAN = (
    "Комитет собрался во вторник, чтобы обсудить предложение, разосланное двумя неделями ранее. "
    "Несколько членов заявили, что бюджет слишком мал; другие считали, что дело в сроках. "
)


def samples(seed: int = 0) -> dict[str, str]:
    """One text of about two thousand characters of each kind."""
    rng = random.Random(seed)
    records = [_record(rng) for _ in range(14)]
    return {
        "prose": PROSE * 6,
        "code": CODE * 5,
        "json": json.dumps(records),
        "indented json": json.dumps(records, indent=2),
        "base64": base64.b64encode(rng.randbytes(1500)).decode(),
        "hex": rng.randbytes(1000).hex(),
        "chinese": CHINESE * 12,
        "russian": RUSSIAN * 8,
        "log": "\n".join(_log_line(rng) for _ in range(30)),
    }


def _record(rng: random.Random) -> dict[str, Any]:
    return {
        "reservation_id": "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", k=6)),
        "user_id": rng.choice(["mia_li_3668", "omar_davis_3817", "emma_kim_9957"]),
        "price": rng.randint(50, 900),
        "status": rng.choice(["confirmed", "cancelled", "on time"]),
        "created_at": f"2024-05-{rng.randint(1, 28):02d}T{rng.randint(0, 23):02d}:15:00",
    }


def _log_line(rng: random.Random) -> str:
    level = rng.choice(["INFO", "WARNING", "ERROR"])
    return f"2024-05-{rng.randint(1, 28):02d} 12:04:{rng.randint(0, 59):02d} {level} request served"


def transcripts(limit: int = 20) -> Iterator[list[Message]]:
    """The shipped agent runs, at most `limit` of each file; none where the fixtures are missing."""
    for path in sorted(TRANSCRIPTS.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for _, line in zip(range(limit), lines, strict=False):
                yield [_message(value) for value in json.loads(line)["messages"]]


def _message(value: dict[str, Any]) -> Message:
    role: Role = value["role"]
    content = value.get("content") or ""
    if role == "tool":
        return Message("tool", (ToolResultPart(value.get("tool_call_id", ""), content),))
    parts: list[Part] = [TextPart(content)] if content else []
    for call in value.get("tool_calls") or []:
        function = call["function"]
        parts.append(ToolCallPart(call["id"], function["name"], function["arguments"]))
    return Message(role, tuple(parts))
