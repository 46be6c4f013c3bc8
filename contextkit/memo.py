"""A tenant's memo as policies see it: what can be made again (model-made text, graphs), kept by content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contextkit.store import HistoryStore


@dataclass(frozen=True, slots=True)
class Memo:
    """The store's memo of one tenant; see `HistoryStore.load_memo`."""

    store: HistoryStore
    tenant: str

    def load(self, space: str, keys: Sequence[str]) -> dict[str, bytes]:
        """What is kept under these keys; keys without a value are left out."""
        return self.store.load_memo(self.tenant, space, keys)

    def load_all(self, space: str) -> dict[str, bytes]:
        """Everything kept in a space, by key in their order."""
        keys = self.keys(space)
        kept = self.load(space, keys)
        return {key: kept[key] for key in keys if key in kept}

    def save(self, space: str, items: Mapping[str, bytes]) -> None:
        self.store.save_memo(self.tenant, space, items)

    def keys(self, space: str) -> list[str]:
        """Every key of a space, sorted."""
        return self.store.list_memo(self.tenant, space)

    def drop(self, space: str, keys: Sequence[str] | None = None) -> None:
        """Forget these keys, or the whole space."""
        self.store.drop_memo(self.tenant, space, keys)
