"""Reading raw files: encodings, formats, columns, and rows that are broken."""

import csv
import io
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.data import table_files
from medscale.data.corpus import Columns, Corpus, RawRow
from medscale.data.text_encoding import detect_encoding
from medscale.fetch.manifest import write_manifest

REPRODUCIBLE = settings(deadline=None, derandomize=True)
COLUMNS = Columns(("title", "ask"), "answer", "department")
ROWS = [
    {
        "department": "心血管科",
        "title": "高血压能吃党参吗？",
        "ask": "我有高血压，\n想吃党参。",
        "answer": '可以，"适量"。',
    },
    {"department": "消化科", "title": "胃疼", "ask": "", "answer": "建议做胃镜，清淡饮食"},
]


def corpus(folder: Path, columns: Columns = COLUMNS, **files: bytes) -> Corpus:
    """Write files, named by keywords with the dot as two underscores, and open them by their manifest."""
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return Corpus(write_manifest(folder, kind="data", source="file"), columns)


def as_csv(rows: list[dict], encoding: str = "utf-8") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def as_jsonl(rows: list[dict], encoding: str = "utf-8") -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode(encoding)


def as_json(rows: list[dict], encoding: str = "utf-8") -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode(encoding)


def as_parquet(rows: list[dict]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


def values(rows: list[RawRow]) -> list[tuple]:
    return [(row.question, row.answer, row.department) for row in rows]


EXPECTED = [((row["title"], row["ask"]), row["answer"], row["department"]) for row in ROWS]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize(("name", "write"), [("a__csv", as_csv), ("a__jsonl", as_jsonl), ("a__json", as_json)])
def test_every_text_format_in_every_encoding_gives_the_same_rows(tmp_path, name, write, encoding):
    opened = corpus(tmp_path, **{name: write(ROWS, encoding)})
    rows = list(opened.rows())
    assert values(rows) == EXPECTED
    assert [row.id for row in rows] == ["r0000001", "r0000002"]
    assert opened.files[0]["encoding"] == encoding
    assert opened.files[0]["rows"] == 2


def test_parquet_gives_the_same_rows(tmp_path):
    assert values(list(corpus(tmp_path, a__parquet=as_parquet(ROWS)).rows())) == EXPECTED


def test_json_lines_under_the_name_json_are_understood(tmp_path):
    opened = corpus(tmp_path, a__json=as_jsonl(ROWS))
    assert values(list(opened.rows())) == EXPECTED
    assert opened.files[0]["format"] == "jsonl"


def test_tab_separated_values(tmp_path):
    content = as_csv([ROWS[1]]).replace(b",", b"\t")
    assert values(list(corpus(tmp_path, a__tsv=content).rows())) == EXPECTED[1:]


@REPRODUCIBLE
@given(rows=st.lists(st.fixed_dictionaries({name: st.text() for name in ("title", "ask", "answer")}), min_size=1))
def test_any_text_comes_through_every_format_unchanged(rows):
    text_columns = Columns(("title", "ask"), "answer")
    expected = [((row["title"], row["ask"]), row["answer"], None) for row in rows]
    # The csv module ends an unquoted line at a lone carriage return and may not escape it; JSON and Parquet may.
    for name, write in (("a__jsonl", as_jsonl), ("a__json", as_json), ("a__parquet", as_parquet)):
        with tempfile.TemporaryDirectory() as folder:
            assert values(list(corpus(Path(folder), text_columns, **{name: write(rows)}).rows())) == expected


@REPRODUCIBLE
@given(
    rows=st.lists(
        st.fixed_dictionaries({name: st.text("血压高，,\"'\n\r \t1a<") for name in ("title", "ask", "answer")}),
        min_size=1,
    )
)
def test_any_text_comes_through_csv_unchanged(rows):
    with tempfile.TemporaryDirectory() as folder:
        read = values(list(corpus(Path(folder), Columns(("title", "ask"), "answer"), a__csv=as_csv(rows)).rows()))
    assert read == [((row["title"], row["ask"]), row["answer"], None) for row in rows]


def test_a_large_json_array_is_read_across_the_blocks_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "_BLOCK", 7)
    rows = [{"title": "问" * size, "ask": "", "answer": "答"} for size in range(40)]
    read = corpus(tmp_path, Columns(("title",), "answer"), a__json=as_json([*rows, 12345678901234567890])).rows()
    read = list(read)
    assert [row.question for row in read[:40]] == [(row["title"],) for row in rows]
    assert read[40].broken.text == "12345678901234567890"


