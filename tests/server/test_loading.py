"""`contextkit serve` without an upstream: the backend is loaded before anyone is served."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from openai import OpenAI
from typer.testing import CliRunner

from contextkit import plugins
from contextkit.backend import Loadable
from contextkit.cli.commands import app
from contextkit.errors import BackendUnavailable
from contextkit_backends.echo import EchoBackend


class Broken(EchoBackend):
    """A backend whose weights can't be read."""

    kind: ClassVar[str] = "broken_weights"

    def load(self) -> None:
        raise BackendUnavailable("weights.safetensors is cut short")


def test_what_cannot_be_loaded_ends_the_command(tmp_path: Path) -> None:
    plugins.register("backends", Broken)
    config = tmp_path / "agent.yaml"
    config.write_text("backend: broken_weights\n")
    done = CliRunner().invoke(app, ["serve", "--config", str(config), "--port", "0"])
    assert done.exit_code != 0
    assert "weights.safetensors is cut short" in done.stderr
    assert "contextkit serves" not in done.stderr


def test_a_backend_without_weights_has_nothing_to_load() -> None:
    assert isinstance(Broken(), Loadable)
    assert not isinstance(EchoBackend(), Loadable)


@pytest.mark.slow
def test_the_local_model_is_there_before_the_first_request(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    config = tmp_path / "local.yaml"
    backend = {"kind": "local", "device": "cpu", "threads": 1}
    config.write_text(json.dumps({"backend": backend, "budget": {"window": 2048}}))
    command = [sys.executable, "-m", "contextkit.cli", "serve", "-c", str(config), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            said = []
            for line in child.stderr:
                said.append(line)
                if "contextkit serves" in line:
                    break
            assert [line.split()[0] for line in said] == ["loading", "pocket", "contextkit"], said
            found = re.search(r"http://\S+/v1", said[-1])
            assert found
            with OpenAI(base_url=found[0], api_key="sk-1", max_retries=0) as client:
                asked = client.chat.completions.create(
                    model="pocket", messages=[{"role": "user", "content": "hi"}], max_tokens=4
                )
            assert asked.choices[0].message.role == "assistant"
        finally:
            child.terminate()
