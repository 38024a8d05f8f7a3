"""What stands in many questions and asks nothing is left out of every comparison, and of nothing else."""

import json
import random

import pytest
from test_splitting import Split

import split
from cleaned_rows import Cleaned
from medscale.base.errors import UserError
from medscale.data.demo.corpus import generate, load_conditions
from medscale.data.near import boilerplate
from medscale.data.near.boilerplate import Boilerplate, boilerplate_of
from medscale.data.near.leak_check import Thresholds, check
from medscale.data.near.shingles import comparable
from places import ROOT

INSTRUCTION = "你现在是一名经验丰富的医生，请根据患者的问题给出专业、谨慎的回答。"
TEN = [
    "你是一名内科医生，请根据患者描述给出诊断建议。",
    "请作为专业的医疗助手回答下面这位患者的问题。",
    "以下是患者的提问，请给出专业而简洁的回答：",
    "假如你是三甲医院的主任医师，请解答患者的疑问：",
    "请用通俗易懂的语言回答患者提出的健康问题。",
    "作为在线问诊平台的医生，请认真回复患者咨询。",
    "下面是一个医学问题，请结合医学知识给出解答。",
    "请阅读患者的病情描述，并给出合理的治疗意见。",
    "你的任务是为患者提供准确可靠的医疗咨询服务。",
    "请站在医生的角度，对患者的问题进行详细说明。",
]
ILLNESSES = [
    "感冒",
    "胃炎",
    "湿疹",
    "失眠",
    "便秘",
    "偏头痛",
    "鼻炎",
    "腰肌劳损",
    "口腔溃疡",
    "结膜炎",
    "荨麻疹",
    "痛风",
]
SIGNS = ["头晕", "乏力", "发热", "咳嗽", "瘙痒", "腹胀", "心慌", "出汗"]
ENDS = ["怎么办", "吃什么药", "要去医院吗", "能自己好吗", "是什么原因"]
QUESTIONS = [f"{illness}伴{sign}，{end}？" for illness in ILLNESSES for sign in SIGNS for end in ENDS]
FORMS = {
    "a line before": lambda number, text: f"{INSTRUCTION}\n{text}",
    "a prefix without a mark": lambda number, text: f"{INSTRUCTION[:-1]}{text}",
    "a suffix": lambda number, text: f"{text}（以上是我的情况，请各位医生给出专业的建议）",
    "one of ten": lambda number, text: TEN[number % 10] + text,
    "with a number": lambda number, text: f"你是工号{number * 7}的值班医生，请根据患者的问题作答。{text}",
    "both sides": lambda number, text: f"{INSTRUCTION}{text}{TEN[0]}",
}


def found_in(texts: list[str]) -> Boilerplate:
    return boilerplate_of([[comparable(text) for text in texts]])


class TestFound:
    @pytest.mark.parametrize("form", FORMS)
    def test_the_rest_is_the_question_itself(self, form):
        texts = [FORMS[form](number, text) for number, text in enumerate(QUESTIONS)]
        found = found_in(texts)
        assert [found.rest(comparable(text)) for text in texts] == [comparable(text) for text in QUESTIONS]

    def test_a_name_inside_it_leaves_only_what_stands_before_the_name(self):
        texts = [
            f"我是{'王李张刘陈杨赵黄周吴'[number % 10]}医生的助手，请根据患者的问题给出专业谨慎的回答。{text}"
            for number, text in enumerate(QUESTIONS)
        ]
        found = found_in(texts)
        assert found.texts == ("医生的助手请根据患者的问题给出专业谨慎的回答",)
        assert found.rest(comparable(texts[0])) == "我是王" + comparable(QUESTIONS[0])

    def test_it_is_the_same_in_any_order_and_in_any_batches(self):
        texts = [comparable(FORMS["one of ten"](number, text)) for number, text in enumerate(QUESTIONS)]
        expected = boilerplate_of([texts]).texts
        assert len(expected) == 10
        random.Random(1).shuffle(texts)
        assert boilerplate_of(texts[start : start + 7] for start in range(0, len(texts), 7)).texts == expected

    def test_it_is_the_same_where_only_some_are_looked_at(self, monkeypatch):
        texts = [comparable(FORMS["a line before"](number, text)) for number, text in enumerate(QUESTIONS)]
        expected = boilerplate_of([texts]).texts
        monkeypatch.setattr(boilerplate, "SAMPLE", 100)
        sampled = boilerplate._sampled([texts[:300], texts[300:], texts])
        assert len(sampled) == 100
        assert sampled == boilerplate._sampled([texts[::-1]])
        assert boilerplate_of([texts]).texts == expected

    @pytest.mark.parametrize("size", [300, 6000])
    def test_ordinary_questions_have_none(self, size):
        rows = generate(load_conditions(ROOT / "resources" / "demo" / "conditions.json"), size, seed=42)
        assert not found_in([f"{row['title']}\n{row['ask']}" for row in rows])
        assert not found_in([row["ask"] for row in rows])
        assert not found_in(QUESTIONS)
        assert not found_in([])

    def test_a_template_that_differs_in_numbers_has_none(self):
        texts = [
            f"编号{number}的患者今天上午在门诊测得收缩压为{100 + number % 80}毫米汞柱，请问是否正常需要吃药吗？"
            for number in range(3000)
        ]
        assert not found_in(texts)

    @pytest.mark.parametrize(("count", "there"), [(19, False), (20, True)])
    def test_twenty_questions_must_have_it(self, count, there):
        assert bool(found_in([INSTRUCTION + text for text in QUESTIONS[::9][:count]])) == there

    def test_a_rare_phrase_of_long_questions_stays_and_a_frequent_one_goes(self):
        generator = random.Random(3)
        long = ["".join(generator.choices("高血压糖尿病头疼胃炎肝吃药怎么办治疗检查", k=150)) for _ in range(400)]
        with_phrase = lambda count: [text + INSTRUCTION * (place < count) for place, text in enumerate(long)]  # noqa: E731
        assert not found_in(with_phrase(79))
        assert found_in(with_phrase(80)).texts == (comparable(INSTRUCTION),)

    def test_where_nothing_but_numbers_or_too_little_would_remain_the_question_is_compared_whole(self):
        found = Boilerplate([comparable(INSTRUCTION)])
        whole = comparable(INSTRUCTION)
        for rest, expected in (
            ("", whole),
            ("12345", whole + "12345"),
            ("感冒吗", whole + "感冒吗"),
            ("感冒了吗", "感冒了吗"),
        ):
            assert found.rest(whole + rest) == expected
        assert found.report(4) == [{"text": whole, "rows": 1, "share": 0.25}]


