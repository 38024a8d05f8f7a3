"""Exams from the files that people have: which format they are, every row accounted for, and what is told otherwise."""

import csv
import io
import json
import time
import zipfile
from collections import Counter

import pyarrow.parquet as pq
import pytest

from medscale.base.errors import UserError
from medscale.data.exams.account import report_of
from medscale.data.exams.fields import Reading
from medscale.data.exams.reading import read_exam
from medscale.data.exams.rejected import EXAMPLES, LONGEST, MOST, SHORT, write_rejected
from medscale.data.exams.subjects import MEDICAL, SUBJECTS
from medscale.fetch.manifest import write_manifest

CMEXAM = """Question,Options,Answer,Explanation,Disease Group,Clinical Department
属于解热镇痛药的是,"A 布洛芬
B 青霉素
C 叶酸
D 维生素C
E 碳酸钙",A,见药典,不符合,药剂科
引起发热的有,"A 细菌
B 病毒
C 石头",AB,,,不符合
没有答案的是,"A 甲
B 乙",,,,内科
"""
CMMLU = ",Question,A,B,C,D,Answer\n0,甲的部分不包括,一,二,三,四,B\n1,乙位于,上,下,左,右,D\n"
CEVAL = "id,question,A,B,C,D,answer,explanation\n0,属于____的是,1,2,3,4,C,\n1,下列正确的是____,K,Na,Ca,NA,B,因为\n"


def cmb(number: int, **changed) -> dict:
    question = {
        "exam_type": "医师考试",
        "exam_class": "执业医师",
        "exam_subject": "口腔执业医师",
        "question": f"第{number}题问什么",
        "answer": "D",
        "question_type": "单项选择题",
        "option": {"A": "甲", "B": "乙", "C": "丙", "D": "丁", "E": "戊", "F": None},
    }
    return question | changed


@pytest.fixture
def read(tmp_path):
    """Return a function that reads files, given by name and content, with the keys of an exam's entry."""

    def read_files(files: dict, **keys):
        root = tmp_path / f"exam{len(list(tmp_path.iterdir()))}"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        manifest = write_manifest(root, kind="data", source="file", files=list(files), licence="apache-2.0")
        reading = Reading.from_json("mine", json.dumps(keys))
        exam = read_exam(manifest, reading)
        assert exam.read == len(exam.questions) + exam.dropped.total()
        return exam, report_of(exam, reading, "mine.rejected.parquet")

    return read_files


def rows(*records: dict) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def test_cmexam_as_csv(read):
    exam, report = read({"test_with_annotations.csv": CMEXAM})
    first, second = exam.questions
    assert first.options == {"A": "布洛芬", "B": "青霉素", "C": "叶酸", "D": "维生素C", "E": "碳酸钙"}
    assert (first.answer, first.multiple, first.subject, first.measures) == ("A", False, "药剂科", "medicine")
    assert (second.answer, second.multiple, second.subject) == ("AB", True, None)
    assert (report["formats"], report["dropped"], report["licence"]) == ({"cmexam": 1}, {"no_answer": 1}, "apache-2.0")


def test_cmexam_as_json(read):
    options = [{"key": "A", "value": "甲"}, {"key": "B", "value": "乙"}]
    exam, report = read({"test.json": json.dumps([{"Question": "问", "Options": options, "Answer": "B"}])})
    assert exam.questions[0].options == {"A": "甲", "B": "乙"}
    assert report["formats"] == {"cmexam": 1}


def test_cmb_with_its_answers_beside_the_questions(read):
    several = cmb(2, question_type="多项选择题", answer="ABE")
    wrong = cmb(3, answer="AB")
    exam, report = read({"CMB-val-merge.json": json.dumps([cmb(1), several, wrong], ensure_ascii=False)})
    assert [(q.answer, q.multiple, q.subject) for q in exam.questions] == [
        ("D", False, "口腔执业医师"),
        ("ABE", True, "口腔执业医师"),
    ]
    assert list(exam.questions[0].options) == list("ABCDE"), "an option that is null is none"
    assert report["dropped"] == {"several_answers_to_one": 1}


