"""tiktoken encodings from the rank files inside this package; the network is never asked.

tiktoken finds rank files through `TIKTOKEN_CACHE_DIR` and downloads what is missing or damaged. The
files are checked here first, so that it never comes to that, and the variable is set only while one
encoding loads.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from contextkit.errors import ConfigError

if TYPE_CHECKING:
    import tiktoken

FOLDER = Path(__file__).resolve().parent.parent / "data" / "tiktoken"

_FILES = {
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
}
"""File name (SHA-1 of the URL, as tiktoken names its cache) and SHA-256 of the content."""

ENCODINGS: tuple[str, ...] = tuple(_FILES)
_LOADING = threading.Lock()


def load_encoding(name: str) -> tiktoken.Encoding:
    """The encoding `name`, loaded once per process; raises ConfigError where it does not ship."""
    if name not in _FILES:
        raise ConfigError(
            f"tokenizer: no encoding {name!r} ships; there are {', '.join(ENCODINGS)}"
        )
    return _load(name)


@cache
def _load(name: str) -> tiktoken.Encoding:
    import tiktoken

    with _LOADING:
        _check(name)
        with _cache_folder(FOLDER):
            return tiktoken.get_encoding(name)


def _check(name: str) -> None:
    file_name, sha256 = _FILES[name]
    path = FOLDER / file_name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ConfigError(f"tokenizer: the rank file of {name!r} is missing or damaged: {path}")


@contextmanager
def _cache_folder(folder: Path) -> Generator[None]:
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before
