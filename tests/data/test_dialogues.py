"""Dialogues through cleaning, split, leak check and encoding: right samples, one part a dialogue, one prompt."""

import hashlib
import io
import itertools
import json
import random
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clean
import encode
import split
from medscale.base.errors import UserError
from medscale.base.files import read_json, read_jsonl, write_jsonl
from medscale.data.cleaning import Rules, clean_row
from medscale.data.demo.corpus import generate, load_conditions, write_toyhom_csv
from medscale.data.near.leak_check import Thresholds, check
from medscale.data.raw_rows import RawRow
from medscale.fetch.manifest import content_of, read_manifest, write_manifest
from medscale.model.chat import Chat, Question
from medscale.model.tokenizer import load_tokenizer
from places import ROOT

DEFAULT = {"question": ["instruction", "input"], "answer": "output"}
CONDITIONS = ["感冒", "胃炎", "湿疹", "失眠", "便秘", "偏头痛", "鼻炎", "结膜炎"]
FOLLOW_UP = ("谢谢，那饮食上要注意什么呢？", "饮食以清淡为主，少盐少油，多吃蔬菜水果。")
LONG = "多喝水" * 67
RULES = Rules((2, 100), (2, 200))


def run(module, *arguments) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["script", *map(str, arguments)])
        module.main()


def share(*turns: str, system: str | None = None) -> list[dict]:
    said = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(turns)]
    return ([] if system is None else [{"from": "system", "value": system}]) + said


def topic(number: int) -> tuple[str, str]:
    """Return a question and an answer that are like those of no other number."""
    letters = random.Random(number).sample([chr(code) for code in range(0x4E00, 0x9000)], 60)
    condition = CONDITIONS[number % len(CONDITIONS)]
    return f"{condition}{''.join(letters[:25])}怎么办？", f"{condition}建议{''.join(letters[25:])}。"


class Cleaned:
    """What clean.py made of a file."""

    def __init__(self, folder: Path, records: list | bytes, *options, name="rows.jsonl", columns=DEFAULT):
        raw = folder / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        if not isinstance(records, bytes):
            records = "".join(json.dumps(record) + "\n" for record in records).encode()
        (raw / name).write_bytes(records)
        self.path = {name: folder / f"{name}.parquet" for name in ("clean", "rejected")}
        arguments = ["--manifest", write_manifest(raw, kind="data", source="file"), "--columns", json.dumps(columns)]
        arguments += ["--output-clean", self.path["clean"], "--output-rejected", self.path["rejected"]]
        run(clean, *arguments, "--output-report", folder / "report.json", *options)
        self.kept, self.rejected = (pq.read_table(path).to_pylist() for path in self.path.values())
        self.report = read_json(folder / "report.json")

    def texts(self) -> list[tuple[str, str]]:
        return [(row["question"], row["answer"]) for row in self.kept]


class Split:
    """What split.py made of clean rows."""

    def __init__(self, folder: Path, path: Path, test: int, validation: int) -> None:
        self.paths = {name: folder / f"{name}.jsonl" for name in ("test", "validation", "pool")}
        outputs = itertools.chain.from_iterable((f"--{name}", path) for name, path in self.paths.items())
        arguments = ["--clean", path, "--test-size", test, "--validation-size", validation, "--sizes", "[4]"]
        run(split, *arguments, "--seed", 1, *outputs, "--report", folder / "split.json")
        self.rows = {name: list(read_jsonl(path)) for name, path in self.paths.items()}
        self.report = read_json(folder / "split.json")


