"""Sessions over append-only logs, held by several objects and opened again."""

from __future__ import annotations

from pathlib import Path

import pytest

from contextkit.adapters._forks import Forks
from contextkit.errors import InvalidMessage
from contextkit.messages import Message, ToolCallPart, ToolResultPart, text_message
from tests.adapters.scenario import made

CALL = Message("assistant", (ToolCallPart("c1", "look_up", "{}"),))
RESULT = Message("tool", (ToolResultPart("c1", "found"),))


def test_a_result_answers_a_call_that_another_object_stored(tmp_path: Path) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/s.db"}
    with made(history=history) as one, made(history=history) as other:
        late = other.thread("s")
        late.append(text_message("user", "Hello"))
        one.thread("s").append([text_message("user", "Look!"), CALL])
        late.append(RESULT)
        with pytest.raises(InvalidMessage, match="not open"):
            one.thread("s").append(RESULT)
        assert len(late) == 4
        assert one.verify() == []


def test_what_is_taken_back_stays_to_be_read(tmp_path: Path) -> None:
    history = {"kind": "sql", "url": f"sqlite:///{tmp_path}/s.db"}
    with made(history=history) as one, made(history=history) as other:
        forks, elsewhere = Forks(one, "s", "acme"), Forks(other, "s", "acme")
        forks.thread.append([text_message("user", f"{n}") for n in range(4)])
        elsewhere.go_on_from(2)
        forks.thread.append(text_message("user", "again"))
        assert [m.text for m in elsewhere.thread.history()] == ["0", "1", "again"]
        forks.go_on_from(0)
        assert elsewhere.thread.history() == []
        assert [t.name for t in one.threads("acme")] == ["s", "s~2", "s~3"]
        assert len(one.thread("s", tenant="acme")) == 4