def test_cmb_with_its_answers_in_a_file_of_their_own(read):
    questions = [{key: value for key, value in cmb(n, id=n).items() if key != "answer"} for n in (1, 2, 3)]
    answers = [{"id": 3, "answer": "C"}, {"id": 1, "answer": "A"}, {"id": 2, "answer": "B"}]
    files = {"CMB-test-choice-question-merge.json": json.dumps(questions, ensure_ascii=False)}
    exam, report = read(files | {"CMB-test-choice-answer.json": json.dumps(answers)})
    assert [question.answer for question in exam.questions] == ["A", "B", "C"]
    assert report["read"] == 3, "answers are no questions"
    with pytest.raises(UserError, match=r"none of the 3 questions .* has an answer") as error:
        read(files)
    assert error.value.code == "D158"


def test_cmmlu_reads_the_test_part_and_tells_medicine_from_the_rest(read):
    files = {f"{part}/{subject}.csv": CMMLU.replace("甲", subject) for part in ("dev", "test") for subject in
             ("anatomy", "arts", "genetics")}  # fmt: skip
    exam, report = read({name: text.replace("乙", name) for name, text in files.items()})
    assert report["subjects"] == {
        "anatomy": {"n": 2, "measures": "medicine"},
        "arts": {"n": 2, "measures": "general"},
        "genetics": {"n": 2, "measures": "general"},
    }
    assert report["files_skipped"] == [f"dev/{name}.csv (not of test)" for name in ("anatomy", "arts", "genetics")]
    assert exam.questions[0].options == {"A": "一", "B": "二", "C": "三", "D": "四"}


def test_cmmlu_in_the_archive_that_its_hub_has(read, tmp_path):
    packed = tmp_path / "cmmlu.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for part in ("dev", "test"):
            archive.writestr(f"{part}/virology.csv", CMMLU)
    _exam, report = read({"cmmlu_v1_0_1.zip": packed.read_bytes()})
    assert report["subjects"] == {"virology": {"n": 2, "measures": "medicine"}}


def test_ceval_reads_the_validation_part_whose_answers_are_public(read):
    files = {f"{part}/physician_{part}.csv": CEVAL for part in ("dev", "val")}
    files["val/law_val.csv"] = CEVAL.replace("____", "……")
    without = "\n".join(",".join(line.split(",")[:6]) for line in CEVAL.splitlines())
    exam, report = read(files | {"test/physician_test.csv": without})
    assert report["subjects"] == {
        "law": {"n": 2, "measures": "general"},
        "physician": {"n": 2, "measures": "medicine"},
    }
    assert exam.questions[-1].options["B"] == "Na", "sodium is no empty cell"
    assert exam.questions[-1].options["D"] == "NA"
    with pytest.raises(UserError, match="D158"):
        read({"test/physician_test.csv": without})