def written(frame: pd.DataFrame, name: str) -> bytes:
    """Return a table as pandas writes it."""
    if name.endswith("parquet"):
        sink = io.BytesIO()
        frame.to_parquet(sink)
        return sink.getvalue()
    if name.endswith("csv"):
        return frame.to_csv(index=False, na_rep="NaN").encode()
    records = frame.to_dict("records")
    return "".join(json.dumps(record, default=str) + "\n" for record in records).encode()


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_what_pandas_writes_for_nothing_is_empty_in_every_format(tmp_path, name):
    pairs = [topic(number) for number in range(6)]
    inputs = [None, float("nan"), "三天了", None, float("nan"), "一周了"]
    frame = pd.DataFrame(
        {"instruction": [q for q, _ in pairs], "input": inputs, "output": [a for _, a in pairs], "system": float("nan")}
    )
    result = Cleaned(tmp_path, written(frame, name), name=name)
    assert result.report["dropped"] == {}
    expected = [
        f"{question}\n{more}" if isinstance(more, str) else question
        for (question, _), more in zip(pairs, inputs, strict=True)
    ]
    assert [question for question, _ in result.texts()] == expected


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
@pytest.mark.parametrize(
    ("value", "text"),
    [(30, "30"), (33, "33"), (36.0, "36"), (True, "true"), (pd.Timestamp("2024-05-01"), "2024-05-01")],
)
def test_a_value_in_a_part_of_a_question_is_written_out(tmp_path, name, value, text):
    question, answer = topic(1)
    frame = pd.DataFrame({"instruction": [question], "input": [value], "output": [answer]})
    assert Cleaned(tmp_path, written(frame, name), name=name).texts()[0][0].startswith(f"{question}\n{text}")


def test_bytes_and_objects_in_a_parquet_file(tmp_path):
    (question, answer), (other, _) = topic(1), topic(2)
    table = pa.table({"instruction": [question.encode(), other.encode("gb18030"), b"\xff\xff"], "input": [None] * 3,
                      "output": [answer.encode(), topic(2)[1].encode(), b"\xe7\xad\x94" * 5]})  # fmt: skip
    pq.write_table(table, tmp_path / "a")
    result = Cleaned(tmp_path, (tmp_path / "a").read_bytes(), name="a.parquet")
    assert result.texts() == [(question, answer), (other, topic(2)[1])]
    assert [(row["reason"], row["detail"][:5]) for row in result.rejected] == [("not_text", "bytes")]


def test_lists_of_wordings_and_answers(tmp_path):
    records = [{"questions": [[topic(n)[0], "还可以怎么说呢"]], "answers": [topic(n)[1]]} for n in range(3)]
    assert Cleaned(tmp_path / "a", records).texts() == [topic(n) for n in range(3)]
    joined = Cleaned(tmp_path / "b", records, "--lists", "join")
    assert joined.texts()[0] == (f"{topic(0)[0]}\n还可以怎么说呢", topic(0)[1])
    assert joined.report["layouts"][0]["layout"] == "lists"


