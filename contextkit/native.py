"""What libraries outside Python take or do quickly: text without lone surrogates, bfloat16 on a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sayable(text: str) -> str:
    """The text with a question mark for every lone surrogate, which no UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def multiplies_bfloat16(torch: Any) -> bool:
    """Whether this CPU does (AVX-512 BF16, AMX): such products take a quarter of float32's time."""
    probe: Any = getattr(torch.cpu, "get_capabilities", dict)
    known: Mapping[str, Any] = probe()
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