def test_the_subjects_of_a_hub_that_keeps_parquet(read, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "val.parquet"
    row = {"id": 0, "question": "问", "A": "一", "B": "二", "C": "三", "D": "四", "answer": "A", "explanation": ""}
    pq.write_table(pa.Table.from_pylist([row]), path)
    _exam, report = read({"basic_medicine/val-00000-of-00001.parquet": path.read_bytes()})
    assert report["subjects"] == {"basic_medicine": {"n": 1, "measures": "medicine"}}


def test_the_tables_of_subjects():
    assert {name: len(subjects) for name, subjects in SUBJECTS.items()} == {"cmmlu": 67, "ceval": 52}
    assert {name: len(subjects) for name, subjects in MEDICAL.items()} == {"cmmlu": 8, "ceval": 3}
    assert all(MEDICAL[name] <= SUBJECTS[name] for name in MEDICAL)


OWN = {"question": "下列哪项正确", "subject": "内科"}


@pytest.mark.parametrize(
    ("record", "keys"),
    [
        ({"options": {"A": "甲", "B": "乙", "C": "丙"}, "answer": "C"}, {}),
        ({"options": ["甲", "乙", "丙"], "answer": "c"}, {}),
        ({"choices": ["A. 甲", "B. 乙", "C. 丙"], "answer": "C. 丙"}, {}),
        ({"options": "A、甲\nB、乙\nC、丙", "answer": "答案：Ｃ"}, {}),
        ({"options": "(A)甲 (B)乙 (C)丙", "answer": "（C）"}, {}),
        ({"options": "A.甲;B.乙;C.丙", "answer": ["C"]}, {}),
        ({"options": '["甲", "乙", "丙"]', "answer": "丙"}, {}),
        ({"A": "甲", "B": "乙", "C": "丙", "answer": "C"}, {}),
        ({"选项A": "甲", "选项B": "乙", "选项C": "丙", "正确答案": "C"}, {}),
        ({"opa": "甲", "opb": "乙", "opc": "丙", "answer": "opc"}, {}),
        ({"opa": "甲", "opb": "乙", "opc": "丙", "answer": "C"}, {}),
        ({"option1": "甲", "option2": "乙", "option3": "丙", "answer": 3}, {"answer_as": "index_from_1"}),
        ({"choices": ["甲", "乙", "丙"], "answer": 2}, {"answer_as": "index_from_0"}),
        ({"choices": ["甲", None, "乙", "丙"], "answer": 3}, {"answer_as": "index_from_0"}),
        ({"options": [{"label": "A", "text": "甲"}, {"label": "B", "text": "乙"}, {"label": "C", "text": "丙"}],
          "answerKey": "C"}, {}),
        ({"choices": {"label": ["A", "B", "C"], "text": ["甲", "乙", "丙"]}, "answer": "C"}, {}),
        ({"options": {"A": "甲", "B": "乙", "C": "丙"}, "answer": "丙", "answer_idx": "C"}, {}),
        ({"题": "x", "可选": ["甲", "乙", "丙"], "对": "丙"},
         {"columns": {"options": "可选", "answer": "对"}, "answer_as": "text"}),
    ],
)  # fmt: skip
def test_any_file_with_a_question_options_and_an_answer(read, record, keys):
    exam, report = read({"mine.jsonl": rows(OWN | record)}, **keys)
    (question,) = exam.questions
    assert question.options == {"A": "甲", "B": "乙", "C": "丙"}
    assert (question.answer, question.subject, question.question) == ("C", "内科", "下列哪项正确")
    assert report["formats"] == {"columns": 1}


ENGLISH = [
    {"question": "Which drug?", "A": "Aspirin", "B": "Heparin", "C": "NA", "D": "None", "answer": "D"},
    {"question": "Which other one?", "A": "Iron", "B": "Zinc", "C": "n/a", "D": "Both", "answer": "A"},
    {"question": "And which here?", "A": "Iron", "B": "Zinc", "C": "", "D": "Both", "answer": "D"},
]


def as_csv(records: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, records[0])
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def test_none_is_an_option_in_whatever_file_it_stands(read):
    by_letter = [read({"a.csv": as_csv(ENGLISH)}), read({"a.jsonl": rows(*ENGLISH)})]
    by_text = [record | {"answer": record[record["answer"]]} for record in ENGLISH]
    told = [read({"a.csv": as_csv(by_text)}), read({"a.jsonl": rows(*by_text)}, answer_as="text")]
    for exam, report in (*by_letter, *told):
        assert report["dropped"] == {}
        first, second, third = exam.questions
        assert first.options == {"A": "Aspirin", "B": "Heparin", "C": "NA", "D": "None"}
        assert (first.answer, second.options["C"], second.answer) == ("D", "n/a", "A")
        assert (third.options, third.answer) == ({"A": "Iron", "B": "Zinc", "C": "Both"}, "C")


@pytest.mark.parametrize("nothing", ["", "None", "nan", "N/A", "null"])
def test_a_word_for_nothing_is_no_answer_where_no_option_is_called_so(read, nothing):
    records = [OWN | {"question": f"第{n}题", "A": "甲", "B": "乙", "answer": "B"} for n in range(3)]
    _exam, report = read({"a.csv": as_csv([*records, records[0] | {"question": "末", "answer": nothing}])})
    assert (report["kept"], report["dropped"]) == (3, {"no_answer": 1})
    with pytest.raises(UserError, match="D158"):
        read({"a.csv": as_csv([record | {"answer": nothing} for record in records])})


def test_numbers_must_say_where_they_begin(read):
    with pytest.raises(UserError, match=r"numbers, such as 2; .*evaluation\.exams\.mine\.answer_as") as error:
        read({"a.jsonl": rows(OWN | {"options": ["甲", "乙", "丙"], "answer": 2})})
    assert error.value.code == "D155"


def test_numbers_that_are_texts_of_options_and_may_be_places_must_say_which(read):
    """How many cranial nerves, how many lobes: 2 may be the second option, or the one that says 2."""
    records = [
        OWN | {"question": f"第{n}题", "A": "3", "B": "4", "C": "2", "D": "1", "answer": str(n)} for n in (1, 2, 3, 4)
    ]
    with pytest.raises(UserError, match=r"such as 1, which are texts of options and may be their places; say which"):
        read({"a.csv": as_csv(records)})
    for told, right in (("text", "DCAB"), ("index_from_1", "ABCD")):
        exam, _report = read({"a.csv": as_csv(records)}, answer_as=told)
        assert "".join(question.answer for question in exam.questions) == right
    # Counted or not, it is the same; and what is no place is a text.
    same = [record | {"A": "1", "B": "2", "C": "3", "D": "4"} for record in records]
    assert [question.answer for question in read({"a.csv": as_csv(same)})[0].questions] == list("ABCD")
    beyond = [record | {"D": "12", "answer": "12"} if n == 3 else record for n, record in enumerate(records)]
    assert "".join(question.answer for question in read({"a.csv": as_csv(beyond)})[0].questions)[:3] == "DCA"


def test_places_of_a_csv_file_that_pandas_wrote(read):
    """A column of numbers with a gap is one of floats, and several places are a text."""
    records = [OWN | {"question": f"第{n}题", "A": "甲", "B": "乙", "C": "丙", "answer": answer}
               for n, answer in enumerate(["1.0", "3.0", "", "1,3"])]  # fmt: skip
    exam, report = read({"a.csv": as_csv(records)}, answer_as="index_from_1")
    assert [question.answer for question in exam.questions] == ["A", "C", "AC"]
    assert report["dropped"] == {"no_answer": 1}


@pytest.mark.parametrize(("said", "answers", "other"), [("index_from_0", (1, 2, 3), 1), ("index_from_1", (0, 1, 2), 0)])
def test_numbers_that_cannot_begin_where_they_are_said_to_are_refused(read, said, answers, other):
    records = [OWN | {"question": f"第{n}题", "options": ["甲", "乙", "丙"], "answer": n} for n in answers]
    with pytest.raises(UserError, match=rf"go from {min(answers)} to {max(answers)}.*say index_from_{other}") as error:
        read({"a.jsonl": "".join(rows(record) for record in records)}, answer_as=said)
    assert error.value.code == "D155"


@pytest.mark.parametrize(
    ("said", "answers", "count", "warned"),
    [
        ("index_from_0", (1, 2, 3, 4), 20, True),
        ("index_from_0", ([1, 3], "2", "4.0"), 21, True),
        ("index_from_0", (1, 2, 3, 4), 19, False),  # may be chance
        ("index_from_0", (0, 1, 2, 3), 20, False),
        ("index_from_1", (1, 2, 3, 4), 20, False),
    ],
)
def test_places_of_which_none_is_the_first_are_told_where_they_may_count_from_1(read, said, answers, count, warned):
    five = {"options": list("甲乙丙丁戊")}
    records = [OWN | five | {"question": f"第{n}题", "answer": answers[n % len(answers)]} for n in range(count)]
    exam, report = read({"a.jsonl": "".join(rows(record) for record in records)}, answer_as=said)
    assert (len(exam.questions), len(exam.warnings)) == (count, warned), "what was said is done"
    assert report["warnings"] == exam.warnings
    for warning in exam.warnings:
        assert warning.startswith("evaluation.exams.mine.answer_as: index_from_0, and none of the ")
        assert "they go from 1 to 4 and may count from 1" in warning


@pytest.mark.parametrize("header", ["question,A,B,answer\n", "标题,,,\nquestion,A,B,answer\n\n"])
def test_a_file_without_rows_says_so(read, header):
    with pytest.raises(UserError, match=r"mine: a\.csv has no rows, only the names of columns") as error:
        read({"a.csv": header})
    assert error.value.code == "D159"


def test_reasons_are_told_in_words(read):
    records = [OWN | {"options": ["甲"], "question": f"第{n}题"} for n in range(8)] + [
        OWN | {"options": ["甲", "乙"], "answer": None}
    ]
    with pytest.raises(UserError, match=r"9 of the 9 rows .* \(no options 8, no answer 1\); see") as error:
        read({"a.jsonl": "".join(rows(record) for record in records)})
    assert error.value.code == "D154"


def test_a_file_that_is_no_exam_says_what_was_looked_for_and_found(read):
    with pytest.raises(UserError) as error:
        read({"a.csv": "title,text\n一,二\n"})
    assert error.value.code == "D151"
    for word in ("cmexam: 'Question'", "cmb: 'exam_type'", "选项", "'title', 'text'", "evaluation.exams.mine.columns"):
        assert word in str(error.value)


def test_a_set_format_that_the_file_has_not_names_the_one_it_has(read):
    with pytest.raises(UserError, match="looks like cmexam") as error:
        read({"a.csv": CMEXAM}, format="cmb")
    assert error.value.code == "D152"
    with pytest.raises(UserError, match="no column '题'") as error:
        read({"a.csv": CMEXAM}, columns={"question": "题"})
    assert error.value.code == "D153"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"question": "  "}, "empty_question"),
        ({"options": ["甲"]}, "no_options"),
        ({"options": None}, "no_options"),
        ({"options": 7}, "unreadable_options"),
        ({"answer": None}, "no_answer"),
        ({"answer": "F"}, "answer_not_an_option"),
        ({"answer": "AF"}, "answer_not_an_option"),
        ({"answer": "见解析"}, "unclear_answer"),
        ({"options": ["甲", "甲", "乙"], "answer": "A"}, "right_and_wrong_option_equal"),
    ],
)
def test_why_rows_are_dropped(read, changed, reason):
    good = [OWN | {"question": f"第{n}题", "options": ["甲", "乙", "丙"], "answer": "B"} for n in range(3)]
    bad = {"question": "坏题", "options": ["甲", "乙", "丙"], "answer": "B"} | changed
    _exam, report = read({"a.jsonl": rows(*good, bad)})
    assert (report["kept"], report["dropped"]) == (3, {reason: 1})


