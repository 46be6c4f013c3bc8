"""The demonstration: a real agent run replayed in a tight window, then questions to a small model.

Everything runs offline; `run_replay` and `ask_questions` give values, `terminal` and `page` show them.
"""

from __future__ import annotations

from contextkit.demo.questions import Question, Questions, Side, ask_questions
from contextkit.demo.recorded import Recorded, run_replay
from contextkit.demo.ways import Way

__all__ = [
    "Question",
    "Questions",
    "Recorded",
    "Side",
    "Way",
    "ask_questions",
    "run_replay",
]
