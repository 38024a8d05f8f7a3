"""What stands in the fields of a file of any format: nothing, values, lists of wordings, parts of a question."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medscale.base.errors import UserError
from small_corpora import FOLLOW_UP, Cleaned, topic, written


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
    with pytest.raises(UserError, match=r"^rows\.jsonl: none of the 4 rows is usable \(later turn 4\)"):
        Cleaned(tmp_path / "b", [later] * 4, "--turns", "first")


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
