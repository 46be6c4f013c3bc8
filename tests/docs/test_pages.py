"""The pages are true to the tree: generated parts fresh, links and names real."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from contextkit.errors import ConfigError
from tests.docs.blocks import PAGES, ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
NAME = re.compile(r"\bcontextkit(?:_policies|_backends)?(?:\.\w+)+")
PATH = re.compile(r"`((?:contextkit|policies|backends|examples|tests|docs)/[\w/.]*)`")
EXPORTED = {
    name
    for path in (ROOT / "contextkit" / "telemetry").glob("*.py")
    for name in re.findall(r'"(contextkit(?:\.\w+)+)"', path.read_text("utf-8"))
}
"""Names of spans, metrics and attributes: they look like modules and are none."""
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NO_NAMES = (".db", ".yaml", ".html")


def prose(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def slug(heading: str) -> str:
    """The anchor that a heading gets on the usual hosts."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def generate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "docs" / "generate.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_generated_parts_are_fresh() -> None:
    done = generate(ROOT, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_names_a_stale_page(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("docs/generate.py", "docs/policies.md", "docs/errors.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("README.md", "CONTRIBUTING.md"):
        (tmp_path / name).write_text("nothing generated\n")
    stale = tmp_path / "docs" / "policies.md"
    stale.write_text(stale.read_text("utf-8").replace("| `sinks` |", "| `skins` |"), "utf-8")
    before = stale.read_bytes()
    done = generate(tmp_path, "--check")
    assert done.returncode == 1, done.stderr
    assert done.stdout == "docs/policies.md: is stale; run `make docs`\n"
    assert stale.read_bytes() == before
    assert generate(tmp_path).returncode == 0
    assert generate(tmp_path, "--check").returncode == 0
    assert stale.read_bytes() == (ROOT / "docs" / "policies.md").read_bytes()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        aim = (ROOT / page).parent / path if path else ROOT / page
        assert aim.exists(), f"{page}: {target} leads nowhere"
        if anchor:
            slugs = {slug(heading) for heading in HEADING.findall(aim.read_text("utf-8"))}
            assert anchor in slugs, f"{page}: {target}: no such heading"


@pytest.mark.parametrize("page", [p for p in PAGES if p != "CONTRIBUTING.md"])
def test_names_and_paths_are_real(page: str) -> None:
    text = prose(page)
    for name in NAME.findall(text):
        assert name.endswith(NO_NAMES) or name in EXPORTED or exists(name), (
            f"{page}: there is no {name}"
        )
    for path in PATH.findall(text):
        assert (ROOT / path).exists(), f"{page}: there is no {path}"


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something inside one."""
    module, *rest = name.split(".")
    value: object = import_module(module)
    for step in rest:
        module = f"{module}.{step}"
        if hasattr(value, step):
            value = getattr(value, step)
            continue
        try:
            value = import_module(module)
        except ImportError:
            return False
        except ConfigError:  # an adapter whose framework is not installed here
            return True
    return True


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    makefile = prose("Makefile")
    for target in re.findall(r"\bmake ([a-z][a-z-]*)\b", "\n".join(code(prose(page)))):
        assert f"\n{target}:" in makefile, f"{page}: the Makefile has no {target}"


def code(text: str) -> list[str]:
    """What stands in backticks, inline or fenced."""
    return re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL)
