"""What a document is, found from its content; its name is believed only where the content allows it."""

from __future__ import annotations

import re
from pathlib import PurePath

from contextkit.errors import InvalidDocument

PDF, HTML, MARKDOWN, TEXT = "application/pdf", "text/html", "text/markdown", "text/plain"
_NAMES = {PDF: "PDF", HTML: "HTML", MARKDOWN: "Markdown", TEXT: "plain text"}
_CLAIMS = {
    ".pdf": PDF,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".txt": TEXT,
    ".text": TEXT,
}
_BINARY = (
    (b"PK\x03\x04", "a ZIP archive or an Office document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1f\x8b", "gzip data"),
    (b"\xd0\xcf\x11\xe0", "an old Office document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "a SQLite database"),
)
_HTML = re.compile(
    r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|article|div|p|h1)\b",
    re.I | re.S,
)
_MARKDOWN = re.compile(
    r"^(#{1,6} \S|```|~~~|[-*+] \S|\d{1,3}[.)] \S|> |\|.+\|$|\[[^\]\n]+\]\([^)\n]+\))", re.M
)
_HEADING = re.compile(r"^#{1,6} \S|^\S.*\n(=+|-+)\s*$", re.M)


def sniff(data: bytes, name: str) -> str:
    """The media type of a document.

    Raises `InvalidDocument` where the content can't be read as any, or where it is a PDF under another
    type's name or something else under a PDF's.
    """
    claimed = _CLAIMS.get(PurePath(name).suffix.lower())
    # Readers of PDF look for the mark in the first kilobyte; what stands before it is passed over.
    is_pdf = b"%PDF-" in data[:1024] and not _HTML.match(data[:1024].decode("latin-1"))
    if is_pdf and claimed not in (None, PDF):
        raise InvalidDocument(
            f"{name}: its name says {_NAMES[claimed or TEXT]}, its content is a PDF; give it a name that "
            "ends in .pdf"
        )
    if is_pdf:
        return PDF
    for mark, what in _BINARY:
        if data.startswith(mark) and not (mark == b"MZ" and b"\0" not in data[:1024]):
            raise InvalidDocument(
                f"{name}: its content is {what}; text, Markdown, HTML and PDF can be ingested"
            )
    text = decode(data, name)
    found = _kind_of(text, claimed)
    if claimed == PDF:
        raise InvalidDocument(
            f"{name}: its name says PDF, its content is {_NAMES[found]}; give it a name that fits"
        )
    return found


def decode(data: bytes, name: str) -> str:
    """The text of bytes: UTF-8, UTF-16 with its mark, or else Windows-1252. Raises `InvalidDocument`."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    elif b"\0" in data[:4096]:
        raise InvalidDocument(
            f"{name}: its content is binary; text, Markdown, HTML and PDF can be ingested"
        )
    else:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
    return clean(text)


def clean(text: str) -> str:
    """The text as it is kept: lines end in one way; what no database takes is a replacement character."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _kind_of(text: str, claimed: str | None) -> str:
    if _HTML.match(text[:4096]) and claimed in (None, HTML, PDF):
        return HTML
    if claimed in (MARKDOWN, TEXT):
        return claimed
    marks = len(_MARKDOWN.findall(text[:50_000]))
    return MARKDOWN if _HEADING.search(text) and marks else TEXT
