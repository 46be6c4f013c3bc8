"""Adds up what the law tests judged and prints it at the end, workers of xdist included."""

from __future__ import annotations

from collections import Counter
from typing import Any

_HEADINGS = ("cells", "ok", "moved", "refused", "nothing to send", "expanded")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    rows: dict[str, Counter[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "laws" and getattr(report, "when", "") == "call":
                    stack, counts = value
                    rows.setdefault(stack, Counter()).update(counts)
    if not rows:
        return
    total: Counter[str] = sum(rows.values(), Counter())
    terminalreporter.section(f"laws: {total['cells']:,} cells")
    terminalreporter.write_line("".join(f"{h:>16}" for h in ("stack", *_HEADINGS)).lstrip())
    for stack, counts in [*sorted(rows.items()), ("all", total)]:
        cells = "".join(f"{counts[heading]:>16,}" for heading in _HEADINGS)
        terminalreporter.write_line(f"{stack:<26}{cells[10:]}")
