"""What of a text decides how many tokens it has: whole-number features, found with byte tables.

Byte-pair tokenizers cut text first into words, numbers and marks, then into frequent pieces. So a
text's token count is close to a weighted sum of how many words, four-letter pieces, changes of
case, three-digit groups, runs of marks and characters of each script it has, for English, JSON,
code, base64 and Chinese alike; only the weights are the tokenizer's (`contextkit.tokens.rates`).
Features of two texts add up to the features of both. Cost: about 30 ms for a million characters.
"""

from __future__ import annotations

from typing import TypeAlias

TextFeatures: TypeAlias = tuple[int, ...]

TEXT_FEATURES: tuple[str, ...] = (
    "words",  # runs of Latin letters
    "pieces",  # whole groups of four letters inside them
    "long",  # whole groups of sixteen lower-case letters: hardly a word any more
    "humps",  # a lower-case letter before a capital: camelCase, base64
    "capitals",  # pairs of capitals
    "numbers",  # groups of up to three digits
    "spaced",  # digits after a space, which no number takes in
    "marks",  # runs of punctuation
    "punctuation",  # further punctuation in those runs
    "blanks",  # pairs of white space: indentation, empty lines
    "accented",  # Latin letters beyond ASCII
    "cyrillic",  # Greek, Cyrillic, Armenian
    "semitic",  # Hebrew, Arabic and their neighbours
    "indic",  # Devanagari to Lao
    "rare",  # Georgian, Ethiopic, Khmer, Mongolian and others of U+1000 to U+1FFF
    "asian",  # Han, kana, Hangul, full-width forms
    "symbols",  # typographic marks, arrows, box drawing, private use
    "astral",  # emoji and whatever else takes four bytes
)
NO_TEXT: TextFeatures = (0,) * len(TEXT_FEATURES)

_CONTINUATION = bytes(range(0x80, 0xC0))
_LATIN_ADDITIONAL = (b"\xe1\xb8", b"\xe1\xb9", b"\xe1\xba", b"\xe1\xbb")  # Vietnamese above all


def _class_of(byte: int) -> str:
    """One letter for what kind of character starts with this byte of UTF-8."""
    if byte < 0x80:
        character = chr(byte)
        if character.isdigit():
            return "0"
        if character.isalpha():
            return "A" if character.isupper() else "a"
        return " " if byte <= 0x20 else "."
    for first, kind in (
        (0xF0, "e"),
        (0xEF, "k"),
        (0xEE, "s"),
        (0xE3, "k"),
        (0xE2, "s"),
        (0xE1, "q"),
        (0xE0, "i"),
        (0xD5, "r"),
        (0xCE, "c"),
        (0xC3, "l"),
    ):
        if byte >= first:
            return kind
    return "s"


def _only(kept: str, shown: str, classes: bytes) -> bytes:
    """A table that shows the classes of `kept` as `shown` and all others as a space."""
    return bytes(ord(shown) if chr(kind) in kept else 32 for kind in classes)


_CLASSES = bytes(ord(_class_of(byte)) for byte in range(256))
_IDENTITY = bytes(range(256))
_LETTERS = _only("aAl", "a", _IDENTITY)
_MARKS = _only(".s", ".", _IDENTITY)


def text_features(text: str) -> TextFeatures:
    """The features of `text`, in the order of `TEXT_FEATURES`."""
    if text.isascii():
        classes = text.encode().translate(_CLASSES)
        return (*_latin(classes), 0, 0, 0, 0, 0, 0, 0, 0)
    data = text.encode("utf-8", "surrogatepass")
    if b"\xe1" in data:
        for prefix in _LATIN_ADDITIONAL:
            data = data.replace(prefix, b"\xc4")
    classes = data.translate(_CLASSES, _CONTINUATION)
    count = classes.count
    return (
        *_latin(classes),
        count(b"l"),
        count(b"c"),
        count(b"r"),
        count(b"i"),
        count(b"q"),
        count(b"k"),
        count(b"s"),
        count(b"e"),
    )


def _latin(classes: bytes) -> tuple[int, ...]:
    """The ten features of letters, digits, marks and blanks."""
    count = classes.count
    letters = classes.translate(_LETTERS)
    marks = len(classes.translate(_MARKS).split())
    return (
        len(letters.split()),
        letters.count(b"aaaa"),
        count(b"aaaaaaaaaaaaaaaa"),
        count(b"aA"),
        count(b"AA"),
        _groups_of_three(classes),
        count(b" 0"),
        marks,
        count(b".") + count(b"s") - marks,
        count(b"  "),
    )


def _groups_of_three(classes: bytes) -> int:
    """Into how many groups of at most three the runs of digits fall: 7 digits are 3 groups."""
    if b"0" not in classes:
        return 0
    thirds = classes.replace(b"000", b"g").replace(b"00", b"g").replace(b"0", b"g")
    return thirds.count(b"g")
