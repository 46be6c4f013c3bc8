"""The kernels run on a GPU where there is one, else in Triton's interpreter."""

from __future__ import annotations

import importlib
import importlib.util
import os

import pytest

_MISSING = [name for name in ("torch", "triton") if importlib.util.find_spec(name) is None]


def _import_interpreted() -> bool:
    """Import Triton so that its own library is interpreted too; the variable is put back."""
    import torch

    if torch.cuda.is_available():
        return False
    before = os.environ.get("TRITON_INTERPRET")
    os.environ["TRITON_INTERPRET"] = "1"
    try:
        importlib.import_module("triton.language")
    finally:
        if before is None:
            del os.environ["TRITON_INTERPRET"]
        else:
            os.environ["TRITON_INTERPRET"] = before
    return True


_INTERPRETED = False if _MISSING else _import_interpreted()


@pytest.fixture(autouse=True)
def _interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    if _MISSING:
        pytest.skip(f"{' and '.join(_MISSING)} not installed")
    if _INTERPRETED:
        tl = importlib.import_module("triton.language")
        if type(tl.sum).__name__ != "InterpretedFunction":
            pytest.skip(
                "Triton was imported before it was asked to interpret: run tests/kernels alone"
            )
        monkeypatch.setenv("TRITON_INTERPRET", "1")