@pytest.mark.parametrize("write", [repr, json.dumps])
def test_lists_of_wordings_in_a_csv_file(tmp_path, write):
    rows = [{"questions": write([topic(n)[0], "还可以怎么说呢"]), "answers": write([topic(n)[1]])} for n in range(3)]
    result = Cleaned(tmp_path, written(pd.DataFrame(rows), "a.csv"), name="a.csv")
    assert result.texts() == [topic(n) for n in range(3)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_alpaca_without_an_input(tmp_path, name):
    frame = pd.DataFrame([{"instruction": topic(n)[0], "output": topic(n)[1], "id": n} for n in range(3)])
    result = Cleaned(tmp_path, written(frame, name), name=name)
    assert result.texts() == [topic(n) for n in range(3)]
    assert result.report["layouts"][0]["because"] == "it has 'instruction' and 'output', but no 'input'"


def test_an_input_that_comes_late_is_part_of_its_question(tmp_path):
    records = [{"instruction": topic(n)[0], "output": topic(n)[1]} for n in range(101)]
    records.append({"instruction": topic(101)[0], "input": "三天了", "output": topic(101)[1]})
    assert Cleaned(tmp_path, records).texts()[-1] == (f"{topic(101)[0]}\n三天了", topic(101)[1])


def test_rows_that_were_not_asked_for_are_not_unusable(tmp_path):
    later = {"instruction": FOLLOW_UP[0], "input": "", "output": FOLLOW_UP[1], "history": [topic(0)]}
    first = [{"instruction": topic(1)[0], "input": "", "output": topic(1)[1]}]
    result = Cleaned(tmp_path / "a", [later] * 4 + first, "--turns", "first", "--max-dropped-share", 0.1)
    assert result.report["dropped"] == {"later_turn": 4}
    with pytest.raises(UserError, match=r"^rows\.jsonl: none of the 4 rows is usable \(\{'later_turn': 4\}\)"):
        Cleaned(tmp_path / "b", [later] * 4, "--turns", "first")


DIALOGUES = [{"conversations": share(*topic(n), *FOLLOW_UP)} for n in range(20)]


@pytest.mark.parametrize("layout", ["sharegpt", "messages", "csv", "parquet"])
def test_each_turn_is_a_sample_with_its_history(tmp_path, layout):
    names = {"sharegpt": "a.json", "messages": "a.jsonl", "csv": "a.csv", "parquet": "a.parquet"}
    records = DIALOGUES
    if layout != "sharegpt":
        roles = {"human": "user", "gpt": "assistant"}
        records = [
            {"messages": [{"role": roles[turn["from"]], "content": turn["value"]} for turn in each["conversations"]]}
            for each in records
        ]
    content = json.dumps(records).encode()
    if layout == "messages":
        content = "".join(json.dumps(record) + "\n" for record in records).encode()
    if layout == "csv":
        content = written(pd.DataFrame({"messages": [json.dumps(record["messages"]) for record in records]}), "a.csv")
    if layout == "parquet":
        content = written(pd.DataFrame(records), "a.parquet")
    result = Cleaned(tmp_path, content, name=names[layout])
    question, answer = topic(0)
    assert [row["id"] for row in result.kept[:4]] == ["r0000001", "r0000001.2", "r0000002", "r0000002.2"]
    assert result.texts()[:2] == [(question, answer), FOLLOW_UP]
    assert [row["history"] for row in result.kept[:2]] == [None, [[question, answer]]]
    assert {row["dialogue"] for row in result.kept[:2]} == {"r0000001"}
    report = result.report
    assert (report["read"], report["kept"], report["samples"], report["dropped"]) == (20, 20, 40, {})
    assert "samples" in report["counted"]


def test_the_same_follow_up_in_another_dialogue_is_no_duplicate_but_the_same_dialogue_is(tmp_path):
    result = Cleaned(tmp_path, [*DIALOGUES, DIALOGUES[3], DIALOGUES[4] | {"id": 3}])
    assert result.report["dropped"] == {"exact_duplicate": 2}
    assert result.report["samples"] == 40
    assert [row["detail"] for row in result.rejected] == ["of r0000004", "of r0000005"]


def test_one_question_with_other_histories_is_no_duplicate(tmp_path):
    records = [
        {"instruction": FOLLOW_UP[0], "input": "", "output": FOLLOW_UP[1], "history": [topic(n)]} for n in range(5)
    ]
    assert Cleaned(tmp_path, records).report["kept"] == 5


@pytest.mark.parametrize(("turns", "kept"), [("first", ["r0000001"]), ("last", ["r0000001.2"])])
def test_one_turn_of_each_dialogue_may_be_enough(tmp_path, turns, kept):
    result = Cleaned(tmp_path, DIALOGUES[:1], "--turns", turns)
    assert [row["id"] for row in result.kept] == kept
    dropped = {"first": "later_turn", "last": "earlier_turn"}[turns]
    assert result.report["turns_dropped"] == {dropped: 1}
    history = {"first": [], "last": [list(topic(0))]}[turns]
    assert result.kept[0].get("history", []) == history


def test_history_and_system_of_alpaca_are_used(tmp_path):
    question, answer = topic(1)
    record = {"instruction": "那要吃多久的药？", "input": "", "output": answer, "system": "你是一名<b>医生</b>。",
              "history": [[question, "打电话13812345678&nbsp;"]]}  # fmt: skip
    row = Cleaned(tmp_path / "a", [record]).kept[0]
    assert row["history"] == [[question, "打电话[电话]"]]
    assert row["system"] == "你是一名医生。"
    assert row["id"] == "r0000001"
    assert "system" not in Cleaned(tmp_path / "b", [record | {"history": []}], "--system", "ignore").kept[0]
    later = Cleaned(tmp_path / "c", [record, record | {"history": None, "input": question}], "--turns", "first")
    assert later.report["dropped"] == {"later_turn": 1}
    unused = {"question": "instruction", "answer": "output", "history": None, "system": None}
    with pytest.raises(UserError, match=r"the column 'context' is not used"):
        Cleaned(tmp_path / "d", [record | {"context": "孕妇"}], columns=unused)
    ignoring = Cleaned(tmp_path / "e", [record | {"context": "孕妇"}], "--ignore", '["context"]', columns=unused)
    assert list(ignoring.kept[0]) == ["id", "question", "answer", "department"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_column_of_any_file_that_changes_the_meaning_is_used_or_named(tmp_path, name):
    questions, answers = zip(topic(1), topic(2), strict=True)
    frame = pd.DataFrame({"q": questions, "a": answers, "Instruction": ["", "请用英文回答"], "score": [1, 2]})
    columns = {"question": "q", "answer": "a"}
    with pytest.raises(UserError, match=r"record 2: the column 'Instruction' is not used, holds '请用英文回答'"):
        Cleaned(tmp_path / "a", written(frame, name), name=name, columns=columns)
    columns["question"] = ["Instruction", "q"]
    used = Cleaned(tmp_path / "b", written(frame, name), name=name, columns=columns)
    assert [question for question, _ in used.texts()] == [questions[0], f"请用英文回答\n{questions[1]}"]


def dialogue(*turns, **more) -> RawRow:
    return RawRow(1, (), None, None, dialogue=share(*turns), is_dialogue=True, **more)


@pytest.mark.parametrize(
    ("turns", "samples", "dropped"),
    [
        (("你好", "您好，请讲。", "头痛怎么办", "多休息"), [2], {"placeholder_question": 1}),
        (("头痛怎么办", "好", "那饮食呢", "清淡"), [2], {"short_answer": 1}),
        (("头痛怎么办", "多休息", "谢谢"), [1], {"no_answer": 1}),
        (("头痛怎么办", "多休息", "那饮食呢", "&nbsp;"), [1], {"no_answer": 1}),
        (("头痛怎么办", LONG, "那饮食呢", "清淡", "还有呢", "没有了啊"), [], "long_answer"),
        (("头痛怎么办", "多休息", "饮食呢", LONG, "还有呢", "运动"), [1], {"long_answer": 1, "long_history": 1}),
        (("头痛怎么办", "多\ufffd", "饮食呢", "清淡"), [], "broken_answer"),
        (("头痛怎么办", "", "饮食呢", "清淡"), [], "empty_turn"),
        (("头痛怎么办", "多休息", " <br> ", "清淡"), [], "empty_turn"),
        (("头痛怎么办", ""), [], "empty_answer"),
        (("头痛怎么办",), [], "no_answer"),
        (("头痛怎么办", "多休息", "嗯", LONG, "还有呢", "运动"), [1], {"long_answer": 1, "long_history": 1}),
        (
            ("头痛怎么办", "多休息", "谢谢", "好\ufffd", "还", "动"),
            [1],
            {"broken_answer": 1, "broken_history": 1},
        ),
    ],
)
def test_a_turn_that_gives_no_sample_is_counted_and_remains_as_history_where_it_can(turns, samples, dropped):
    row = clean_row(dialogue(*turns), RULES)
    assert [sample.turn for sample in row.samples] == samples
    assert (row.turns_dropped if samples else row.reason) == dropped
    pairs = list(zip(turns[::2], turns[1::2], strict=False))
    assert all(list(sample.history) == pairs[: sample.turn - 1] for sample in row.samples)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([["头痛", LONG]], "long_history"),
        ([["头痛\ufffd", "多休息"]], "broken_history"),
        ([["头痛", ""]], "empty_history"),
        ([["你好", "好"]], None),
        ([["你好", LONG]], "long_history"),
        ([["嗯", ""]], "empty_history"),
        ([["无", "多休息\ufffd"]], "broken_history"),
        ("上次", "bad_history"),
    ],
)
def test_a_history_keeps_to_the_bounds_but_may_be_short(history, reason):
    assert clean_row(RawRow(1, ("那饮食呢",), "清淡", None, history=history), RULES).reason == reason