def test_a_broken_line_costs_its_row_alone(read):
    text = rows(*(OWN | {"question": f"第{n}题", "options": ["甲", "乙"], "answer": "B"} for n in range(3)))
    _exam, report = read({"a.jsonl": text + '{"question": "坏\n'})
    assert (report["read"], report["dropped"]) == (4, {"bad_json": 1})


def test_equal_options_that_are_wrong_stay(read):
    _exam, report = read({"a.jsonl": rows(OWN | {"options": ["甲", "甲", "乙"], "answer": "C"})})
    assert (report["kept"], report["with_equal_wrong_options"]) == (1, 1)


def test_what_stands_twice_is_asked_once_and_what_is_answered_in_two_ways_never(read):
    one = OWN | {"options": ["甲", "乙", "丙"], "answer": "C"}
    turned = OWN | {"options": ["丙", "甲", "乙"], "answer": "A"}
    other = {"question": "另一题", "options": ["甲", "乙"], "answer": "A"}
    exam, report = read({"a.jsonl": rows(one, turned, other, other | {"answer": "B"}, {**other, "question": "三"})})
    assert report["dropped"] == {"answered_in_two_ways": 2, "duplicate": 1}
    assert [question.id for question in exam.questions] == ["q000001", "q000005"]


def listed(exam) -> list[tuple]:
    return [(each.listed()["file"], each.listed()["row_of_file"], each.reason, each.detail) for each in exam.rejected]