def test_gb18030_with_four_byte_characters(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("问题,答案\n㐀𠀀怎么办,多休息\n".encode("gb18030"))
    assert detect_encoding(path) == "gb18030"


def test_characters_cut_by_the_end_of_a_block_do_not_disturb(tmp_path, monkeypatch):
    monkeypatch.setattr("medscale.data.text_encoding._CHUNK", 5)
    path = tmp_path / "a.csv"
    for encoding in ("utf-8", "gb18030"):
        path.write_bytes("高血压患者的饮食𠀀".encode(encoding))
        assert detect_encoding(path) == encoding


def test_a_damaged_utf8_file_is_refused_and_not_read_as_gb18030(tmp_path):
    content = bytearray(as_csv(ROWS * 20))
    place = content.index("胃镜".encode()) + 1
    content[place] = 0xE8
    with pytest.raises(UserError, match=rf"a\.csv: damaged UTF-8 at byte {place - 1} \(line 4\)"):
        list(corpus(tmp_path, a__csv=bytes(content)).rows())


def test_a_file_in_neither_encoding_names_both_places(tmp_path):
    content = "甲,乙\n一,二\n".encode("gb18030") + b"\xff\xff,x\n"
    with pytest.raises(
        UserError, match=r"neither UTF-8 \(fails at byte 0, line 1\) nor GB18030 \(fails at byte 12, line 3\)"
    ):
        list(corpus(tmp_path, Columns(("甲",), "乙"), a__csv=content).rows())


@pytest.mark.parametrize(("name", "write"), [("a__csv", as_csv), ("a__jsonl", as_jsonl), ("a__parquet", as_parquet)])
def test_a_missing_column_lists_the_columns_found(tmp_path, name, write):
    with pytest.raises(UserError, match="no column 'question'; its columns are 'department', 'title', 'ask', 'answer'"):
        list(corpus(tmp_path, Columns(("question",), "answer"), **{name: write(ROWS)}).rows())


def test_broken_json_lines_are_handed_on_with_their_text(tmp_path):
    good = as_jsonl(ROWS).splitlines()
    lines = [good[0], b'{"title": "cut', b"", b"[1, 2]", b"[" * 100_000, good[1]]
    rows = list(corpus(tmp_path, a__jsonl=b"\n".join(lines)).rows())
    assert [row.broken.reason if row.broken else None for row in rows] == [
        None,
        "bad_json",
        "bad_json",
        "bad_json",
        None,
    ]
    assert rows[1].broken.text == '{"title": "cut'
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]


def test_keys_that_a_json_line_lacks_are_null(tmp_path):
    rows = list(corpus(tmp_path, a__jsonl=as_jsonl([*ROWS, {"title": "只有标题"}])).rows())
    assert values(rows)[2] == (("只有标题", None), None, None)


def test_a_broken_json_array_is_an_error_that_counts_the_elements(tmp_path):
    with pytest.raises(UserError, match="broken JSON after 2 elements"):
        list(corpus(tmp_path, a__json=as_json(ROWS)[:-2] + b", {").rows())


def test_csv_rows_with_a_wrong_number_of_fields_are_handed_on(tmp_path):
    content = as_csv(ROWS) + "内科,只有两个\n内科,一,二,三,四\n\n内科,标题,描述,答案\n".encode()
    rows = list(corpus(tmp_path, a__csv=content).rows())
    assert [row.broken.reason if row.broken else None for row in rows] == [
        *[None, None, "wrong_field_count", "wrong_field_count", None]
    ]
    assert rows[2].broken.text == "内科,只有两个"
    assert rows[3].broken.detail == "5 fields where the header has 4"


def test_a_quote_that_is_never_closed_costs_one_row_and_not_the_rest_of_the_file(tmp_path):
    lines = ["department,title,ask,answer", '内科,"没有结束,描述,答案']
    lines += [f'内科,标题{number},"描述,有逗号",答案' for number in range(2000)]
    rows = list(corpus(tmp_path, a__csv="\n".join(lines).encode()).rows())
    assert len(rows) == 2001
    assert rows[0].broken.text == lines[1]
    assert [row.question[0] for row in rows[1:]] == [f"标题{number}" for number in range(2000)]


def test_a_stray_quote_inside_a_field_is_harmless(tmp_path):
    rows = list(corpus(tmp_path, a__csv='department,title,ask,answer\n内科,"甲"亢,描述,用"药"吗\n'.encode()).rows())
    assert values(rows) == [(("甲亢", "描述"), '用"药"吗', "内科")]


def test_several_files_are_one_corpus_and_other_files_are_named(tmp_path):
    opened = corpus(tmp_path, a__csv=as_csv(ROWS), b__jsonl=as_jsonl(ROWS), LICENSE=b"MIT", readme__md=b"text")
    assert [row.number for row in opened.rows()] == [1, 2, 3, 4]
    assert opened.skipped == ["LICENSE", "readme.md"]
    assert [file["rows"] for file in opened.files] == [2, 2]


def test_a_limit_stops_the_reading(tmp_path):
    opened = corpus(tmp_path, a__csv=as_csv(ROWS), b__jsonl=as_jsonl(ROWS))
    assert [row.number for row in opened.rows(limit=3)] == [1, 2, 3]
    assert [file["rows"] for file in opened.files] == [2, 1]


def test_a_file_that_is_not_the_one_of_the_manifest_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(as_csv(ROWS))
    manifest = write_manifest(tmp_path, kind="data", source="file")
    (tmp_path / "a.csv").write_bytes(as_csv(ROWS).replace("胃疼".encode(), "头疼".encode()))
    with pytest.raises(UserError, match=r"a\.csv: its sha256"):
        Corpus(manifest, COLUMNS)


def test_a_folder_without_data_files_is_an_error(tmp_path):
    with pytest.raises(UserError, match="lists no data file"):
        corpus(tmp_path, readme__md=b"text")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "data.columns: not JSON"),
        ('["title"]', "data.columns: must be a map"),
        ('{"question": [], "answer": "a"}', "data.columns.question"),
        ('{"question": [1], "answer": "a"}', "data.columns.question"),
        ('{"question": "q"}', "data.columns.answer"),
        ('{"question": "q", "answer": "a", "department": 3}', "data.columns.department"),
        ('{"question": "q", "answer": "a", "system": "s"}', "data.columns: must be a map"),
    ],
)
def test_a_wrong_mapping_is_named(text, message):
    with pytest.raises(UserError, match=message):
        Columns.from_json(text)


def test_a_question_may_be_one_column_without_a_list():
    assert Columns.from_json('{"question": "q", "answer": "a"}') == Columns(("q",), "a", None)
