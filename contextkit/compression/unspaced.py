"""Pieces of a text that may leave alone: what stands between blanks, and less where no blanks are written.

Chinese and Japanese have none. Without a dictionary, a piece ends at a mark, where a script ends (Japanese
writes what a word means before what bends it), and behind the commonest particles of Chinese, so that it is
about a phrase; a number keeps the sign behind it. Other text is cut at its blanks alone.
"""

from __future__ import annotations

import re

_HAN = r"々〇\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_HIRAGANA = r"\u3041-\u309f"
_KATAKANA = r"\u30a1-\u30ffｦ-ﾟ"
_OPENING = "「『（《〈【〔［｛"
_MARKS = r"、。〃」』）》〉】〕］｝！，．：；？･｡､"
_WESTERN_MARKS = r",.;:!?…)\]}\"'”’"
_PARTICLES = "的了是在"
DENY_BEGIN = "不没沒未无無勿なま"
DENIES = "[不没沒未无無勿]|ない|なかった|ません"
"""What turns a phrase round, within a word too, and the signs that it begins with."""
MOST = 16
"""Signs in a row without any of these."""

_UNSPACED = re.compile(f"[{_HAN}{_HIRAGANA}{_KATAKANA}]")
_BETWEEN_BLANKS = re.compile(r"\S+\s*|\s+")
_PHRASE = rf"(?:[{_HAN}]{{1,{MOST}}}?(?:(?<=[{_PARTICLES}])|(?![{_HAN}]))|[{_HAN}]{{{MOST}}})"
_PIECE = re.compile(
    rf"""
    (?: [{_OPENING}]*
        (?: [{_KATAKANA}]{{1,{MOST}}} [{_HIRAGANA}]{{0,{MOST}}}
          | {_PHRASE} [{_HIRAGANA}]{{0,{MOST}}}
          | [{_HIRAGANA}]{{1,{MOST}}}
          | [^\s{_HAN}{_HIRAGANA}{_KATAKANA}{_OPENING}{_MARKS}]+ (?: (?<=\d)[{_HAN}] )?
        )
      | [{_OPENING}]+
    )? [{_MARKS}{_WESTERN_MARKS}]* \s*
    """,
    re.VERBOSE,
)


def pieces(text: str) -> list[str]:
    """The text in pieces, each with the blanks behind it; together they are the text."""
    if not _UNSPACED.search(text):
        return _BETWEEN_BLANKS.findall(text)
    return [piece for piece in _PIECE.findall(text) if piece]
