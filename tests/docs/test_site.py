"""The site builds from the pages as they are, strictly: every link and anchor leads somewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT


def test_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="the site needs mkdocs-material")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "tutorial" / "index.html").read_text("utf-8")
    assert "A thread that fits" in page
    assert "text output" not in page
    assert not list((tmp_path / "site").rglob("*.py"))
