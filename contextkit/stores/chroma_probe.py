"""Loads an embedded Chroma index in a process of its own and asks whether it finds its own rows.

`python -m contextkit.stores.chroma_probe FOLDER` prints `damaged: …` or, last of all, `whole`. Damaged
files may end it without a word, which is why it is a process.
"""

from __future__ import annotations

import sys
from typing import Any

SAMPLE = 24
"""Rows at each end of a collection that are asked for."""
FAR = 1e-3
"""A row's distance from itself may be this large."""


def main(path: str) -> None:
    """Print the verdict on the index in a folder."""
    from contextkit.stores.chroma_client import import_chroma, settings

    chroma = import_chroma()
    try:
        client = chroma.PersistentClient(path=path, settings=settings(chroma))
        for listed in client.list_collections():
            collection = client.get_collection(listed.name, embedding_function=None)
            if fault := _fault(collection):
                print(f"damaged: {listed.name}: {fault}")
                return
    except chroma.errors.ChromaError as error:
        print(f"damaged: {' '.join(str(error).split())}")
        return
    print("whole")


def _fault(collection: Any) -> str:
    n_rows = collection.count()
    for offset in {0, max(0, n_rows - SAMPLE)}:
        rows = collection.get(limit=SAMPLE, offset=offset, include=["embeddings"])
        vectors = [vector for vector in rows["embeddings"] if any(vector)]
        if not vectors:
            continue
        found = collection.query(query_embeddings=vectors, n_results=1, include=["distances"])
        far = sum(not row or abs(row[0]) > FAR for row in found["distances"])
        if far:
            return f"{far} of {len(vectors)} rows are not found by their own vectors"
    return ""


if __name__ == "__main__":
    main(sys.argv[1])
