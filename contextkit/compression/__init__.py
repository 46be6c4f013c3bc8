"""Saying the same in fewer tokens: what is dropped is chosen word by word, and some words never are."""

from contextkit.compression.base import Compressed, Count, Method, ProtectedMass
from contextkit.compression.fill import keep_to_target
from contextkit.compression.spans import Span, Word, protected, sentences, words

__all__ = [
    "Compressed",
    "Count",
    "Method",
    "ProtectedMass",
    "Span",
    "Word",
    "keep_to_target",
    "protected",
    "sentences",
    "words",
]
