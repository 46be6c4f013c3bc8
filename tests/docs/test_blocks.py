"""Every block of code in the pages does what it says.

Python blocks of a page run in order in one namespace, without a network; `python no-run: reason` only
has to compile and its imports to work. A `text output` block is what the block before it prints. YAML
blocks are configurations, or cache rules where they say `rules`.
"""

from __future__ import annotations

import ast
import contextlib
import io
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
import yaml

import contextkit
from contextkit import cache_rules, plugins
from tests.docs.blocks import PAGES, ROOT, Block, blocks

PYTHON_PAGES = [page for page in PAGES if any(blocks(page, "python"))]
YAML_BLOCKS = [block for page in PAGES for block in blocks(page, "yaml")]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty folder, no network, no keys, nothing registered that stays."""

    def refuse(self: socket.socket, address: object) -> NoReturn:
        raise AssertionError(f"a block of the pages connects to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(plugins, "_registered", dict(plugins._registered))
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_blocks_run(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("the_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    printed = ""
    for block in blocks(page):
        if block.language == "python" and block.words.startswith("no-run"):
            check_unrun(block)
        elif block.language == "python":
            assert not block.words, f"{block}: unknown words {block.words!r}"
            printed = run(block, vars(module))
        elif (block.language, block.words) == ("text", "output"):
            assert printed.strip() == block.text.strip(), f"{block}: not what the code prints"


def run(block: Block, namespace: dict[str, Any]) -> str:
    """What a block prints; errors carry the page and the line."""
    out = io.StringIO()
    code = compile("\n" * block.line + block.text, str(ROOT / block.page), "exec")
    with contextlib.redirect_stdout(out):
        exec(code, namespace)  # noqa: S102  the repository's own pages
    return out.getvalue()


def check_unrun(block: Block) -> None:
    reason = block.words.removeprefix("no-run").removeprefix(":").strip()
    assert reason, f"{block}: say why it does not run, as in `python no-run: asks a provider`"
    tree = ast.parse(block.text)
    imports: list[ast.stmt] = [s for s in tree.body if isinstance(s, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), str(block), "exec"), {})  # noqa: S102


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=str)
def test_yaml_blocks_load(block: Block) -> None:
    if block.words == "rules":
        cache_rules.validate(yaml.safe_load(block.text), "rules")
        return
    with contextkit.load(block.text) as cm:
        assert cm.thread("t").assemble("hello").messages


def test_some_blocks_were_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/errors.md"} <= set(PYTHON_PAGES)
    assert len(YAML_BLOCKS) >= 4
