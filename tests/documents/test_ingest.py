"""Documents in a thread: ingested, named by handles, brought back."""

from __future__ import annotations

from pathlib import Path

import pytest

import contextkit
from contextkit.errors import InvalidDocument, StoreError, UnknownHandle
from tests.documents import samples


def test_a_document_is_cut_kept_and_brought_back(tmp_path: Path) -> None:
    text = "".join(
        f"## Rule {i}\n\nGate {i} closes {i} minutes early. " + "More of it. " * 30 + "\n\n"
        for i in range(20)
    )
    (tmp_path / "rules.md").write_text(text, encoding="utf-8")
    config = {"history": {"kind": "sql", "url": f"sqlite:///{tmp_path}/h.db"}}
    with contextkit.load(config) as cm:
        thread = cm.thread("t")
        document = thread.ingest(tmp_path / "rules.md")
        assert (document.handle, document.name, document.media_type) == (
            "d1",
            "rules.md",
            "text/markdown",
        )
        assert thread.ingest(str(tmp_path / "rules.md")) == document
        assert thread.ingest("Another, given as text.", name="note").handle == "d2"
    with contextkit.load(config) as cm:
        thread = cm.thread("t")
        assert [d.name for d in thread.documents()] == ["rules.md", "note"]
        assert thread.expand("d1").text == text
        parts = [thread.expand(f"d1.{i}").text for i in range(document.n_chunks)]
        assert "".join(parts) == text
        assert "Gate 7 closes" in thread.expand("d1.7").text
        assert thread.expand("d2.0")[0].role == "user"
        for handle in ("d3", "d1.999", "d2.1"):
            with pytest.raises(
                UnknownHandle, match=rf"'{handle}' names nothing .* d1 \(20 chunks\), d2"
            ):
                thread.expand(handle)
        with pytest.raises(UnknownHandle, match=r"m17, m3-17, s1\.3-17 or d1\.0"):
            thread.expand("x9")
        assert cm.verify() == []


def test_a_lie_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "report.txt").write_bytes(samples.pdf("words"))
    with contextkit.load({}) as cm:
        thread = cm.thread("t")
        with pytest.raises(
            InvalidDocument, match=r"report\.txt: its name says plain text, its content is a PDF"
        ):
            thread.ingest(tmp_path / "report.txt")
        assert thread.documents() == []
        with pytest.raises(UnknownHandle, match="its documents: none"):
            thread.expand("d1")


def test_tenants_do_not_see_each_others_documents() -> None:
    with contextkit.load({}) as cm:
        cm.thread("t", tenant="a").ingest("The code is 1234.")
        stranger = cm.thread("t", tenant="b")
        assert stranger.documents() == []
        with pytest.raises(UnknownHandle):
            stranger.expand("d1.0")


def test_a_fork_has_the_documents_of_its_past() -> None:
    with contextkit.load({}) as cm:
        thread = cm.thread("t")
        thread.ingest("Early.")
        thread.append("hello")
        thread.ingest("Late.")
        assert [d.number for d in thread.fork(at=0).documents()] == [1]
        assert thread.fork().expand("d2").text == "Late."


def test_a_closed_store_says_so() -> None:
    cm = contextkit.load({})
    thread = cm.thread("t")
    cm.close()
    with pytest.raises(StoreError, match="closed"):
        thread.ingest("words")