def test_which_rows_are_dropped_is_listed_with_what_was_read(read):
    good = [{"question": f"第{n}题", "options": ["甲", "乙", "丙"], "answer": "B"} for n in range(8)]
    letters = {"question": "缺一个字母", "options": "A. 甲\nC. 丙\nD. 丁", "answer": "C"}
    more = [
        good[0] | {"question": "没有答案", "answer": None},
        letters,
        good[2] | {"question": "别的字母", "answer": "E"},
        good[0],
    ]
    exam, report = read({"a.jsonl": rows(*good[:4], more[0]), "b.jsonl": rows(*good[4:], *more[1:])})
    assert listed(exam) == [
        ("a.jsonl", 5, "no_answer", ""),
        ("b.jsonl", 5, "unreadable_options", "letters are left out, stand twice or are out of order"),
        ("b.jsonl", 6, "answer_not_an_option", "read as letters; the options are A, B, C"),
        ("b.jsonl", 7, "duplicate", "of q000001"),
    ]
    row = exam.rejected[2].listed()
    assert (row["id"], row["row"], row["question"], row["answer"]) == ("q000011", 11, "别的字母", "E")
    assert json.loads(row["options"]) == ["甲", "乙", "丙"]
    assert exam.rejected[1].listed()["options"] == letters["options"], "a text stays as it was read"
    assert report["rejected"] == {"file": "mine.rejected.parquet", "listed": 4, "most_of_a_reason": MOST}
    assert [row["reason"] for row in report["examples"]] == [each.reason for each in exam.rejected]


