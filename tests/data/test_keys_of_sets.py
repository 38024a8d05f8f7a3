"""What is said of a file that cannot be read names a key of the set that it belongs to, and setting that key helps."""

import json
import re

import pytest

from medscale.base import settings
from medscale.base.config import resolve
from medscale.base.errors import UserError
from medscale.data.columns import Columns
from medscale.data.corpus import Corpus
from medscale.data.exams.fields import Reading
from medscale.data.exams.reading import read_exam
from medscale.data.general_texts import texts_of
from medscale.data.table_files import FileOptions
from medscale.fetch.manifest import write_manifest

ENTRY = {"source": "file", "path": "a.csv"}
SECTIONS = {
    "evaluation.exams.mine": {"evaluation": {"exams": {"mine": ENTRY}}},
    "evaluation.retention": {"evaluation": {"retention": ENTRY}},
    "study.mix": {"study": {"mix": ENTRY}},
}
NAMES = b"text,options,answer\n"
ABOVE = "甲,乙,丙\n".encode() + NAMES
REFUSED = [
    # The file, its content, what `files` says, the code, and the key that the message names.
    ("a.csv", NAMES + b"\xff\xff,a,b\n", {}, "D108", "encoding"),
    ("a.csv", NAMES + "胃胃,a,b\n".encode("gb18030"), {}, "D136", "encoding"),
    ("a.csv", b"x;y,z;v\n1;2,3;4\n5;6,7;8\n", {}, "D124", "delimiter"),
    ("a.csv", NAMES + '屏幕10\\"的,b,c\n'.encode(), {}, "D125", "quote_escape"),
    ("a.csv", NAMES, {"header": 9}, "D123", "header"),
    ("a.csv", ABOVE, {}, "D123", "header"),
    ("a.csv", b"\n", {}, "D103", "header"),
    ("a.csv", NAMES + b'a,b,"c\na,b,c"\n', {}, "D145", "multiline"),
    ("a.json", b'{"x": [{"text": "a"}], "y": [{"text": "b"}]}', {}, "D127", "rows_key"),
    ("a.json", b'{"x": [{"text": "a"}], "y": [{"text": "b"}]}', {"rows_key": "z"}, "D128", "rows_key"),
]


def read(section: str, folder, name: str, content: bytes, files: dict) -> None:
    """Read a file to its end as the set of a section is read, with what its section `files` says."""
    (folder / name).write_bytes(content)
    manifest = write_manifest(folder, kind="data", source="file", files=[name])
    columns = {"question": "text", "options": "options", "answer": "answer"}
    if "exams" in section:
        read_exam(manifest, Reading.from_json("mine", json.dumps({"columns": columns, "files": files})))
    elif section == "evaluation.retention":
        list(texts_of(manifest, None, "text", options=FileOptions(**files, section=section)))
    else:
        asked = Columns.from_json('{"question": "text", "answer": "answer"}', section=section)
        list(Corpus(manifest, asked, options=FileOptions(**files, section=section)).rows())


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize(("name", "content", "said", "code", "key"), REFUSED)
def test_the_key_of_the_set_is_named(tmp_path, section, name, content, said, code, key):
    with pytest.raises(UserError) as caught:
        read(section, tmp_path, name, content, said)
    assert caught.value.code == code
    assert f"{section}.files.{key}" in caught.value.text
    assert not re.search(r"\bdata\.(encoding|csv\.|json\.|columns)", caught.value.text)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_set_has_the_keys_that_are_named(section):
    config = SECTIONS[section]
    place = config
    for part in section.split("."):
        place = place[part]
    said = {"encoding": "big5", "delimiter": ";", "quote_escape": "double", "header": 2}
    said |= {"multiline": True, "rows_key": "x"}
    place["files"] = said
    resolved = resolve(config)
    told = {
        "evaluation.exams.mine": lambda: settings.exam_settings(resolved, "mine")["files"],
        "evaluation.retention": lambda: settings.retention_settings(resolved)["files"],
        "study.mix": lambda: settings.mix_settings(resolved)["files"],
    }[section]()
    assert told == said
    assert FileOptions(**told, section=section).told() == said | {"department_folder": None}


