"""A policy of your own: of all snapshots with the same marker, only the newest stays in the call.

    python examples/custom_policy.py

Register it by hand as here, or declare an entry point (CONTRIBUTING.md, "Add a policy").
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

import contextkit
from contextkit import Draft, Policy, Stage, Turn, plugins


class NewestOnly(Policy):
    """Drop messages that begin with `marker`, except the newest one."""

    kind: ClassVar[str] = "newest_only"
    stage: ClassVar[Stage] = Stage.SHRINK

    marker: str = Field(min_length=1, description="How such a message begins")

    def apply(self, draft: Draft, turn: Turn) -> Draft:
        """Drop the older ones; moves the prefix at the oldest of them."""
        marked = [e.seq for e in draft.visible() if e.message.text.startswith(self.marker)]
        for seq in marked[:-1]:
            if any(draft.free(seq, seq + 1)):
                why = f"a newer message begins with {self.marker!r}"
                draft = draft.drop(seq, seq + 1, policy=self.kind, why=why)
        return draft


plugins.register("policies", NewestOnly)


def main() -> None:
    with contextkit.load({"policies": [{"kind": "newest_only", "marker": "[basket]"}]}) as cm:
        thread = cm.thread("shop")
        for items in ("tea", "tea, honey", "tea, honey, mint"):
            thread.append({"role": "user", "content": f"[basket] {items}"})
        call = thread.assemble("What is in my basket?")
        print(call.to_text())
        print()
        print(call.ledger.table())


if __name__ == "__main__":
    main()