def test_options_of_columns_are_listed_by_their_columns_and_a_broken_row_by_its_text(read):
    text = "题干,A,B,答案\n甲是,一,二,A\n乙是,一,,B\n丙是,一,二,A\n丁是,一,二,B\n戊是,一,二,A,多\n"
    exam, _report = read({"a.csv": text})
    first, second = (each.listed() for each in exam.rejected)
    assert (first["row_of_file"], first["reason"], json.loads(first["options"])) == (
        2,
        "no_options",
        {"A": "一", "B": None},
    )
    assert (second["row_of_file"], second["reason"]) == (5, "wrong_field_count")
    assert "戊是" in second["question"]


def test_questions_that_are_answered_in_two_ways_name_each_other(read):
    one = {"question": "同一题", "options": ["甲", "乙"], "answer": "A"}
    others = [{"question": f"第{n}题", "options": ["甲", "乙"], "answer": "A"} for n in range(4)]
    exam, _report = read({"a.jsonl": rows(one, one | {"answer": "B"}, *others)})
    assert [each.detail for each in exam.rejected] == [
        "q000002 has the same question, and 乙 is right",
        "q000001 has the same question, and 甲 is right",
    ]


def test_many_questions_with_one_other_answer_are_compared_in_no_square_of_their_number(read):
    same = {"question": "同一题", "options": ["甲", "乙"], "answer": "A"}
    others = [{"question": f"第{n}题", "options": ["甲", "乙"], "answer": "A"} for n in range(5001)]
    began = time.process_time()
    _exam, report = read({"a.jsonl": rows(*[same] * 5000, same | {"answer": "B"}, *others)})
    assert report["dropped"] == {"answered_in_two_ways": 5001}
    assert time.process_time() - began < 5


def test_halves_of_surrogate_pairs_are_left_out_and_listed_without(read, tmp_path):
    good = [{"question": f"第{n}题", "options": ["甲", "乙"], "answer": "A"} for n in range(4)]
    one = {"question": "胃\ud83d疼？", "options": {"A": "甲\ud83d", "\ud83dB": "乙"}, "answer": "A"}
    every = [*good, one, one | {"question": "二", "answer": "见\ud83d解析"}]
    exam, _report = read({"a.jsonl": "\n".join(map(json.dumps, every))})
    assert exam.questions[-1].question == "胃疼？"
    assert exam.questions[-1].options == {"A": "甲", "B": "乙"}
    write_rejected(tmp_path / "rejected.parquet", exam.rejected)
    (row,) = pq.read_table(tmp_path / "rejected.parquet").to_pylist()
    assert (row["answer"], row["detail"]) == ("见解析", "read as letters; the options are A, B")


def test_the_list_is_bounded_and_the_counts_are_not(read):
    long = [{"question": "长" * 5000, "options": ["甲", "乙"], "answer": None}]
    bad = [{"question": f"坏{n}", "options": ["甲", "乙"], "answer": None} for n in range(MOST + 20)]
    good = [{"question": f"第{n}题", "options": ["甲", "乙"], "answer": "A"} for n in range(2 * MOST)]
    exam, report = read({"a.jsonl": rows(*long, *bad, *good)}, max_questions=900)
    assert report["dropped"] == {"no_answer": MOST + 21, "not_drawn": 2 * MOST - 900}
    assert report["rejected"]["listed"] == 2 * MOST
    assert len(exam.rejected[0].listed()["question"]) == LONGEST + 1
    assert [row["reason"] for row in report["examples"]] == ["no_answer"] * EXAMPLES, (
        "what was not wanted is no example"
    )
    assert max(len(row["question"]) for row in report["examples"]) == SHORT + 1