@pytest.mark.parametrize(
    ("record", "code", "cure"),
    [
        ({"context": "孕妇"}, "D139", "study.mix.columns.question"),
        ({"chat_history": [["问", "答"]]}, "D139", "Call it history in the file"),
        ({"messages": [{}]}, "D139", "Save the file without it"),
        ({"history": "高血压"}, "D140", "under another name than 'history', which study.mix.columns.question"),
        ({"system": "循环系统"}, "D141", "under another name than 'system', which study.mix.columns.question"),
        ({"answer": None, "messages": []}, "D110", "study.mix.columns: "),
    ],
)
def test_columns_of_general_rows_have_the_keys_that_are_named(tmp_path, record, code, cure):
    row = {name: value for name, value in ({"text": "问", "answer": "答"} | record).items() if value is not None}
    with pytest.raises(UserError) as caught:
        read("study.mix", tmp_path, "a.jsonl", (json.dumps(row) + "\n").encode() * 3, {})
    assert caught.value.code == code
    assert cure in caught.value.text
    assert not re.search(r"\bdata\.(columns|layout|ignore)", caught.value.text)


TITLES = ["", "内科试题,,\n题号,,\n", "内科试题\n", "\n标题,,,,\n\n", "# 导出于 2024 年\n"]
OWN = {"question": "题", "options": ["甲", "乙"], "answer": "答"}


def exam_of(folder, text: str, **entry):
    (folder / "a.csv").write_text(text, encoding="utf-8")
    manifest = write_manifest(folder, kind="data", source="file", files=["a.csv"])
    return read_exam(manifest, Reading.from_json("mine", json.dumps(entry))).questions


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize(
    ("header", "entry"),
    [
        ("question,A,B,answer", {}),
        ("题干,选项A,选项B,答案", {}),
        ("题干,选项A,选项B,答案", {"columns": {"question": "题干"}}),
        ("题,甲,乙,答", {"columns": OWN}),
        ("题,甲,乙,答案", {"columns": {"question": "题", "options": ["甲", "乙"]}}),
        ("question,A,B,answer", {"format": "columns"}),
        ("question;A;B;answer", {}),
    ],
)
def test_the_header_of_an_exam_is_found_below_a_title_as_that_of_a_corpus(tmp_path, title, header, entry):
    row = "头痛吗,是,否,A\n".replace(",", ";" if ";" in header else ",")
    (question,) = exam_of(tmp_path, f"{title}{header}\n{row}", **entry)
    assert (question.question, list(question.options.values()), question.answer) == ("头痛吗", ["是", "否"], "A")


def test_the_columns_below_a_title_are_told_where_a_named_one_is_not_among_them(tmp_path):
    with pytest.raises(UserError, match=r"no column '题'; its columns are 'question', 'A', 'B', 'answer'") as caught:
        exam_of(tmp_path, "内科试题,,,\nquestion,A,B,answer\n头痛吗,是,否,A\n", columns={"question": "题"})
    assert caught.value.code == "D153"


def test_a_header_that_nothing_tells_is_named(tmp_path):
    text = "内科试题,,,\n问,第一,第二,对\n头痛吗,是,否,第一\n"
    with pytest.raises(UserError, match=r"evaluation\.exams\.mine\.files\.header") as caught:
        exam_of(tmp_path, text)
    assert caught.value.code == "D151"


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("header", ["instruction,input,output", "instruction,output", "input,output"])
def test_general_rows_below_a_title_are_read_by_the_columns_of_their_layout(tmp_path, title, header):
    values = {"instruction": "头痛怎么办", "input": "", "output": "休息"}
    if "instruction" not in header:
        values["input"] = values["instruction"]
    row = ",".join(values[name] for name in header.split(","))
    (tmp_path / "a.csv").write_text(f"{title}{header}\n{row}\n", encoding="utf-8")
    manifest = write_manifest(tmp_path, kind="data", source="file", files=["a.csv"])
    columns = Columns.from_json('{"question": ["instruction", "input"], "answer": "output"}', section="study.mix")
    (found,) = Corpus(manifest, columns, options=FileOptions(section="study.mix")).rows()
    assert ("".join(filter(None, found.question)), found.answer) == ("头痛怎么办", "休息")


def test_a_file_whose_name_looks_like_a_key_keeps_its_name(tmp_path):
    with pytest.raises(UserError, match=r"data\.csv\.old\.csv: neither UTF-8"):
        read("evaluation.exams.mine", tmp_path, "data.csv.old.csv", NAMES + b"\xff\xff,a,b\n", {})
