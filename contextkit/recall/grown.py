"""The table of one thread, brought up to the history: its documents first, then its log."""

from __future__ import annotations

from contextkit.recall.shelf import Shelf
from contextkit.recall.table import Table


class Grown:
    """Rows are appended as the log grows; when documents come all rows stand elsewhere: a new table."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.table = Table()
        self._n_documents = 0
        self._n_entries = 0

    def refresh(self) -> bool:
        """Take in what the history has gained; whether the table is another one now.

        A store that fails in between leaves a table that goes on where it stopped.
        """
        documents = self.shelf.documents()
        is_other = len(documents) != self._n_documents
        if is_other:
            table = Table()
            for document in documents:
                table.add(self.shelf.document_rows(document))
            self.table, self._n_entries, self._n_documents = table, 0, len(documents)
        n_entries = self.shelf.n_entries()
        for stop, rows in self.shelf.log_rows(self._n_entries, n_entries):
            self.table.add(rows)
            self._n_entries = stop
        return is_other