def test_more_than_half_unusable_stops(read):
    bad = [{"question": f"第{n}题", "options": ["甲", "乙"], "answer": "Z"} for n in range(3)]
    with pytest.raises(UserError, match=r"3 of the 5 rows .*answer not an option 3") as error:
        read({"a.jsonl": rows(*bad, *(row | {"answer": "A"} for row in bad[:2]))})
    assert error.value.code == "D154"


def test_subjects_are_chosen_and_questions_drawn_evenly(read):
    text = rows(
        *(
            {"question": f"{subject}第{n}题", "options": ["甲", "乙"], "answer": "A", "subject": subject}
            for subject, count in (("内科", 60), ("外科", 30), ("儿科", 30))
            for n in range(count)
        )
    )
    exam, report = read({"a.jsonl": text}, max_questions=20)
    assert Counter(q.subject for q in exam.questions) == {"内科": 10, "外科": 5, "儿科": 5}
    assert report["dropped"] == {"not_drawn": 100}
    again, _ = read({"a.jsonl": text}, max_questions=20)
    other, _ = read({"a.jsonl": text}, max_questions=20, seed=7)
    assert again.questions == exam.questions != other.questions
    some, report = read({"a.jsonl": text}, subjects=["儿科"])
    assert (len(some.questions), report["dropped"]) == (30, {"other_subject": 90})
    with pytest.raises(UserError, match="no question is about 骨科; the subjects are 内科") as error:
        read({"a.jsonl": text}, subjects=["骨科"])
    assert error.value.code == "D157"


def test_what_questions_measure_may_be_said(read):
    exam, _ = read({"test/arts.csv": CMMLU}, measures="medicine")
    assert {question.measures for question in exam.questions} == {"medicine"}
    exam, _ = read({"a.jsonl": rows(OWN | {"options": ["甲", "乙"], "answer": "A"})}, measures="general")
    assert exam.questions[0].measures == "general"


def test_another_part_may_be_asked_for(read):
    files = {"dev/anatomy.csv": CMMLU, "test/anatomy.csv": CMMLU.replace("甲", "丙")}
    exam, _ = read(files, split="dev")
    assert exam.questions[0].question == "甲的部分不包括"
    with pytest.raises(UserError, match="no file is called so") as error:
        read(files, split="train")
    assert error.value.code == "D156"


def test_messages_about_files_name_the_keys_of_the_exam(read):
    with pytest.raises(UserError, match=r"evaluation\.exams\.mine\.files\.delimiter"):
        read({"a.csv": "question|a,options|b,answer|c\n一|甲,二|乙,三|丙\n四|丁,五|戊,六|己\n"})


def test_white_space_at_the_ends_of_options_stays_where_the_harness_keeps_it(read):
    text = CMMLU.replace(",一,", ", 一　,")
    exam, _ = read({"test/anatomy.csv": text})
    assert exam.questions[0].options == {"A": " 一　", "B": "二", "C": "三", "D": "四"}
    exam, _ = read({"a.csv": text}, format="columns")
    assert exam.questions[0].options["A"] == "一"
    exam, report = read({"test/anatomy.csv": text.replace(",二,", ", ,").replace(",B\n", ",C\n")})
    assert exam.questions[0].options == {"A": " 一　", "B": "三", "C": "四"}
    assert (exam.questions[0].answer, report["dropped"]) == ("B", {})
    lines = {"Question": "问", "A": "", "B": "", "C": "", "D": "", "all": "A. 甲\nB. 乙", "Answer": "B"}
    exam, _ = read({"test/anatomy.jsonl": rows(lines)}, format="cmmlu", columns={"options": "all"})
    assert exam.questions[0].options == {"A": "甲", "B": "乙"}


def test_gb18030_with_a_title_and_windows_line_ends(read):
    text = CMMLU.replace("\n", "\r\n").encode("gb18030")
    exam, report = read({"test/nutrition.csv": text})
    assert exam.questions[0].question == "甲的部分不包括"
    assert report["files"][0]["encoding"] == "gb18030"