def test_answers_that_are_not_to_be_learned_are_history():
    turns = share("头痛怎么办", "多休息", "那饮食呢", "清淡")
    turns[1]["loss"] = False
    row = clean_row(RawRow(1, (), None, None, dialogue=turns, is_dialogue=True), RULES)
    assert [(sample.turn, sample.history) for sample in row.samples] == [(2, (("头痛怎么办", "多休息"),))]
    assert row.turns_dropped == {"nothing_to_learn": 1}
    row = clean_row(RawRow(1, (), None, None, dialogue=turns[:2], is_dialogue=True), RULES)
    assert row.reason == "nothing_to_learn"


def test_what_was_masked_in_any_turn_is_counted():
    row = clean_row(dialogue("我手机13812345678", "打13912345678", "那饮食呢", "清淡", system="QQ：123456789"), RULES)
    assert row.masked == {"phone": 2, "qq": 1}
    assert row.samples[1].history == (("我手机[电话]", "打[电话]"),)
    assert row.system == "QQ：[QQ号]"


TURN = st.builds(
    lambda role, text: {"role": role, "content": text},
    st.sampled_from(["user", "assistant", "user", "assistant", "system", "tool", "x"]),
    st.sampled_from(["", "你好", "头痛怎么办", "多休息多喝水", "多喝水" * 700, None, "锟斤拷"]),
)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.one_of(st.lists(TURN, max_size=6), st.none(), st.text(max_size=3)), max_size=12))
def test_read_is_kept_plus_dropped_for_any_dialogues(tmp_path_factory, dialogues):
    folder = tmp_path_factory.mktemp("any")
    records = [{"messages": each} for each in [share(*topic(0), *FOLLOW_UP), *dialogues]]
    result = Cleaned(folder, records, "--max-dropped-share", "null", "--min-answer-characters", "2")
    report = result.report
    assert report["read"] == len(records) == report["kept"] + sum(report["dropped"].values())
    assert len(result.rejected) == sum(report["dropped"].values())
    assert report["samples"] == len(result.kept) == len({row["id"] for row in result.kept})
    assert report["kept"] == len({row["id"].partition(".")[0] for row in result.kept})


