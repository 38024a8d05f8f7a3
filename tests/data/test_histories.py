"""Columns of history and system beside a question: used, refused, or left out by name."""

import pytest

from medscale.base.errors import UserError
from small_corpora import DEFAULT, Cleaned, topic


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


HISTORIES = ["高血压病史10年", 3, "2024-05-01 头痛", "患者：头痛", "[高血压]十年", '{"高血压": 10}']
HISTORIES += [["高血压", "糖尿病"], '["高血压", "糖尿病"]', "['高血压', '糖尿病', '冠心病']"]


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
    first = value[0] if isinstance(value, list) else value  # as of any list, see data.lists
    assert Cleaned(tmp_path / "c", records, columns=added).texts()[3][0] == f"{topic(3)[0]}\n{first}"


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
