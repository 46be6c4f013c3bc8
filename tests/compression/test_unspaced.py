"""Text without blanks between its words is told in parts like any other."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contextkit.compression import protected, words
from contextkit.compression.methods import NAMES, MethodName, method
from contextkit.compression.spans import sentences
from contextkit.compression.unspaced import MOST, pieces
from contextkit.tokens import TiktokenCounter

count = TiktokenCounter().count
CHINESE = (
    "北京是中华人民共和国的首都，位于华北平原的北部。它有三千多年的历史，是中国的政治和文化中心。"
    "2008年，北京举办了夏季奥林匹克运动会。城市里有许多古老的建筑，例如故宫、天坛和颐和园。"
    "冬天寒冷而干燥，夏天炎热而多雨。地铁每天运送一千多万人，很多人也骑自行车上班。"
)
JAPANESE = (
    "東京は日本の首都であり、世界最大の都市の一つです。人口は約1400万人です。江戸時代には「江戸」と呼ばれていました。"
    "1964年と2021年にオリンピックが開催されました。地下鉄は朝とても混みますが、時間どおりに来ます。"
    "春には公園で桜が咲き、多くの人が花見を楽しみます。"
)
MIXED = (
    "The user said 你好，我想订一张去上海的机票 and asked for a seat at the window. "
    "The agent answered 好的，请问您什么时候出发？ and waited for a reply. "
) * 3
ALPHABET = "ab1 \n\u3000的是漢字々かなカターﾟ「」。，、（）.,'”\U0001f600"


@given(st.one_of(st.text(max_size=60), st.text(alphabet=ALPHABET, max_size=60)))
def test_pieces_are_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))
    assert "".join(text[start:stop] for start, stop in sentences(text)) == text


@given(st.text(alphabet="ab1 .,\n\t\x85\u2028“’(é한กü", max_size=60))
def test_text_with_blanks_is_cut_at_them_alone(text: str) -> None:
    assert pieces(text) == re.findall(r"\S+\s*|\s+", text)


def test_pieces_are_about_phrases() -> None:
    assert pieces("它有三千多年的历史，是") == ["它有三千多年的", "历史，", "是"]
    assert pieces("2008年，北京举办了") == ["2008年，", "北京举办了"]
    assert pieces("漢字, (仮名), 文.b") == ["漢字, ", "(", "仮名), ", "文.", "b"]
    assert pieces("「江戸」と呼ばれていました。") == ["「江戸」", "と", "呼ばれていました。"]
    assert pieces("オリンピックが開催 iPhone手机 x") == [
        "オリンピックが",
        "開催 ",
        "iPhone",
        "手机 ",
        "x",
    ]
    assert max(map(len, pieces("漢" * 1000 + "カ" * 1000 + "か" * 1000))) <= 2 * MOST


def test_sentences_end_without_a_blank() -> None:
    assert len(sentences(CHINESE)) == 6
    assert [JAPANESE[a:b] for a, b in sentences(JAPANESE)][
        2
    ] == "江戸時代には「江戸」と呼ばれていました。"
    assert len(sentences("彼は「行く。」と言った。そう。")) == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", [CHINESE, JAPANESE, MIXED], ids=["Chinese", "Japanese", "mixed"])
@pytest.mark.parametrize("rate", [0.35, 0.5, 0.8])
def test_every_method_tells_it(name: MethodName, text: str, rate: float) -> None:
    target = int(rate * count(text))
    told = method(name, "stub").compress(text, target, count, question="北京 首都", handle="m7")
    assert told.achieved_tokens == count(told.text) <= target
    assert told.achieved_tokens >= target - 8  # a phrase
    assert len(told.text) > len(text) * rate / 3


def test_negations_stay() -> None:
    text = "我不喜欢这个方案，因为它没有考虑数据。駅には行かない。東京へ行きません。"
    assert [text[span.start : span.stop] for span in protected(text)] == [
        "不",
        "没",
        "ない",
        "ません",
    ]
    kept = [text[word.start : word.stop] for word in words(text) if word.protected]
    assert kept == ["我不喜欢这个方案，", "因为它没有考虑数据。", "行かない。", "行きません。"]