GOOD = [{"instruction": question, "input": "", "output": answer} for question, answer in map(topic, range(3))]
BAD = [{"instruction": "头痛怎么办", "input": "", "output": "无"}] * 7


class TestStop:
    def test_a_share_of_bad_rows_stops_the_run_and_what_was_rejected_is_kept(self, tmp_path):
        message = r"7 of the 10 rows.*max_dropped_share, which is 0\.5, are unusable \({'placeholder_answer': 7}\)"
        with pytest.raises(UserError, match=message) as stopped:
            Cleaned(tmp_path, GOOD + BAD, "--max-dropped-share", "0.5")
        kept = tmp_path / "stopped" / "rejected.parquet"
        assert str(kept) in str(stopped.value)
        assert pq.read_table(kept).num_rows == 7
        assert not (tmp_path / "clean.parquet").exists()
        assert Cleaned(tmp_path, GOOD + BAD, "--max-dropped-share", "0.7").report["kept"] == 3
        assert not kept.exists()

    def test_duplicates_are_not_bad(self, tmp_path):
        result = Cleaned(tmp_path, GOOD + GOOD[:1] * 9, "--max-dropped-share", "0")
        assert result.report["dropped"] == {"exact_duplicate": 9}


class TestSplit:
    def test_a_dialogue_lies_in_one_part_and_sizes_are_exact(self, tmp_path):
        cleaned = Cleaned(tmp_path, DIALOGUES)
        result = Split(tmp_path, cleaned.path["clean"], 8, 6)
        assert [len(rows) for rows in result.rows.values()] == [8, 6, 26]
        parts = [{row["dialogue"] for row in rows} for rows in result.rows.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 20
        assert result.report["dialogues"] == {"of_several_samples": 20, "samples_in_them": 40}
        assert result.report["families"]["largest"] == 2
        report = check(result.rows["test"], result.rows["pool"], Thresholds())
        assert report["passed"]

    def test_a_row_has_what_stands_before_it_and_no_empty_keys(self, tmp_path):
        rows = Split(tmp_path, Cleaned(tmp_path, DIALOGUES).path["clean"], 8, 6).rows["pool"]
        plain = ["id", "question", "answer", "department"]
        for row in rows:
            assert list(row) == [*plain, *(["history"] if row["id"].endswith(".2") else []), "dialogue"]

    def test_near_dialogues_are_one_family(self, tmp_path):
        near = [{"conversations": share(topic(n)[0] + "急", *topic(n + 50)[1:], *FOLLOW_UP)} for n in range(20)]
        result = Split(tmp_path, Cleaned(tmp_path, DIALOGUES + near).path["clean"], 8, 8)
        assert result.report["families"]["largest"] == 4
        assert check(result.rows["test"], result.rows["pool"], Thresholds())["passed"]

    def test_turns_that_are_not_alike_lie_in_the_part_of_their_dialogue(self, tmp_path):
        records = [
            {"conversations": share(topic(n)[0][:9], *topic(n + 50)[::-1], "多休息，多喝水，多运动。")}
            for n in range(20)
        ]
        result = Split(tmp_path, Cleaned(tmp_path, records).path["clean"], 8, 6)
        parts = [{row["dialogue"] for row in rows} for rows in result.rows.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 20

    def test_later_turns_in_records_of_their_own_follow_their_dialogue(self, tmp_path):
        records = [
            {"instruction": topic(100 * place + number)[0] * 2, "input": "", "output": topic(100 * place + number)[1],
             "history": [topic(number)]}
            for number in range(12)
            for place in (1, 2, 3)
        ]  # fmt: skip
        cleaned = Cleaned(tmp_path, records)
        assert cleaned.report["kept"] == 36
        result = Split(tmp_path, cleaned.path["clean"], 6, 3)
        begun = [{row["history"][0][0] for row in rows} for rows in result.rows.values()]
        assert sum(map(len, begun)) == len(set.union(*begun)) == 12

    def test_one_question_with_its_answer_behind_other_greetings_lies_in_one_part(self, tmp_path):
        greetings = [("医生您好，我想咨询一下。", "您好，请讲。"), ("大夫在吗？在线等您的回复。", "在的，您请说。")]
        records = [{"conversations": share(*hello, *topic(n))} for n in range(20) for hello in greetings]
        result = Split(
            tmp_path,
            Cleaned(tmp_path, records, "--turns", "last", "--near-duplicate-threshold", "null").path["clean"],
            8,
            6,
        )
        parts = [{row["question"] for row in rows} for rows in result.rows.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 20
        known = check(
            result.rows["test"], [*result.rows["pool"], result.rows["test"][0] | {"history": []}], Thresholds()
        )
        assert (known["equal_pairs"]["count"], known["passed"]) == (2, False)

    def test_what_dialogues_repeat_is_no_boilerplate(self, tmp_path):
        turns = [[topic(100 * n + place) for place in range(12)] for n in range(8)]
        records = [{"conversations": share(*itertools.chain.from_iterable(each))} for each in turns]
        result = Split(tmp_path, Cleaned(tmp_path, records).path["clean"], 12, 12)
        assert result.report["boilerplate"] == []

    def test_a_leak_is_a_question_with_its_history(self):
        test = [{"id": "t", "question": FOLLOW_UP[0], "answer": "a", "history": [topic(1)]}]
        others = [{"id": "o", "question": FOLLOW_UP[0], "answer": "b", "history": [topic(2)]}]
        assert check(test, others, Thresholds())["passed"]
        report = check(test, [*others, {**test[0], "id": "same"}], Thresholds())
        assert report["near"]["count"] == 1
        assert report["near"]["worst"][0]["train_question"] == f"{topic(1)[0]}\n{FOLLOW_UP[0]}"


ROW = {"id": "r1.3", "question": "那运动呢？", "answer": "适量运动，循序渐进，不要勉强。" * 3, "department": None,
       "history": [["头痛怎么办？", "多休息，多喝水。"], ["那饮食呢？", "清淡饮食。"]]}  # fmt: skip


class TestEncoding:
    @pytest.fixture
    def encoded(self, tmp_path, tiny_model):
        def encode_rows(rows: list[dict], max_length: int) -> tuple[list[dict], dict]:
            write_jsonl(tmp_path / "rows.jsonl", rows)
            content = content_of(read_manifest(tiny_model))
            chat = '{"system_prompt": "你是医生。", "template": "model"}'
            arguments = ["--model", tiny_model, "--content", content, "--chat", chat, "--max-length", max_length]
            arguments += ["--rows", tmp_path / "rows.jsonl", "--output", tmp_path / "rows.parquet"]
            run(encode, *arguments, "--report", tmp_path / "rows.json")
            return pq.read_table(tmp_path / "rows.parquet").to_pylist(), read_json(tmp_path / "rows.json")

        return encode_rows

    def test_as_many_turns_as_fit_are_in_the_prompt_the_oldest_left_out_first(self, encoded, tiny_model):
        chat = Chat(load_tokenizer(tiny_model), "你是医生。")
        history = tuple(map(tuple, ROW["history"]))
        answer = chat.answer_ids(ROW["answer"])
        prompts = [chat.prompt_ids(Question(ROW["question"], history[place:])) for place in range(3)]
        assert len(prompts[2]) < len(prompts[1]) < len(prompts[0]) < len(prompts[1]) + len(answer)
        for place, prompt in enumerate(prompts):
            for room in (0, 1):
                rows, report = encoded([ROW], len(prompt) + len(answer) + room)
                assert rows[0]["input_ids"] == prompt + answer
                assert rows[0]["labels"] == [-100] * len(prompt) + answer
                assert report["history"] == {
                    "rows": 1, "turns": 2, "rows_shortened": int(place > 0), "turns_left_out": place
                }  # fmt: skip
        rows, report = encoded([ROW], len(prompts[2]) + len(answer) - 1)
        assert rows[0]["input_ids"] == (prompts[2] + answer)[:-1]
        assert (report["answers_truncated"], report["history"]["turns_left_out"]) == (1, 2)

    def test_the_system_text_of_a_row_comes_before_that_of_the_study(self, encoded, tiny_model):
        own, plain = {**ROW, "system": "你是药师。"}, {**ROW, "id": "r2"}
        rows, _ = encoded([own, plain], 500)
        tokenizer = load_tokenizer(tiny_model)
        for row, system in zip(rows, ("你是药师。", "你是医生。"), strict=True):
            text = tokenizer.decode(row["input_ids"])
            assert text.count("system\n") == 1
            assert f"system\n{system}" in text


def test_a_corpus_without_dialogues_gives_the_rows_that_it_always_gave(tmp_path):
    rows = generate(load_conditions(ROOT / "resources" / "demo" / "conditions.json"), 600, 7, noise=0.2)
    write_toyhom_csv(tmp_path / "rows.csv", rows)
    columns = {"question": ["title", "ask"], "answer": "answer", "department": "department"}
    cleaned = Cleaned(tmp_path, (tmp_path / "rows.csv").read_bytes(), name="rows.csv", columns=columns)
    arguments = ["--clean", cleaned.path["clean"], "--test-size", 40, "--validation-size", 20, "--sizes", "[50]"]
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("test", "validation", "pool")}
    outputs = itertools.chain.from_iterable((f"--{name}", path) for name, path in paths.items())
    run(split, *arguments, "--seed", 3, *outputs, "--report", tmp_path / "split.json")
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for name, path in paths.items()} == {
        "test": "d4578aca82ff7d6d",
        "validation": "af236432840f395d",
        "pool": "6bb9e03775c7c6f8",
    }


HISTORIES = ["高血压病史10年", 3, "2024-05-01 头痛", "患者：头痛", "[高血压]十年", '{"高血压": 10}']


@pytest.mark.parametrize("value", HISTORIES)
def test_what_a_patient_had_before_is_not_taken_for_turns(tmp_path, value):
    records = [
        {"instruction": topic(n)[0], "input": "", "output": topic(n)[1], "history": value if n == 3 else "无"}
        for n in range(5)
    ]
    with pytest.raises(
        UserError, match=r"rows\.jsonl, record 4: the column 'history'.*history: null.*columns\.question"
    ):
        Cleaned(tmp_path / "a", records)
    left_out = Cleaned(tmp_path / "b", records, columns=DEFAULT | {"history": None})
    assert left_out.texts() == [topic(n) for n in range(5)]
    added = {"question": ["instruction", "history"], "answer": "output", "history": None}
    assert Cleaned(tmp_path / "c", records, columns=added).texts()[3][0] == f"{topic(3)[0]}\n{value}"


@pytest.mark.parametrize("nothing", ["无", "暂无", "没有", "", None, [], "[]"])
def test_a_history_may_say_that_there_is_none(tmp_path, nothing):
    records = [{"instruction": topic(n)[0], "input": "", "output": topic(n)[1], "history": nothing} for n in range(3)]
    result = Cleaned(tmp_path, records)
    assert result.texts() == [topic(n) for n in range(3)]
    assert "history" not in result.report["layouts"][0]


def test_a_broken_list_of_turns_costs_its_row_alone(tmp_path):
    records = [
        {
            "instruction": topic(n)[0],
            "input": "",
            "output": topic(n)[1],
            "history": '[["头痛", "多休' if n == 1 else "[]",
        }
        for n in range(3)
    ]
    assert Cleaned(tmp_path, records).report["dropped"] == {"bad_history": 1}


def with_system(values: list) -> list[dict]:
    return [
        {"instruction": topic(n)[0], "input": "", "output": topic(n)[1], "system": value}
        for n, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    "values", [["循环系统", "消化系统", None, "呼吸系统"], ["心内", "无"], ["digestive system", "nervous system"]]
)
def test_systems_of_organs_do_not_replace_the_system_prompt(tmp_path, values):
    records = with_system(values)
    with pytest.raises(
        UserError, match=r"rows\.jsonl: the column 'system' has no texts .*" + values[0] + ".*system: nu"
    ):
        Cleaned(tmp_path / "a", records)
    for name, options, columns in (
        ("b", ["--system", "ignore"], DEFAULT),
        ("c", [], DEFAULT | {"system": None}),
        ("d", ["--ignore", '["system"]'], DEFAULT),
    ):
        kept = Cleaned(tmp_path / name, records, *options, columns=columns).kept
        assert len(kept) == len(values)
        assert all("system" not in row for row in kept)
    renamed = [{("organs" if key == "system" else key): value for key, value in row.items()} for row in records]
    assert Cleaned(tmp_path / "e", renamed, columns=DEFAULT | {"system": "organs"}).kept[0]["system"] == values[0]


@pytest.mark.parametrize(
    "system", ["你是医生", "医疗助手", "You are a doctor", "根据下面的内容，写出一段说明，不要太长。"]
)
def test_a_short_system_text_is_one_all_the_same(tmp_path, system, capsys):
    records = [row | {"history": [["头痛怎么办", "多休息"]]} for row in with_system([None, system])]
    result = Cleaned(tmp_path, records)
    assert [row["system"] for row in result.kept] == [None, system]
    assert result.report["layouts"][0]["system"] == {"column": "system", "example": system}
    told = capsys.readouterr().out
    assert f"rows.jsonl: system is the column 'system': {system}" in told
    assert "rows.jsonl: history is the column 'history': [['头痛怎么办', '多休息']]" in told


def test_an_ignored_history_is_not_read(tmp_path):
    records = [row | {"history": [["头痛怎么办", "多休息"]]} for row in with_system([None, None])]
    assert "history" not in Cleaned(tmp_path, records, "--ignore", '["history"]').kept[0]
