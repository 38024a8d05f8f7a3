"""The segmenter gives what jieba gives, word for word."""

import csv
import logging
import marshal
import os
import random
import subprocess
import sys

import jieba
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.evaluate.segmentation import cut
from places import SCRIPTS

FRAGMENTS = [
    *(
        "高血压患者",
        "多喝水",
        "注意休息",
        "的",
        "了",
        "是否",
        "张三丰",
        "郑州市",
        "布洛芬缓释胶囊",
        "哈哈哈",
        "龘",
        "㐀",
    ),
    *("，", "。", "。\n", "？", "……", "......", "”", "（", "＋", "Ｔ恤", "％", "　"),
    *("T恤", "B超", "CT", "3.5", "37.5%", "10mg/次", "the patient", "a-b_c", "c++", "#1", "&", "....", "-", "+"),
    *(" ", "  ", "\n", "\r\n", "\r", "\t", "\x00", "\x1c", "\x85", "\u2028", "😀", "👩‍⚕️", "é", "\ud800"),
]
texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=25).map("".join)


@pytest.fixture(scope="module", autouse=True)
def _quiet_jieba():
    jieba.setLogLevel(logging.WARNING)


@settings(max_examples=400, database=None)
@given(st.lists(texts, min_size=3, max_size=6))
def test_equals_jieba_on_any_text(some):
    for text in some:
        assert cut(text) == jieba.lcut(text)


@pytest.mark.parametrize("kind", ["words", "rare words", "characters"])
def test_equals_jieba_on_random_chinese(kind):
    """Words in a row without punctuation, many with equal counts, so that paths tie and names must be guessed."""
    generator = random.Random(kind)
    with jieba.get_dict_file() as handle:
        entries = [line.split(" ") for line in handle.read().decode("utf-8").splitlines()]
    words = [entry[0] for entry in entries if kind != "rare words" or int(entry[1]) <= 3]
    units = [chr(code) for code in range(0x4E00, 0x9FD6)] if kind == "characters" else words
    for _ in range(1500):
        text = "".join(generator.choices(units, k=generator.randint(1, 25)))
        assert cut(text) == jieba.lcut(text)


def test_equals_jieba_where_a_word_is_begun_but_not_there():
    """Characters that are no words themselves, in texts that only begin like a longer word: 1号店, in 1号楼."""
    jieba.initialize()
    counts = jieba.dt.FREQ
    begun = {word[:length] for word in counts for length in (2, 3) if len(word) > length and not counts.get(word[0])}
    for start in sorted(begun):
        for text in (f"研究生命的起源{start}楼", f"住{start}", f"{start}{start}中心医院"):
            assert cut(text) == jieba.lcut(text)


def test_equals_jieba_on_one_very_long_clause():
    text = "患者头晕乏力三天伴恶心呕吐" * 400 + "龘" * 400 + "a" * 400
    assert cut(text) == jieba.lcut(text)


def test_equals_jieba_on_real_text():
    path = os.environ.get("MEDSCALE_REAL_CSV")
    if not path:
        pytest.skip("MEDSCALE_REAL_CSV does not name the real sample")
    with open(path, encoding="gb18030", newline="") as handle:
        for row in csv.DictReader(handle):
            for text in (row["ask"], row["answer"]):
                assert cut(text) == jieba.lcut(text)


@given(texts)
@settings(max_examples=200, database=None)
def test_loses_no_character(text):
    assert "".join(cut(text)) == text


def test_ignores_the_cache_file_of_others(tmp_path):
    """A wrong jieba.cache in the temporary folder is neither believed nor touched."""
    cache = tmp_path / "jieba.cache"
    cache.write_bytes(marshal.dumps(({"高血压患者应低盐饮食": 1}, 1)))
    before = cache.read_bytes()
    code = "from medscale.evaluate.segmentation import cut; print('/'.join(cut('高血压患者应低盐饮食')))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(SCRIPTS), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == "/".join(jieba.cut("高血压患者应低盐饮食"))
    assert done.stderr == ""
    assert cache.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["jieba.cache"]
