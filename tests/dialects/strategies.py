"""Valid conversations of every part kind and every origin, made by hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from contextkit.messages import (
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from tests.dialects.samples import PNG

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
said = st.builds(TextPart, words)
marked = st.builds(
    TextPart,
    words,
    st.sampled_from(
        [
            {"cache_control": {"type": "ephemeral"}},
            {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "refusal"},
            {"annotations": [], "logprobs": []},
        ]
    ),
)
images = st.sampled_from(
    [
        ImagePart("https://x.org/a.png", detail="low"),
        ImagePart(data=PNG),
        ImagePart(data="AAAA", media_type="image/tiff"),
        ImagePart(extra={"source": {"type": "file", "file_id": "file_1"}}),
    ]
)
files = st.sampled_from(
    [
        FilePart(file_id="file-1"),
        FilePart(file_id="file_1"),
        FilePart(url="https://x.org/a.pdf"),
        FilePart(data="AA==", media_type="application/pdf", filename="a.pdf"),
        FilePart(data="aGk=", media_type="text/plain"),
        FilePart(data="not base64", media_type="text/csv"),
    ]
)
opaque = st.sampled_from(
    [
        OpaquePart(
            "openai", {"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}
        ),
        OpaquePart("anthropic", {"type": "container_upload", "file_id": "f"}),
    ]
)
reasoning = st.sampled_from(
    [
        ReasoningPart("hm", "EqQB=="),
        ReasoningPart("", "EmwK==", redacted=True),
        ReasoningPart("unsigned"),
        ReasoningPart("so", "gAAA", extra={"type": "reasoning", "id": "rs_1", "summary": []}),
        ReasoningPart("deep", extra={"_field": "reasoning_content"}),
    ]
)
arguments = st.one_of(
    words, st.dictionaries(words, st.integers() | words, max_size=2).map(json.dumps)
)
results = st.one_of(words, st.lists(said | images | files | opaque, max_size=3).map(tuple))
user_parts = st.lists(said | marked | images | files | opaque, max_size=3).map(tuple)


@st.composite
def assistants(draw: st.DrawFn, call_ids: list[str]) -> Message:
    """An assistant message that makes the calls."""
    names = st.sampled_from(["f", "g.h", "look_up"])
    calls = [ToolCallPart(c, draw(names), draw(arguments)) for c in call_ids]
    before = draw(st.lists(reasoning | said | marked, max_size=3))
    return Message("assistant", (*before, *calls, *draw(st.lists(said, max_size=1))))


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A valid conversation: turns of any origin, batches answered in one or several messages."""
    messages = [Message("system", (part,)) for part in draw(st.lists(said | marked, max_size=2))]
    messages.append(Message("user", (TextPart("Begin."),)))
    for turn in range(draw(st.integers(0, 4))):
        shape = draw(st.sampled_from(["user", "middle", "assistant", "batch", "batch"]))
        if shape in ("user", "middle"):
            role: Role = "user" if shape == "user" else "system"
            name = draw(st.sampled_from([None, "ann", "two words"]))
            messages.append(Message(role, draw(user_parts), name))
        elif shape == "assistant":
            messages.append(draw(assistants([])))
        else:
            messages += _batch(draw, turn)
    return messages


def _batch(draw: st.DrawFn, turn: int) -> list[Message]:
    odd = draw(st.sampled_from(["call", "functions.f:", "x" * 50]))
    ids = [f"{odd}{turn}_{i}" for i in range(draw(st.integers(1, 3)))]
    split = draw(st.booleans())
    asked = [draw(assistants([c])) for c in ids] if split else [draw(assistants(ids))]
    order = draw(st.permutations(ids))
    answers = [ToolResultPart(c, draw(results), draw(st.booleans())) for c in order]
    if draw(st.booleans()):
        return [*asked, Message("user", (*answers, *draw(user_parts)))]
    return [*asked, *(Message("tool", (answer,)) for answer in answers)]


def texts(value: Any) -> str:
    """Every string in a request, one after another."""
    if isinstance(value, dict):
        return "\x1f".join(texts(item) for item in value.values())
    if isinstance(value, list):
        return "\x1f".join(texts(item) for item in value)
    return str(value)
