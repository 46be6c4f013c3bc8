"""The laws of a managed context, to be held against any trimmer or memory.

    from contextkit.testing import conform
    report = conform(my_trim, n_cases=400, budget_tokens=300)
    assert report.holds, report.table()

A trimmer is `f(messages, budget_tokens, count) -> messages`: the whole history in a provider's form,
what the answer may take, and a function that counts messages. `contextkit conform my_module:my_trim` does
the same from a terminal, `pytest --contextkit-subject my_module:my_trim` as tests.

Loaded on first use: the pytest plugin stands in this package, and pytest imports it in every run.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextkit.testing.conformance import Report, conform
    from contextkit.testing.conversations import Form, Transcript, transcript, transcripts
    from contextkit.testing.counting import Count
    from contextkit.testing.laws import LAWS, Finding, judge
    from contextkit.testing.shapes import SHAPES, Shape
    from contextkit.testing.subjects import Subject, Trim, find_subject

_HOME_OF = {
    "Report": "conformance",
    "conform": "conformance",
    "Form": "conversations",
    "Transcript": "conversations",
    "transcript": "conversations",
    "transcripts": "conversations",
    "Count": "counting",
    "LAWS": "laws",
    "Finding": "laws",
    "judge": "laws",
    "SHAPES": "shapes",
    "Shape": "shapes",
    "Subject": "subjects",
    "Trim": "subjects",
    "find_subject": "subjects",
}

__all__ = [
    "LAWS",
    "SHAPES",
    "Count",
    "Finding",
    "Form",
    "Report",
    "Shape",
    "Subject",
    "Transcript",
    "Trim",
    "conform",
    "find_subject",
    "judge",
    "transcript",
    "transcripts",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'contextkit.testing' has no attribute {name!r}")
    return getattr(import_module(f"contextkit.testing.{home}"), name)
