"""The tables of the presets in examples/: each replayed on the recordings it is meant for.

    python -P docs/bench/presets.py FOLDER [NAME …]

FOLDER holds `agents/` and `locomo/` as named below; none of it is shipped. Costs are those of the
input by the rules of anthropic:claude-sonnet-4-6, over the same history sent whole and uncached,
counted with cl100k_base.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contextkit import replay
from contextkit.replay.readers import read_values
from contextkit.replay.readers.files import Row, read_rows

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SWE = "sweagent_claude4_dev.jsonl.gz"
AIRLINE = "tau_gpt4o_airline.jsonl.gz"


def agents(folder: Path, name: str) -> list[replay.Recording]:
    """The runs of a file as they are."""
    return list(replay.read(folder / "agents" / name).recordings)


def joined(folder: Path, n_runs: int) -> list[replay.Recording]:
    """The first coding runs one behind the other, as a single conversation of an agent that goes on."""
    messages: list[Any] = []
    for row in read_rows(folder / "agents" / SWE).rows[:n_runs]:
        said = row.value["messages"]
        messages += said if not messages else said[1:]
    return list(read_values([Row(1, {"id": f"{n_runs} runs", "messages": messages})], "joined"))


def talks(folder: Path) -> list[replay.Recording]:
    """Very long conversations of two people, one of them in the assistant's place, with questions."""
    found: list[replay.Recording] = []
    path = folder / "locomo" / "conversations_1_5.json"
    for row in json.loads(path.read_text("utf-8")):
        talk, messages, places = row["conversation"], [], {}
        n_sessions = sum(1 for key in talk if key.startswith("session_") and key.count("_") == 1)
        for number in range(1, n_sessions + 1):
            for turn in talk.get(f"session_{number}", ()):
                role = "user" if turn["speaker"] == talk["speaker_a"] else "assistant"
                places[turn["dia_id"]] = len(messages)
                messages.append({"role": role, "content": f"{turn['speaker']}: {turn['text']}"})
        asked = [
            {"question": q["question"], "evidence": [places[e] for e in q["evidence"]]}
            for q in row["qa"][:40]
            if q["evidence"] and all(e in places for e in q["evidence"])
        ]
        value = {"id": row["sample_id"], "messages": messages, "questions": asked}
        found += read_values([Row(1, value)], "talk")
    return found


ON: dict[str, list[tuple[str, Callable[[Path], list[replay.Recording]]]]] = {
    "short": [
        ("20 coding runs of 25k tokens", lambda f: agents(f, SWE)),
        ("200 airline service runs of 3k tokens", lambda f: agents(f, AIRLINE)),
    ],
    "medium": [("10 coding runs as one, 279k tokens", lambda f: joined(f, 10))],
    "long": [("20 coding runs as one, 531k tokens", lambda f: joined(f, 20))],
    "streaming": [("5 conversations of 28k tokens", talks)],
    "agent": [
        ("20 coding runs of 25k tokens", lambda f: agents(f, SWE)),
        ("200 airline service runs of 3k tokens", lambda f: agents(f, AIRLINE)),
    ],
    "research": [("10 coding runs as one, 279k tokens", lambda f: joined(f, 10))],
}


def main() -> None:
    """One table a preset: the untouched history, and the preset."""
    folder = Path(sys.argv[1])
    provider = replay.find_provider("anthropic:claude-sonnet-4-6")
    for name in sys.argv[2:] or ON:
        setup = replay.load_setup(EXAMPLES / f"{name}.yaml")
        for label, find in ON[name]:
            compared = replay.compare(find(folder), [replay.everything(), setup], provider)
            for summary in compared.summaries:
                row = summary.to_json()
                shares = ", ".join(
                    f"{key} {row[key]:.1%}"
                    for key in ("kept_share", "read_share", "grounded", "reachable", "evidence")
                    if row[key] is not None
                )
                print(
                    f"{name:10} {label:40} {row['setup']:20} cost {row['cost']:.3f}, {shares}, "
                    f"peak {row['peak_tokens']:,}, moved {row['moves']}, refused {row['refused']}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
