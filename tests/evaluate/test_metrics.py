"""The scorer gives, to the last digit, what LLaMA-Factory's libraries give."""

import csv
import logging
import os
import random
from importlib.metadata import version

import jieba
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from medscale.base.errors import UserError
from medscale.evaluate import metrics
from medscale.evaluate.metrics import Options, Pair, metric_names, score
from scoring import reference_scores

HEADLINES = ("rouge_1_f", "rouge_2_f", "rouge_l_f", "bleu_4")
PUBLISHED = [
    (
        "高血压患者应低盐饮食，按时服药。",
        "高血压病人要低盐饮食，并按时服用降压药。",
        (57.1429, 21.0526, 57.1429, 31.5066),
    ),
    ("是", "是", (100, 0, 100, 35.3553)),
    ("第一，多喝水。\n第二，多休息。", "第一，多喝水。第二，多休息。", (93.3333, 82.3529, 94.7368, 80.032)),
    ("多喝水多喝水多喝水", "多喝水", (100, 0, 50, 17.7474)),
    ("", "建议多喝水。", (0, 0, 0, 0)),
    ("建议多喝水，注意休息。", "建议多喝水，注意休息。\n", (100, 100, 100, 91.3101)),
]
FRAGMENTS = [
    *("多喝水", "注意休息", "高血压患者", "按时服药", "的", "了", "建议", "低盐饮食", "哈哈哈", "第一", "龘"),
    *("，", "。", "！", "？", "?", "。\n", "\n\n", "。\n\n", "……", "......", ".......", "。”", "”。", "’", "　", "（"),
    *(
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "\x00",
        "\x85",
        "\u2028",
        "😀",
        "👩‍⚕️",
        "é",
        "the patient",
        "drink",
        "3.5%",
        "a......b",
    ),
]
texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=14).map("".join)
repeats = st.builds(lambda unit, times: unit * times, st.sampled_from(FRAGMENTS), st.integers(0, 12))
near = st.lists(st.sampled_from([*FRAGMENTS[:8], "。\n", " "]), max_size=10).map("".join)
few = st.text("甲乙", max_size=24) | st.text("甲乙 ", max_size=12)
pairs = st.tuples(texts, texts) | st.tuples(near, near) | st.tuples(repeats, repeats) | st.tuples(near, repeats)


def ours(predict: str, label: str) -> dict[str, float]:
    return score(Pair(predict, label), metrics.STANDARD)


@pytest.fixture(scope="module", autouse=True)
def _quiet_jieba():
    jieba.setLogLevel(logging.WARNING)


@pytest.mark.parametrize(("predict", "label", "expected"), PUBLISHED)
def test_published_values(predict, label, expected):
    values = ours(predict, label)
    assert [values[column] for column in HEADLINES] == pytest.approx(expected, abs=1e-4)


@settings(max_examples=500, database=None)
@given(st.lists(pairs, min_size=4, max_size=8))
def test_equals_the_reference_libraries(some):
    for predict, label in some:
        assert ours(predict, label) == reference_scores(predict, label)


@settings(max_examples=500, database=None)
@given(st.lists(st.tuples(few, few), min_size=4, max_size=8))
def test_bleu_equals_nltk_where_n_grams_repeat(some):
    """Two or three characters only, so that nearly every n-gram repeats, and stands at the very end."""
    for predict, label in some:
        reference = sentence_bleu([list(label)], list(predict), smoothing_function=SmoothingFunction().method3)
        assert ours(predict, label)["bleu_4"] == round(reference * 100, 4)


@settings(max_examples=100, database=None)
@given(texts)
def test_equals_the_reference_libraries_on_a_text_against_itself(text):
    assert ours(text, text) == reference_scores(text, text)


@pytest.mark.parametrize("blank", ["", " ", "\n", "　", "\r\n\t", "\x85\x1c", "\n\n。"])
@pytest.mark.parametrize("other", ["", " \n", "多喝水。", "。\n\n", "\n\n多喝水"])
def test_blank_sides_count_as_the_reference_counts_them(blank, other):
    for predict, label in ((blank, other), (other, blank)):
        assert ours(predict, label) == reference_scores(predict, label)


def test_a_sentence_ends_after_its_quotation_mark_as_in_the_reference():
    for label in ("多喝水", "他说“好。”多喝水", "好。”\n多喝水"):
        for predict in ("他说“好。”多喝水\n休息", "‘好？’多喝水\n\n休息", "好！”，多喝水\n"):
            assert ours(predict, label) == reference_scores(predict, label)


def test_equals_the_reference_libraries_on_long_texts():
    generator = random.Random(7)
    for unit in ("".join(FRAGMENTS), "患者头晕乏力三天，建议查血压。", "drink more water. "):
        characters = list(unit * 20)
        label = "".join(characters)[:600]
        generator.shuffle(characters)
        for predict in ("".join(characters)[:900], label[:300] + "".join(characters)[:300], unit * 30, unit * 60):
            assert ours(predict, label) == reference_scores(predict, label)


def test_equals_the_reference_libraries_on_real_answers():
    path = os.environ.get("MEDSCALE_REAL_CSV")
    if not path:
        pytest.skip("MEDSCALE_REAL_CSV does not name the real sample")
    with open(path, encoding="gb18030", newline="") as handle:
        answers = [row["answer"] for row in csv.DictReader(handle)]
    generator = random.Random(0)
    for predict, label in zip(generator.sample(answers, 300), generator.sample(answers, 300), strict=True):
        assert ours(predict, label) == reference_scores(predict, label)
        mixed = label[: len(label) // 2] + predict[len(predict) // 2 :]
        assert ours(mixed, label) == reference_scores(mixed, label)


def test_precision_and_recall_are_of_the_right_side():
    """Everything predicted is right, but half is missing: full precision, little recall."""
    values = ours("按时服药", "按时服药，注意休息，低盐饮食。")
    for name in ("rouge_1", "rouge_2", "rouge_l"):
        assert values[f"{name}_p"] == 100
        assert values[f"{name}_r"] < 50


def test_an_unknown_metric_is_named_with_what_there_is():
    with pytest.raises(UserError, match=r"extra_metrics.*'rouge_w'.*chrf"):
        metric_names(["rouge_w"])


def test_a_metric_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    assert metric_names() == list(metrics.STANDARD)
    with pytest.raises(UserError, match=r"chrf needs the package sacrebleu.*pip install sacrebleu"):
        metric_names(["chrf"])


def test_a_new_metric_is_one_entry(monkeypatch):
    same = metrics.Metric(lambda pair: (100.0 * (pair.predict == pair.label),), lambda: "equal texts")
    monkeypatch.setitem(metrics.METRICS, "same", same)
    names = metric_names(["same"])
    assert score(Pair("是", "是"), names)["same"] == 100
    assert score(Pair("是", "否"), names)["same"] == 0


def test_extra_metrics_of_sacrebleu():
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    names = metric_names(["chrf", "sacrebleu_zh"])
    label = "高血压病人要低盐饮食，并按时服用降压药。"
    values = score(Pair(label, label), names)
    assert values["chrf"] == values["sacrebleu_zh"] == pytest.approx(100)
    values = score(Pair("高血压患者应低盐饮食，按时服药。", label), names)
    assert 0 < values["sacrebleu_zh"] < 60
    assert 0 < values["chrf"] < 60


def test_the_signatures_of_sacrebleu_name_version_and_tokenizer():
    for name in ("chrf", "sacrebleu_zh"):
        assert f"version:{version('sacrebleu')}" in metrics.signature(name, Options())
    assert "tok:zh" in metrics.signature("sacrebleu_zh", Options())
