"""What the site makes of a page: links that leave docs/ become names, marks for tests disappear."""

from __future__ import annotations

import posixpath
import re
from typing import Any

_LINK = re.compile(r"\[([^\]]+)\]\((\.\.?/[^)\s]+)\)")
_WORDS = re.compile(r"^```(\w+) (?:no-run|output|rules)[^\n]*$", re.MULTILINE)
_MARKER = re.compile(r"<!-- (?:end )?generated[^>]*-->\n?")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page without what only the repository and its tests need."""
    folder = posixpath.dirname(page.file.src_uri)

    def named(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", folder, link[2].partition("#")[0]))
        if path.startswith("docs/"):
            return link[0]
        return f"`{path}`" if link[1].strip("`") == path else f"{link[1]} (`{path}`)"

    return _MARKER.sub("", _WORDS.sub(r"```\1", _LINK.sub(named, markdown)))
