"""Law 9: a tenant never reads another's, whatever the names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import contextkit

from .stacks import stack

TENANTS = ["acme", "acme2", "ac", "Acme", "acme "]


@pytest.mark.parametrize("kind", ["memory", "sql"])
def test_tenants_with_the_same_thread_names(kind: str, tmp_path: Path) -> None:
    history: Any = "memory" if kind == "memory" else {
        "kind": "sql", "url": f"sqlite:///{tmp_path / 'history.db'}"
    }  # fmt: skip
    policies = [dict(row) for row in stack("all").policies]
    with contextkit.load({"history": history, "policies": policies}) as cm:
        for tenant in TENANTS:
            for name in ("support/42", "t"):
                thread = cm.thread(name, tenant=tenant)
                thread.append(f"secret of <{tenant}>")
                thread.respond(f"question of <{tenant}>")
        for tenant in TENANTS:
            others = [f"<{other}>" for other in TENANTS if other != tenant]
            assert {r.tenant for r in cm.threads(tenant)} == {tenant}
            assert sorted(r.name for r in cm.threads(tenant)) == ["support/42", "t"]
            thread = cm.thread("t", tenant=tenant)
            assert len(thread) == 3
            seen = "".join(m.text for m in thread.history())
            seen += thread.assemble("and?").to_text() + thread.expand("m0-2").text
            seen += str([ledger.to_dict() for ledger in thread.turns()])
            assert f"<{tenant}>" in seen
            assert not [other for other in others if other in seen]
            assert len(thread.turns()) == 1
            with pytest.raises(contextkit.UnknownHandle):
                thread.expand("m3")
            fork = thread.fork(at=2, name="fork")
            assert fork.tenant == tenant
            assert not [other for other in others if other in fork.assemble("?").to_text()]
        assert len(cm.threads(None)) == 3 * len(TENANTS)
        assert not cm.verify()
