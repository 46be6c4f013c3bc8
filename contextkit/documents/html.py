"""HTML as blocks: what a reader would see, with the headings above it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

from contextkit.documents.blocks import Block, markdown_blocks
from contextkit.errors import ConfigError

_UNSEEN = ("script", "style", "noscript", "template", "head", "svg", "iframe", "object", "canvas")
_BREAKS = re.compile(
    "address|article|aside|blockquote|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|header|hr|main"
    "|nav|ol|p|pre|section|table|ul"
)
"""Elements that stand on lines of their own."""
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])", re.I)


def require(module: str) -> Any:
    """The library that reads a type; `ConfigError` names the extra where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f'documents: {error.name} is not installed; pip install "contextkit[documents]"'
        ) from error


def html_blocks(markup: str) -> tuple[str, list[Block]]:
    """The title, and the blocks of what is visible; headings are written as in Markdown."""
    soup = require("bs4").BeautifulSoup(markup, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    for tag in soup.find_all(_UNSEEN):
        tag.decompose()
    for tag in soup.find_all(_is_hidden):
        # A hidden part inside another one went with it.
        if not tag.decomposed:
            tag.decompose()
    lines = "".join(_written(soup)).splitlines()
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in lines)).strip()
    return title, list(markdown_blocks(text))


def _is_hidden(tag: Any) -> bool:
    return (
        tag.has_attr("hidden")
        or str(tag.get("aria-hidden", "")).lower() == "true"
        or _HIDDEN.search(str(tag.get("style", ""))) is not None
    )


def _written(root: Any) -> Iterator[str]:
    """The text in order, without recursion: markup of strangers may be nested ten thousand deep."""
    elements = require("bs4.element")
    waiting: list[tuple[str, Any]] = [("node", root)]
    n_pre = 0
    while waiting:
        what, node = waiting.pop()
        if what == "text":
            yield node
        elif what == "end of pre":
            n_pre -= 1
        elif isinstance(node, elements.Tag):
            before, after = _around(node.name or "")
            yield before
            waiting.append(("text", after))
            if node.name == "pre":
                n_pre += 1
                waiting.append(("end of pre", None))
            waiting.extend(("node", child) for child in reversed(node.contents))
        elif not isinstance(node, elements.PreformattedString):
            # Comments and declarations are preformatted strings; nobody sees them.
            yield str(node) if n_pre else re.sub(r"\s+", " ", node)


def _around(name: str) -> tuple[str, str]:
    if re.fullmatch(r"h[1-6]", name):
        return "\n\n" + "#" * int(name[1]) + " ", "\n\n"
    if name == "li":
        return "\n- ", ""
    if name in ("td", "th"):
        return "", " | "
    if name == "tr":
        return "\n", ""
    if name == "br":
        return "\n", ""
    return ("\n\n", "\n\n") if _BREAKS.fullmatch(name) else ("", "")
