"""Reading raw files: encodings, formats, columns, and rows that are broken."""

import codecs
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
from medscale.data.columns import Columns
from medscale.data.corpus import Corpus
from medscale.data.files import arrow_rows, json_text
from medscale.data.raw_rows import RawRow, row_id
from medscale.data.table_files import Broken, FileOptions, TableFile, open_table
from medscale.data.text_encoding import detect_encoding
from medscale.fetch.manifest import content_of, read_manifest, write_manifest

REPRODUCIBLE = settings(derandomize=True)
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


def corpus(folder: Path, columns: Columns = COLUMNS, content: str | None = None, **files: bytes) -> Corpus:
    """Write files, named by keywords with the dot as two underscores, and open them by their manifest."""
    for name, data in files.items():
        (folder / name.replace("__", ".")).write_bytes(data)
    return Corpus(write_manifest(folder, kind="data", source="huggingface"), columns, content)


def table(folder: Path, name: str, content: bytes | str, wanted: tuple[str, ...] = ()) -> tuple[TableFile, list]:
    """Open one file, and read its rows."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    opened = open_table(folder / name, wanted)
    return opened, list(opened.records)


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
    assert [row.broken for row in rows] == [None, None]
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
    rows[0]["answer"] += "病"  # a text without any Chinese may be told from GB18030 or not, see TestEncoding
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
    monkeypatch.setattr(json_text, "BLOCK", 7)
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
    with pytest.raises(UserError, match="cut JSON after 2 rows"):
        list(corpus(tmp_path, a__json=as_json(ROWS)[:-2] + b", {").rows())


def test_csv_rows_with_a_wrong_number_of_fields_are_handed_on(tmp_path):
    content = as_csv(ROWS) + "内科,只有两个\n内科,一,二,三,四\n\n内科,标题,描述,答案\n".encode()
    rows = list(corpus(tmp_path, a__csv=content).rows())
    assert [row.broken.reason if row.broken else None for row in rows] == [
        *[None, None, "wrong_field_count", "wrong_field_count", None]
    ]
    assert rows[2].broken.text == "内科,只有两个"
    assert rows[3].broken.detail == "line 6: 5 fields where the header has 4"


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


def test_all_files_that_were_chosen_are_one_corpus_whatever_their_names(tmp_path):
    """As of a hub, where data.file may name a file as it is; the others were passed over when it was fetched."""
    named = {"b10__dat": as_jsonl(ROWS), "b2": as_jsonl(ROWS[:1]), "README_qa": as_jsonl(ROWS)}
    opened = corpus(tmp_path, a__csv=as_csv(ROWS), **named)
    assert [row.number for row in opened.rows()] == [1, 2, 3, 4, 5, 6, 7]
    assert opened.skipped == []
    assert [(file["path"], file["rows"]) for file in opened.files] == [
        *[("README_qa", 2), ("a.csv", 2), ("b2", 1), ("b10.dat", 2)]
    ]


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
        corpus(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "data.columns: not JSON"),
        ('["title"]', "data.columns: must be a map"),
        ('{"question": [], "answer": "a"}', "data.columns.question"),
        ('{"question": [1], "answer": "a"}', "data.columns.question"),
        ('{"question": "q"}', "data.columns.answer"),
        ('{"question": "q", "answer": "a", "department": 3}', "data.columns.department"),
        ('{"question": "q", "answer": "a", "speaker": "s"}', "data.columns: must be a map"),
        ('{"question": "q", "answer": "a", "history": ["h"]}', "data.columns.history: must be a column's name or null"),
    ],
)
def test_a_wrong_mapping_is_named(text, message):
    with pytest.raises(UserError, match=message):
        Columns.from_json(text)


def test_a_question_may_be_one_column_without_a_list():
    assert Columns.from_json('{"question": "q", "answer": "a"}') == Columns(("q",), "a", None)


def test_a_mapping_with_everything_in_it():
    columns = Columns.from_json('{"question": ["title", "ask"], "answer": "a", "department": "d"}')
    assert columns == Columns(("title", "ask"), "a", "d")
    assert columns.names == ("title", "ask", "a", "d")
    assert Columns.from_json('{"question": "q", "answer": "a", "department": null}').names == ("q", "a")


def test_a_row_has_its_number_in_its_name():
    assert [row_id(1), row_id(1234567), row_id(12345678)] == ["r0000001", "r1234567", "r12345678"]
    assert RawRow(7, (), None, None).id == "r0000007"
    assert RawRow(7, (), None, None).broken is None


def test_a_corpus_of_other_content_than_asked_for_is_refused(tmp_path):
    corpus(tmp_path, a__csv=as_csv(ROWS))
    content = content_of(read_manifest(tmp_path / "manifest.json"))
    assert len(list(corpus(tmp_path, content=content).rows())) == 2
    with pytest.raises(UserError, match="another data"):
        corpus(tmp_path, content=content, a__csv=as_csv(ROWS[:1]))


COMMA = {"delimiter": "comma", "quote_escape": "double", "header": 1}
PLAIN = {"compression": None, "notes": [], "rows": 2}


def test_the_ending_counts_in_capitals_too(tmp_path):
    opened = corpus(tmp_path, A__CSV=as_csv(ROWS), B__JSON=as_json(ROWS), C__PARQUET=as_parquet(ROWS))
    assert opened.files == opened.skipped == []
    assert values(list(opened.rows())) == EXPECTED * 3
    assert opened.files == [
        {"path": "A.CSV", "format": "csv", "encoding": "utf-8", "dialect": COMMA, **PLAIN},
        {"path": "B.JSON", "format": "json", "encoding": "utf-8", "dialect": {"layout": "a list of rows"}, **PLAIN},
        {"path": "C.PARQUET", "format": "parquet", "encoding": None, "dialect": {}, **PLAIN},
    ]


@pytest.mark.parametrize(("limit", "rows"), [(0, []), (1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 2][:2])])
def test_a_limit_leaves_later_files_closed(tmp_path, limit, rows):
    opened = corpus(tmp_path, a__csv=as_csv(ROWS), b__jsonl=as_jsonl(ROWS))
    assert [row.number for row in opened.rows(limit)] == list(range(1, sum(rows) + 1))
    assert [file["rows"] for file in opened.files] == rows


def test_a_broken_row_holds_nothing_but_why(tmp_path):
    (row,) = corpus(tmp_path, Columns(("title",), "answer"), a__csv=b"title,answer\na\n").rows()
    assert row == RawRow(1, (), None, None, Broken("wrong_field_count", "line 2: 1 fields where the header has 2", "a"))


class TestJson:
    def test_columns_are_those_of_the_first_hundred_rows_in_their_order(self, tmp_path):
        lines = [{"b": 1, "a": 2}, *[{"a": 3}] * 98, {"c": 4, "a": 5}, {"d": 6}]
        opened, rows = table(tmp_path, "a.ndjson", as_jsonl(lines))
        assert (opened.path, opened.format, opened.encoding) == (tmp_path / "a.ndjson", "jsonl", "utf-8")
        assert opened.columns == ["b", "a", "c"]
        assert rows == lines

    def test_what_is_wrong_with_a_line_is_told(self, tmp_path):
        _, rows = table(tmp_path, "a.jsonl", '{"a": 1}\n \n{"a" 2}\n[3]\n"X"\n')
        assert rows == [
            {"a": 1},
            Broken("bad_json", "line 3: Expecting ':' delimiter, at column 6", '{"a" 2}'),
            Broken("bad_json", "line 4: not an object", "[3]"),
            Broken("bad_json", "line 5: not an object", '"X"'),
        ]

    def test_a_carriage_return_between_tokens_is_white_space(self, tmp_path):
        assert table(tmp_path, "a.jsonl", '{"a":\r1}\r\n{"a": 2}')[1] == [{"a": 1}, {"a": 2}]

    def test_an_array_may_begin_after_white_space_and_hold_other_things(self, tmp_path):
        opened, rows = table(tmp_path, "a.json", ' \r\n\t[ {"a": [1, {}]} ,\t3, "X,X" ,null\n,{"b": "]"}\r\n] ')
        assert opened.columns == ["a", "b"]
        assert rows == [
            {"a": [1, {}]},
            *[Broken("bad_json", "line 2: not an object", text) for text in ("3", '"X,X"', "null")],
            {"b": "]"},
        ]

    @pytest.mark.parametrize(
        ("text", "elements", "problem"),
        [
            ('[{"a": 1},\n {"b"', 1, "line 2: the file ends in the middle of a value"),
            ('[{"a": 1},\n{"b" 2},\n{"c": 3}]', 1, "line 2: Expecting ':' delimiter"),
            ('[{"a": 1} {"b": 2}]', 1, "line 1: no comma or bracket after an element"),
            ('[{"a": 1}\n', 1, "line 2: the file ends in the middle of a value"),
            ('[{"a": 1},', 1, "line 1: the file ends in the middle of a value"),
            ('[{"a": "x', 0, "line 1: the file ends in the middle of a value"),
            ("[", 0, "line 1: the file ends in the middle of a value"),
            ('[{"a": 1}, x]', 1, "line 1: Expecting value"),
            ('[{"a": 1}]\n}', 1, "line 2: expected '\\[', found '}'"),
        ],
    )
    @pytest.mark.parametrize("block", [3, 1 << 20])
    def test_a_broken_array_counts_its_whole_elements(self, tmp_path, monkeypatch, text, elements, problem, block):
        monkeypatch.setattr(json_text, "BLOCK", block)
        with pytest.raises(UserError, match=rf"a\.json: (cut|broken) JSON after {elements} rows \({problem}"):
            table(tmp_path, "a.json", text)

    @pytest.mark.parametrize(
        ("name", "text"), [("a.json", "[1, 2]"), ("a.jsonl", "1\n"), ("a.jsonl", ""), ("a.json", "[]")]
    )
    def test_a_file_without_an_object_is_refused(self, tmp_path, name, text):
        with pytest.raises(UserError, match="no JSON object in the first 100 rows"):
            table(tmp_path, name, text)


class TestCsv:
    def test_the_header_is_stripped_and_blank_lines_are_no_rows(self, tmp_path):
        opened, rows = table(tmp_path, "a.csv", "\r\n a ,b\t\r\n\r\n 1 ,2\r\n\r\n")
        assert (opened.path, opened.format, opened.encoding) == (tmp_path / "a.csv", "csv", "utf-8")
        assert opened.columns == ["a", "b"]
        assert rows == [{"a": " 1 ", "b": "2"}]

    @pytest.mark.parametrize("text", ["", "\n\n"])
    def test_a_file_without_a_header_is_refused(self, tmp_path, text):
        with pytest.raises(UserError, match=r"a\.csv: no header line"):
            table(tmp_path, "a.csv", text)

    def test_a_header_that_names_columns_twice_is_refused(self, tmp_path):
        with pytest.raises(UserError, match="the header names 'a', 'b' more than once"):
            table(tmp_path, "a.csv", "b,a,c, a,b,c\n1,2,3,4,5,6\n", wanted=("a", "b"))

    def test_line_ends_inside_quotes_stay_as_they_are(self, tmp_path):
        assert table(tmp_path, "a.csv", 'a,b\r\n"1\r\n2\n3\r4",5\r\n')[1] == [{"a": "1\r\n2\n3\r4", "b": "5"}]

    def test_the_text_of_a_broken_row_is_all_of_it_but_its_line_end(self, tmp_path):
        _, rows = table(tmp_path, "a.csv", 'a,b\r\n"1\r\n2",3,X \t\r\nrnX\n4,5')
        assert rows == [
            Broken("wrong_field_count", "line 2: 3 fields where the header has 2", '"1\r\n2",3,X \t'),
            Broken("wrong_field_count", "line 4: 1 fields where the header has 2", "rnX"),
            {"a": "4", "b": "5"},
        ]

    def test_several_quotes_that_are_never_closed_cost_a_row_each(self, tmp_path):
        lines = ["1,2", '"3,4', "5,6", '7,"8', '"9,10', '11,"12"', "13,14"]
        _, rows = table(tmp_path, "a.csv", "a,b\n" + "\n".join(lines))
        assert [row if isinstance(row, Broken) else tuple(row.values()) for row in rows] == [
            ("1", "2"),
            Broken("bad_csv", "line 3: ',' expected after '\"'", '"3,4'),
            ("5", "6"),
            Broken("bad_csv", "line 5: ',' expected after '\"'", '7,"8'),
            Broken("bad_csv", "line 6: ',' expected after '\"'", '"9,10'),
            ("11", "12"),
            ("13", "14"),
        ]

    def test_a_stray_quote_in_tab_separated_values_is_harmless(self, tmp_path):
        assert table(tmp_path, "a.tsv", 'a\tb\n"甲"亢,\t"乙"肝\n')[1] == [{"a": "甲亢,", "b": "乙肝"}]

    def test_a_field_of_any_length_is_one_field(self, tmp_path):
        long = "药,\n" * 100_000
        _, rows = table(tmp_path, "a.csv", f'a,b\n1,"{long}"\n2,3\n')
        assert rows == [{"a": "1", "b": long}, {"a": "2", "b": "3"}]


def parquet_with_bad_text(values: list[bytes], **columns: list) -> bytes:
    """Parquet does not check that its texts are UTF-8."""
    sink = io.BytesIO()
    text = pa.array(values, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"a": text} | columns), sink, compression="none", use_dictionary=False)
    return sink.getvalue()


class TestParquet:
    def test_only_wanted_columns_are_read_and_all_are_named(self, tmp_path):
        content = as_parquet([{"a": 1, "b": "x", "c": [2]}, {"a": None, "b": "y", "c": []}])
        opened, rows = table(tmp_path, "a.parquet", content, wanted=("c", "a", "d"))
        assert (opened.path, opened.format, opened.encoding) == (tmp_path / "a.parquet", "parquet", None)
        assert opened.columns == ["a", "b", "c"]
        assert rows == [{"a": 1, "c": [2]}, {"a": None, "c": []}]

    def test_a_text_that_is_no_utf8_costs_one_row(self, tmp_path):
        content = parquet_with_bad_text(["甲".encode(), b"\xe4\xb9X\xff", "丙".encode()], b=[1, 2, 3])
        good, broken, last = table(tmp_path, "a.parquet", content, wanted=("a", "b"))[1]
        assert (good, last) == ({"a": "甲", "b": 1}, {"a": "丙", "b": 3})
        assert (broken.reason, broken.text) == ("bad_text", r"\xe4\xb9X\xff")
        assert "position 0" in broken.detail

    def test_more_rows_than_a_batch_come_in_order(self, tmp_path, monkeypatch):
        monkeypatch.setattr(arrow_rows, "BATCH", 3)
        rows = [{"a": number} for number in range(10)]
        assert table(tmp_path, "a.parquet", as_parquet(rows), wanted=("a",))[1] == rows

    def test_a_file_that_is_none_is_refused(self, tmp_path):
        with pytest.raises(UserError, match=r"a\.parquet: not a Parquet file"):
            table(tmp_path, "a.parquet", b"PAR1 and no more")

    def test_a_file_that_is_damaged_inside_is_refused(self, tmp_path):
        content = bytearray(as_parquet([{"a": f"text {number}"} for number in range(100)]))
        content[4:200] = bytes(196)
        with pytest.raises(UserError, match=r"a\.parquet: damaged inside"):
            table(tmp_path, "a.parquet", bytes(content), wanted=("a",))


def test_a_file_of_unknown_format_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"a\.xlsx: unknown format; a spreadsheet; save each sheet as CSV"):
        table(tmp_path, "a.xlsx", b"")


class TestEncoding:
    def found(self, folder: Path, content: bytes) -> str:
        (folder / "a.csv").write_bytes(content)
        return detect_encoding(folder / "a.csv")

    @pytest.mark.parametrize(
        ("content", "encoding"),
        [
            (b"", "utf-8"),
            (b"\xef\xbb\xbf", "utf-8-sig"),
            ("\ufeff甲,乙".encode(), "utf-8-sig"),
            ("甲\ufeff乙".encode(), "utf-8"),
            ("甲".encode("gb18030"), "gb18030"),
            # Mostly Latin, as a table of drugs may be.
            (b"aspirin,ibuprofen,paracetamol\n" * 20 + "病".encode("gb18030"), "gb18030"),
            (b"~\x7f{}\n" * 40 + "病".encode("gb18030"), "gb18030"),
            # Ten characters that happen to be UTF-8 are not enough to call a file damaged, eleven are (below).
            ("中".encode() * 10 + b"\xe8abc", "gb18030"),
        ],
    )
    def test_is(self, tmp_path, content, encoding):
        assert self.found(tmp_path, content) == encoding

    @pytest.mark.parametrize("chunk", [5, 8, 1 << 20])
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("中".encode() * 11 + b"\xe8abc", "damaged UTF-8 at byte 33 (line 1)"),
            ("病\n".encode() * 200 + b"\xe8\x8d\n" + "病\n".encode() * 200, "damaged UTF-8 at byte 800 (line 201)"),
            (b"\n" + "病".encode() * 300 + b"\xff\xff\n", "damaged UTF-8 at byte 901 (line 2)"),
            (b"\n\xff\xff\n", "neither UTF-8 (fails at byte 1, line 2) nor GB18030 (fails at byte 1, line 2)"),
            (
                b"a\n\nb" + "病\n".encode("gb18030") * 6 + b"x\n\xff\xff\n",
                "neither UTF-8 (fails at byte 4, line 3) nor GB18030 (fails at byte 24, line 10)",
            ),
            (
                "病".encode("gb18030") + b"\n\xb0",
                "neither UTF-8 (fails at byte 0, line 1) nor GB18030 (fails at byte 3, line 2)",
            ),
        ],
    )
    def test_the_place_of_the_damage_is_told(self, tmp_path, monkeypatch, content, message, chunk):
        monkeypatch.setattr("medscale.data.text_encoding._CHUNK", max(chunk, 600 if "damaged" in message else 0))
        with pytest.raises(UserError) as caught:
            self.found(tmp_path, content)
        assert f"a.csv: {message}" in str(caught.value)

    def test_only_the_text_around_the_damage_is_looked_at(self, tmp_path, monkeypatch):
        monkeypatch.setattr("medscale.data.text_encoding._CHUNK", 100)
        good, other = "病".encode() * 16, "病".encode("gb18030") * 200
        # Sixteen good characters before the damage, fifty bad bytes after it.
        assert self.found(tmp_path, b"x" * 1000 + good + other) == "gb18030"
        with pytest.raises(UserError, match="damaged UTF-8 at byte 1048"):
            self.found(tmp_path, b"x" * 1000 + good + b"\xff" + b"y" * 200 + other)

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le-mark", "utf-16-be-mark", "utf-32"])
    def test_a_byte_order_mark_decides(self, tmp_path, encoding):
        marks = {
            "utf-16-le-mark": (codecs.BOM_UTF16_LE, "utf-16-le"),
            "utf-16-be-mark": (codecs.BOM_UTF16_BE, "utf-16-be"),
        }
        mark, codec = marks.get(encoding, (b"", encoding))
        opened, rows = table(tmp_path, "a.csv", mark + "问,答\n甲,乙\n".encode(codec), ("问",))
        assert (opened.encoding, rows) == (encoding[:6], [{"问": "甲", "答": "乙"}])

    def test_a_mark_that_lies_is_named(self, tmp_path):
        with pytest.raises(UserError, match=r"a\.csv: is no UTF-16 at byte 8"):
            self.found(tmp_path, "甲,乙".encode("utf-16") + b"\x0a")
        with pytest.raises(UserError, match=r"a\.csv: damaged UTF-8 at byte 5 \(line 1\)"):
            self.found(tmp_path, b"\xef\xbb\xbfa,\xff\xff\n")

    @pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
    def test_utf16_without_a_mark_is_named(self, tmp_path, codec):
        with pytest.raises(UserError, match=r"a\.csv: .* bytes are zero, every other one, as in UTF-16 without"):
            self.found(tmp_path, "question,answer\n头疼,休息\n".encode(codec))

    @pytest.mark.parametrize("text", ["模", "question,answer\n头痛,模\n", "a,b\n" * 300_000 + "头痛,模\n"])
    def test_chinese_that_is_utf8_by_chance_is_gb18030(self, tmp_path, text):
        content = text.encode("gb18030")
        content.decode("utf-8")  # it is both
        assert self.found(tmp_path, content) == "gb18030"

    @pytest.mark.parametrize("text", ["37.5°C, ±5 µg\n", "α受体,β受体", "café, naïve", "头痛 ģ", "élève"])
    def test_letters_of_other_scripts_are_utf8(self, tmp_path, text):
        assert self.found(tmp_path, text.encode()) == "utf-8"

    def test_what_could_be_both_is_refused_with_both_and_the_configuration_decides(self, tmp_path):
        content = "question,answer\n胃胃,多休息\n".replace("多休息", "x").encode("gb18030")
        with pytest.raises(
            UserError, match=r"may be UTF-8 \(«θθ»\) or GB18030 \(«胃胃»\); say which in data\.encoding"
        ):
            self.found(tmp_path, content)
        for encoding, question in (("gb18030", "胃胃"), ("utf-8", "θθ")):
            rows = open_table(tmp_path / "a.csv", ("question",), FileOptions(encoding=encoding)).records
            assert list(rows) == [{"question": question, "answer": "x"}]

    def test_big5_is_told_from_gb18030(self, tmp_path):
        text = "醫師您好，我最近三天一直頭痛，請問應該看哪一科？建議多休息，多喝水，必要時到醫院檢查。"
        assert self.found(tmp_path, text.encode("big5")) == "big5"
        assert self.found(tmp_path, text.encode("gb18030")) == "gb18030"
        opened, rows = table(tmp_path, "b.csv", f"question,answer\n{text},好\n".encode("big5"), ("question",))
        assert (opened.encoding, rows[0]["question"]) == ("big5", text)

    def test_an_encoding_that_is_configured_and_does_not_fit_is_named(self, tmp_path):
        (tmp_path / "a.csv").write_bytes("问,答\n".encode("gb18030"))
        with pytest.raises(UserError, match=r"a\.csv: is no UTF-8 at byte 0"):
            open_table(tmp_path / "a.csv", None, FileOptions(encoding="utf-8"))
