"""What a sentence does, told by its words: sets a rule, leaves something open, gives orders.

These are hints for what to keep first and what to look at closely; none of them decides alone.
"""

from __future__ import annotations

import re

_CONSTRAINT = re.compile(
    r"\b(?:must|never|do not|make sure|ensure|at most|at least|no more than|prefers?|required?|mandatory"
    r"|forbidden|not allowed|allergic|deadline|budget|limited? to|remember that"
    r"|only (?:use|if|when|after|before)|always (?:use|ask|check|answer|write|keep|include)"
    r"|don['’]t (?:use|change|touch|delete|add|call|send|book))\b",
    re.IGNORECASE,
)
_RULE = re.compile(
    r"\b(?:must|never|always|do not|don['’]t|forbidden|not allowed|mandatory|required)\b",
    re.IGNORECASE,
)
_OPEN_TASK = re.compile(
    r"\b(?:to-?do|todo|still (?:need|have|open|missing|to)|not yet|next step|remaining|pending"
    r"|follow[- ]?up|remind me|unresolved|left to do|outstanding|blocked|later we)\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instructions?|prompts?|messages?|rules|everything)\b"
    r"|\byou (?:are now|must now|should now|will now)\b|\bnew instructions?\b|\bsystem prompt\b"
    r"|\b(?:act|behave|respond|reply) (?:only |always )?(?:as|like) (?:an?|the)\b.{0,40}\bassistant\b"
    r"|\bdo not (?:tell|inform|mention|reveal)\b|\bdon['’]t (?:tell|inform|mention|reveal)\b"
    r"|<\|?(?:im_start|system|assistant)\|?>|^\s*system\s*:",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)


def is_constraint(sentence: str) -> bool:
    """Whether it says what has to hold: a rule, a limit, a preference."""
    return _CONSTRAINT.search(sentence) is not None


def is_rule(sentence: str) -> bool:
    """Whether it says outright what has to be done or must not be."""
    return _RULE.search(sentence) is not None


def is_open_task(sentence: str) -> bool:
    """Whether it says that something is still to be done."""
    return _OPEN_TASK.search(sentence) is not None


def gives_orders(sentence: str) -> bool:
    """Whether it speaks to whoever reads it: from a tool or a model, that is no summary."""
    return _ORDER.search(sentence) is not None
