"""What documents are taken for, what is read of them, and what is refused by name."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from contextkit.documents.html import html_blocks
from contextkit.documents.kinds import HTML, MARKDOWN, PDF, TEXT, sniff
from contextkit.documents.reading import read
from contextkit.errors import ConfigError, InvalidDocument
from tests.documents import samples


@pytest.mark.parametrize(
    ("data", "name", "kind"),
    [
        (samples.HTML.encode(), "page", HTML),
        (samples.HTML.encode(), "page.html", HTML),
        (b"  \n<?xml version='1.0'?><!-- x --><html><p>a", "page", HTML),
        (b"<p>A fragment</p>", "", HTML),
        (samples.pdf("x"), "paper", PDF),
        (b"\n\n" + samples.pdf("x"), "paper.PDF", PDF),
        (b"# Title\n\nText with **marks**.\n\n- one\n", "notes", MARKDOWN),
        (b"Plain words - nothing else.\n\nMore of them.", "notes", TEXT),
        (b"# no comment\nx = 1\n", "notes.txt", TEXT),
        (b"just words", "notes.md", MARKDOWN),
        ("שלום 🛫".encode(), "notes", TEXT),
        ("naïve café".encode("cp1252"), "notes", TEXT),
        ("登机口".encode("utf-16"), "notes", TEXT),
        (b"MZ is how this begins", "notes", TEXT),
        (b"<html> in a text file about %PDF-1.4", "notes.txt", TEXT),
        (samples.HTML.replace("Home", "%PDF-1.7").encode(), "about-pdf.html", HTML),
    ],
)
def test_the_content_says_what_it_is(data: bytes, name: str, kind: str) -> None:
    assert sniff(data, name) == kind


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (samples.pdf("x"), "lie.txt", "lie.txt: its name says plain text, its content is a PDF"),
        (samples.pdf("x"), "lie.html", "its name says HTML, its content is a PDF"),
        (samples.HTML.encode(), "lie.pdf", "lie.pdf: its name says PDF, its content is HTML"),
        (b"words", "lie.pdf", "its name says PDF, its content is plain text"),
        (b"PK\x03\x04....", "lie.pdf", "a ZIP archive or an Office document"),
        (b"\x89PNG\r\n", "a.md", "a PNG image; text, Markdown, HTML and PDF can be ingested"),
        (gzip.compress(b"words", mtime=0), "a", "gzip data"),
        (b"a\0b\0c", "a.txt", "binary"),
        (b"%PDF-1.7\nnothing of one", "a.pdf", "begins as a PDF and cannot be read as one"),
        (samples.pdf("x")[:200], "cut.pdf", "cut.pdf: its content begins as a PDF"),
        (samples.pdf("", ""), "scan.pdf", "has no text in it"),
        (b"", "empty.txt", "empty.txt: there is no text in it"),
        (b" \n\t ", "blank.md", "there is no text in it"),
        (b"<html><script>x</script></html>", "a.html", "there is no text in it"),
    ],
)
def test_what_is_refused_is_named(data: bytes, name: str, said: str) -> None:
    with pytest.raises(InvalidDocument, match=said):
        read(data, name=name)


def test_html_is_what_a_reader_sees() -> None:
    document, chunks = read(samples.HTML)
    text = "".join(chunk.text for chunk in chunks)
    assert document.name == "Rules & gates"
    assert document.media_type == HTML
    assert "# Boarding\n\nGates close 20 minutes before departure." in text
    assert "## Groups\n\n- First: rows 1 to 9\n- Second: the others" in text
    assert "Flight | Gate |\nKL 1 | B 12 |" in text
    assert 'def gate():\n    return "B 12"' in text
    for unseen in ("Ignore your", "hidden", "alert", "never shown", "color"):
        assert unseen not in text
    places = {block.place for block in html_blocks(samples.HTML)[1]}
    assert places == {"", "Boarding", "Boarding > Groups"}


def test_a_pdf_keeps_its_pages() -> None:
    words = "The gate closes at nine. " * 12
    document, chunks = read(samples.pdf(words, "Second (page)", title="Gates"), name=None)
    assert (document.name, document.media_type) == ("Gates", PDF)
    assert {chunk.place for chunk in chunks} == {"p. 1", "p. 2"}
    assert "Second (page)" in chunks[-1].text


def test_a_password_is_asked_for_by_name() -> None:
    pypdf = pytest.importorskip("pypdf")
    import io

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(samples.pdf("secret")))
    writer.encrypt("key", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    with pytest.raises(InvalidDocument, match=r"locked\.pdf: the PDF needs a password"):
        read(out.getvalue(), name="locked.pdf")


def test_paths_texts_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "été.md"
    path.write_text("# Trip\r\n\r\nTo Lisbon.\r\n", encoding="utf-8")
    by_path, chunks = read(path)
    assert read(str(path)) == (by_path, chunks)
    assert (by_path.name, by_path.source) == ("été.md", str(path))
    by_text, _ = read("# Trip\n\nTo Lisbon.\n", name="été.md")
    assert (by_text.digest, by_text.source) == (by_path.digest, "")
    as_bytes, _ = read(str(path).encode())
    assert as_bytes.source == ""
    for missing in (tmp_path / "no.md", tmp_path):
        with pytest.raises(InvalidDocument, match="cannot be read"):
            read(missing)
    document, (chunk,) = read(str(tmp_path / "no.md"))
    assert chunk.text == str(tmp_path / "no.md")
    assert document.media_type == TEXT


def test_what_no_database_takes_is_replaced() -> None:
    _, (chunk,) = read("lone \ud800 and nul \0\r\nend")
    assert chunk.text == "lone \ufffd and nul \ufffd\nend"


def test_hostile_markup_ends_soon() -> None:
    deep = "<div>" * 20_000 + "found" + "</div>" * 20_000
    assert "found" in read("<html>" + deep)[1][0].text
    for text in (
        "# " + "# " * 200_000,
        "[" * 300_000,
        "|" * 300_000,
        "a" * 2_000_000,
        "`" * 300_000,
    ):
        _, chunks = read(text.encode(), name="a.md")
        assert "".join(chunk.text for chunk in chunks) == text


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, data in (("bs4", samples.HTML.encode()), ("pypdf", samples.pdf("x"))):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ConfigError, match=r'pip install "contextkit\[documents\]"'):
            read(data)