class TestStages:
    @pytest.fixture
    def rows(self) -> list[dict]:
        answers = ["多喝温水，少吃辛辣，规律作息", "适量运动，保持清洁，避免熬夜", "清淡饮食，按时复查，不要紧张"]
        return [
            {"department": "内科", "title": INSTRUCTION, "ask": text, "answer": answers[number % 3]}
            for number, text in enumerate(QUESTIONS)
        ]

    def test_cleaning_drops_the_rows_that_it_drops_without_the_instruction(self, tmp_path, rows):
        found = Cleaned(tmp_path / "with", rows)
        plain = Cleaned(tmp_path / "without", [row | {"title": row["ask"]} for row in rows])
        assert [row["id"] for row in found.kept] == [row["id"] for row in plain.kept]
        assert len(found.kept) > 100
        text = comparable(INSTRUCTION)
        assert found.report["boilerplate"] == [{"text": text, "rows": len(QUESTIONS), "share": 1.0}]
        assert plain.report["boilerplate"] == []
        assert all(row["question"].startswith(INSTRUCTION) for row in found.kept)

    def test_the_split_makes_the_families_that_it_makes_without_the_instruction(self, tmp_path):
        found = Split(tmp_path / "with", [f"{INSTRUCTION}\n{text}" for text in QUESTIONS], test=40, validation=20)
        plain = Split(tmp_path / "without", QUESTIONS, test=40, validation=20)
        assert found.report["families"] == plain.report["families"]
        assert found.report["families"]["largest"] < 100
        assert found.report["boilerplate"][0]["share"] == 1.0
        assert all(row["question"].startswith(INSTRUCTION) for row in found.rows["test"])

    def test_the_leak_check_leaves_out_what_the_split_left_out(self):
        rows = [
            {"id": str(place), "question": INSTRUCTION + text, "answer": "甲"} for place, text in enumerate(QUESTIONS)
        ]
        plain = [row | {"question": text} for row, text in zip(rows, QUESTIONS, strict=True)]
        found = check(rows[:3], rows[300:], Thresholds(), [comparable(INSTRUCTION)])
        expected = check(plain[:3], plain[300:], Thresholds())
        assert found["nearest_similarity"] == expected["nearest_similarity"]
        assert found["contained"]["count"] == expected["contained"]["count"] == 0
        assert check(rows[:3], rows[300:], Thresholds())["near"]["count"] == 3


def test_a_family_that_is_nearly_everything_is_named_with_two_of_its_rows(tmp_path):
    texts = [f"编号{number}的患者今天在门诊测得收缩压偏高，请问这样是否正常？" for number in range(100, 300)]
    with pytest.raises(UserError) as error:
        Split(tmp_path, [*texts, *QUESTIONS[::60]], test=20, validation=10)
    message = str(error.value)
    assert "study.test_size: no set of whole families" in message
    assert "one family of near-duplicate questions has 200 of 208 rows, for example " in message
    assert "«编号100的患者今天在门诊测得收缩压偏高，请问这样是否正常？» and " in message
    assert "study.similarity_threshold (now 0.6)" in message
    assert message.endswith(" [D114]")
    assert message.count("[D114]") == 1


def test_a_long_question_is_shortened_to_be_named():
    assert split.shortened("头\n疼 " * 40) == json.loads('"' + ("头 疼 " * 40)[:59] + '…"')
    assert split.shortened("头疼") == "头疼"
