"""Starts and kills `tests.stores.writer` processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent


def start(url: str, tenant: str, what: str, times: int = 0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.stores.writer", url, tenant, what, str(times)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def finish(processes: Sequence[subprocess.Popen[bytes]]) -> list[list[Any]]:
    """Everything the processes acknowledged; each must have ended well."""
    acknowledged: list[list[Any]] = []
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        acknowledged += [json.loads(line) for line in output.splitlines()]
    return acknowledged


def kill(process: subprocess.Popen[bytes]) -> list[list[Any]]:
    """Kills a process at once; what it acknowledged before, a line cut in two left out."""
    process.kill()
    output, _ = process.communicate(timeout=60)
    whole = output[: output.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()]
