"""Law 5: same log, same configuration, same bytes in another process; laws 4 and 8 beside others."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import contextkit

from .conversations import recorded, without_system
from .drive import BACKENDS, Drive, manager
from .judge import canonical, check_wires
from .stacks import STACKS, stack


def _config(path: Path, name: str, backend: str) -> dict[str, Any]:
    return {
        "backend": BACKENDS[backend],
        "budget": {"window": 4000, "reply_reserve": 400},
        "history": {"kind": "sql", "url": f"sqlite:///{path}"},
        "policies": [dict(row) for row in stack(name).policies],
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["all", "eager-edge-cache", "window-low"])
def test_another_process_makes_the_same_call(tmp_path: Path, name: str, backend: str) -> None:
    config = _config(tmp_path / "history.db", name, backend)
    ours: dict[str, list[str]] = {}
    with contextkit.load(config) as cm:
        for number, run in enumerate(recorded("tau_gpt4o_airline")[:2]):
            Drive(cm, stack(name), name=f"run {number}").run(without_system(run)[6:16], "mixed")
        for number in range(2):
            call = cm.thread(f"run {number}").assemble("And now?")
            wire = json.dumps([call.to_openai(), call.to_anthropic()]).encode()
            ours[f"run {number}"] = [call.fingerprint, hashlib.sha256(wire).hexdigest()]
    run_it = [sys.executable, "-m", "tests.laws._other_process", json.dumps(config)]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(run_it, capture_output=True, text=True, cwd=root, check=True, timeout=120)
    assert json.loads(done.stdout) == ours


def test_an_append_between_assemble_and_record_is_not_lost() -> None:
    """The model answered a call; meanwhile another wrote. Both are in the log, and handles still fit."""
    for chosen in STACKS:
        with manager(chosen, 1000) as cm:
            thread = cm.thread("shared")
            thread.append(
                [{"role": "user", "content": "one"}, {"role": "assistant", "content": "1"}]
            )
            call = thread.assemble("two " + "word " * 60)
            thread.append({"role": "user", "content": "meanwhile"})
            ledger = thread.record(call, {"role": "assistant", "content": "2"})
            said = [m.text[:9] for m in thread.history()]
            assert said == ["one", "1", "meanwhile", "two word ", "2"]
            recorded_ = thread.turns()[-1]
            assert recorded_.decisions == ledger.decisions
            for decision in recorded_.decisions:
                found = (
                    [canonical(m) for m in thread.expand(decision.handle)]
                    if decision.handle
                    else []
                )
                if decision.stop > 2 and decision.start >= 2:
                    assert "two word" in "".join(found), "a recorded handle names another entry"
            check_wires(thread.assemble("three"))
            assert not cm.verify()


def test_two_managers_on_one_file_see_each_other(tmp_path: Path) -> None:
    config = _config(tmp_path / "history.db", "all", "exact")
    with contextkit.load(config) as one, contextkit.load(config) as two:
        first, second = one.thread("t"), two.thread("t")
        first.append("from one")
        second.append("from two")
        calls = [first.assemble("now?"), second.assemble("now?")]
        assert calls[0].fingerprint == calls[1].fingerprint
        first.record(calls[0], {"role": "assistant", "content": "a"})
        second.record(calls[1], {"role": "assistant", "content": "b"})
        assert [m.text for m in first.history()] == [
            "from one", "from two", "now?", "a", "now?", "b",
        ]  # fmt: skip
        assert first.assemble("then?").fingerprint == second.assemble("then?").fingerprint
        assert not one.verify()
