"""CSV files as tools write them: each dialect is read right, or refused with both readings named."""

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.data.table_files import Broken, FileOptions, TableFile, open_table

NAMES = ("question", "answer")


def read(folder: Path, content: str | bytes, wanted=NAMES, name: str = "a.csv", **options) -> tuple[TableFile, list]:
    """Open one file, and read its rows as tuples of the wanted columns' values."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    opened = open_table(folder / name, wanted, FileOptions(**options))
    rows = [row if isinstance(row, Broken) else tuple(row[name] for name in wanted or row) for row in opened.records]
    return opened, rows


@pytest.mark.parametrize(
    ("delimiter", "told"),
    [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "pipe"), ("，", "full-width comma")],
)
@pytest.mark.parametrize("wanted", [NAMES, None])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_the_delimiter_is_told_by_the_header(tmp_path, delimiter, told, wanted, name):
    content = "\n".join(delimiter.join(row) for row in [NAMES, ("头疼, 乏力; 三天|吗".replace(delimiter, ""), "休息")])
    opened, rows = read(tmp_path, content, wanted, name)
    assert rows == [("头疼, 乏力; 三天|吗".replace(delimiter, ""), "休息")]
    assert opened.dialect["delimiter"] == told


def test_two_delimiters_that_both_fit_are_named_and_the_configuration_decides(tmp_path):
    content = "a;b,c\n1;2,3\n4;5,6\n"
    with pytest.raises(UserError, match=r"by comma \(columns \['a;b', 'c'\]\) or by semicolon .*data.csv.delimiter"):
        read(tmp_path, content, None)
    assert read(tmp_path, content, None, delimiter=";")[1] == [("1", "2,3"), ("4", "5,6")]
    assert read(tmp_path, content, ("a", "b,c"))[1] == [("1", "2,3"), ("4", "5,6")]


def test_the_line_that_excel_puts_first_names_the_delimiter(tmp_path):
    opened, rows = read(tmp_path, "sep=;\r\nquestion;answer\r\n头疼,怎么办;休息\r\n", None)
    assert (opened.columns, rows) == (list(NAMES), [("头疼,怎么办", "休息")])
    assert opened.dialect == {"delimiter": "semicolon", "quote_escape": "double", "header": 2}


@pytest.mark.parametrize(
    "before", ["\n\n", "# 导出于 2020 年\n", "# a\n\n#b\n", "某医院问答数据,\n", "某医院，问答数据，导出\n;;\n", ",,\n"]
)
def test_the_header_may_come_after_other_lines(tmp_path, before):
    opened, rows = read(tmp_path, before + 'question,answer\n头疼,休息\n"多\n行",睡觉\n')
    assert rows == [("头疼", "休息"), ("多\n行", "睡觉")]
    assert opened.dialect["header"] == before.count("\n") + 1


def test_rows_before_the_header_are_not_lost_in_silence(tmp_path):
    content = "头疼,休息\nquestion,answer\n胃疼,喝水\n"
    with pytest.raises(UserError, match=r"line 2 has the names of the columns, but line 1 .* may be a row.*header: 2"):
        read(tmp_path, content)
    assert read(tmp_path, content, header=2)[1] == [("胃疼", "喝水")]


def test_comments_before_the_header_are_passed_over_where_no_names_are_known(tmp_path):
    assert read(tmp_path, "# 说明, 一\n# 二\n#id,question\n1,头疼\n", None)[0].columns == ["#id", "question"]
    assert read(tmp_path, "# 说明\n\nid,question\n1,头疼\n", None)[1] == [("1", "头疼")]


def test_the_configuration_names_the_line_of_the_header(tmp_path):
    content = "question,answer\n旧问题,旧答案\nquestion,answer\n头疼,休息\n"
    assert read(tmp_path, content, header=3)[1] == [("头疼", "休息")]
    with pytest.raises(UserError, match=r"data\.csv\.header is 9, but the file has 4 lines"):
        read(tmp_path, content, header=9)
    with pytest.raises(UserError, match=r"header is 240, but the header is looked for in the first 230 lines"):
        read(tmp_path, content * 75, header=240)


class TestTrailingColumns:
    @pytest.mark.parametrize("more", [",", ",,", ",,,,,"])
    def test_empty_ones_are_no_columns(self, tmp_path, more):
        opened, rows = read(tmp_path, f"question,answer{more}\n头疼,休息{more}\n乏力,睡觉\n", None)
        assert opened.columns == ["question", "answer"]
        assert rows == [("头疼", "休息"), ("乏力", "睡觉")]

    def test_rows_may_have_them_where_the_header_has_not(self, tmp_path):
        assert read(tmp_path, "question,answer\n头疼,休息,,\n")[1] == [("头疼", "休息")]

    def test_text_in_one_costs_the_row_because_the_answer_may_be_cut(self, tmp_path):
        _, rows = read(tmp_path, "question,answer,,\n头疼,休息,多喝水,\n乏力,睡觉,,\n")
        assert rows == [
            Broken("wrong_field_count", "line 2: 4 fields where the header has 2", "头疼,休息,多喝水,"),
            ("乏力", "睡觉"),
        ]


def test_names_that_are_blank_or_doubled_do_no_harm_unless_they_are_wanted(tmp_path):
    opened, rows = read(tmp_path, ",question,id,id,answer\n0,头疼,1,2,休息\n")
    assert (opened.columns[0], rows) == ("(column 1)", [("头疼", "休息")])
    for wanted in (NAMES, None):
        with pytest.raises(UserError, match="names 'answer' more than once"):
            read(tmp_path, "question,answer,answer\n头疼,休息,睡觉\n", wanted)


class TestBackslash:
    def write(self, rows: list[tuple[str, str]]) -> str:
        """As MySQL and pandas (``escapechar``) write a table."""
        marked = ([value.replace("\\", "\\\\").replace('"', '\\"') for value in row] for row in [NAMES, *rows])
        return "".join(",".join(f'"{value}"' for value in row) + "\n" for row in marked)

    def test_an_escaped_quote_is_a_quote(self, tmp_path):
        rows = [('医生说"休息"，好', '他问"几天"'), ("以反斜杠结尾\\", 'a\\"b\\\\'), ("多\n行,字", '"')]
        opened, found = read(tmp_path, self.write(rows))
        assert found == rows
        assert opened.dialect["quote_escape"] == "backslash"

    @settings(derandomize=True, max_examples=60)
    @given(st.lists(st.tuples(st.text('病"\\,\n ab'), st.text('药"\\,\n ab')), min_size=1))
    def test_any_table_comes_through_or_is_refused(self, rows):
        with tempfile.TemporaryDirectory() as folder:
            content = self.write([*rows, ('病"，"', "药")])
            assert read(Path(folder), content, quote_escape="backslash")[1] == [*rows, ('病"，"', "药")]

    def test_a_backslash_before_other_characters_is_text(self, tmp_path):
        content = '"question","answer"\n"第一段\\n第二段","他说\\"好\\"，C:\\dir"\n'
        assert read(tmp_path, content)[1] == [("第一段\\n第二段", '他说"好"，C:\\dir')]

    def test_a_field_that_ends_with_one_is_no_escape_where_quotes_are_doubled(self, tmp_path):
        rows = [("在C:\\目录\\", '他说"好"'), ("头疼", "休息\\")]
        text = io.StringIO(newline="")
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows([NAMES, *rows])
        opened, found = read(tmp_path, text.getvalue())
        assert (found, opened.dialect["quote_escape"]) == (rows, "double")

    def test_json_in_a_field_keeps_its_escapes(self, tmp_path):
        text = io.StringIO(newline="")
        csv.writer(text).writerows([NAMES, ('{"a": "他说\\"好\\""}', "休息")])
        assert read(tmp_path, text.getvalue())[1] == [('{"a": "他说\\"好\\""}', "休息")]

    def test_it_is_found_however_late_it_comes(self, tmp_path):
        rows = [(f"问题{number}", "答案") for number in range(30_000)] + [("头疼", '医生说"休息"')]
        assert read(tmp_path, self.write(rows))[1] == rows

    def test_what_could_be_both_is_refused_with_both_and_the_configuration_decides(self, tmp_path):
        content = 'question,answer\n屏幕10\\"的,休息\n'
        with pytest.raises(UserError, match=r'a\.csv: has \\".*«屏幕10\\"的».*«屏幕10"的».*data.csv.quote_escape'):
            read(tmp_path, content)
        assert read(tmp_path, content, quote_escape="double")[1] == [('屏幕10\\"的', "休息")]
        assert read(tmp_path, content, quote_escape="backslash")[1] == [('屏幕10"的', "休息")]

    def test_the_null_of_a_database_is_empty(self, tmp_path):
        assert read(tmp_path, 'question,answer\n\\N,休息\n"头疼",\\N\n')[1] == [("", "休息"), ("头疼", "")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_line_ends_and_encodings(tmp_path, end, encoding):
    content = end.join(["question,answer", '"头疼",休息', "乏力,睡觉", ""])
    opened, rows = read(tmp_path, content.encode(encoding))
    assert rows == [("头疼", "休息"), ("乏力", "睡觉")]
    assert opened.encoding == encoding


def test_nul_bytes_are_characters_like_others(tmp_path):
    nuls = "\0" * 40
    assert read(tmp_path, f"question,answer\n头\0疼,{nuls}\n乏力,睡觉\n")[1] == [("头\0疼", nuls), ("乏力", "睡觉")]


class TestQuotes:
    @pytest.mark.parametrize("line", ["第{}段，注意休息", "第{}段,注意休息,多喝水,按时复查", "第{}段,注意休息"])
    def test_a_long_quoted_field_is_one_field_whatever_its_lines_look_like(self, tmp_path, line):
        long = "\n".join(line.format(number) for number in range(20_000))
        assert read(tmp_path, f'question,answer\n头疼,"{long}"\n乏力,睡觉\n')[1] == [("头疼", long), ("乏力", "睡觉")]

    def test_one_that_is_never_closed_costs_its_row_and_its_place_is_told(self, tmp_path):
        lines = ["question,answer", "头疼,休息", '乏力,"没有结束', *[f"问题{n},答案{n}" for n in range(3000)]]
        _, rows = read(tmp_path, "\n".join(lines))
        assert rows[1] == Broken("bad_csv", "line 3: unexpected end of data", '乏力,"没有结束')
        assert rows[2:] == [(f"问题{n}", f"答案{n}") for n in range(3000)]

    def test_one_that_ends_by_chance_in_another_column_takes_no_other_row_with_it(self, tmp_path):
        lines = ['乏力,"没有结束', "问题1,答案1", "问题2,答案2", '屏幕5寸",答案3', "问题4,答案4"]
        _, rows = read(tmp_path, "question,answer\n" + "\n".join(lines))
        assert rows == [
            Broken("bad_csv", "line 2: a quote is opened and never closed", lines[0]),
            ("问题1", "答案1"),
            ("问题2", "答案2"),
            Broken("bad_csv", "line 5: part of a row that could not be read", lines[3]),
            ("问题4", "答案4"),
        ]

    def test_inside_a_field_they_are_text(self, tmp_path):
        content = 'question,answer\n屏幕15"的,用"药"吗\n"他说"你好"走了",休息\n"甲"亢,"乙"肝\n'
        assert read(tmp_path, content)[1] == [('屏幕15"的', '用"药"吗'), ('他说"你好"走了', "休息"), ("甲亢", "乙肝")]

    def test_the_rest_of_a_row_that_could_not_be_read_is_no_row(self, tmp_path):
        content = 'question,answer\n"第一行\n他说"你好"\n第三行",休息\n乏力,睡觉\n'
        _, rows = read(tmp_path, content)
        assert [row for row in rows if isinstance(row, tuple)] == [("乏力", "睡觉")]
        assert [row.text for row in rows[:-1]] == ['"第一行', '他说"你好"', '第三行",休息']


SWALLOWED = ['乏力,"没有结束', "问题1,答案1", "问题2,答案2", '屏幕,5寸"', "问题4,答案4"]


class TestLinesThatMayBeRows:
    """A quote that was never closed, until one of the same column closes it: one row by its form, four by its lines."""

    def content(self, *before: str) -> str:
        return "\n".join(["question,answer", *before, *SWALLOWED, ""])

    def test_they_are_refused_with_both_readings(self, tmp_path):
        told = r"a\.csv: lines 3 to 6, «乏力,\"没有结束», «问题1,答案1» …: may be one row .* or a row each, .*"
        with pytest.raises(UserError, match=told + r"data\.csv\.multiline, true .* or false .*\[D145\]$"):
            read(tmp_path, self.content("头疼,休息"))

    def test_the_configuration_decides(self, tmp_path):
        whole = ("乏力", "没有结束\n问题1,答案1\n问题2,答案2\n屏幕,5寸")
        assert read(tmp_path, self.content(), multiline=True)[1] == [whole, ("问题4", "答案4")]
        assert read(tmp_path, self.content(), multiline=False)[1] == [
            Broken("bad_csv", "line 2: a quote is opened and never closed", SWALLOWED[0]),
            ("问题1", "答案1"),
            ("问题2", "答案2"),
            Broken("bad_csv", "line 5: part of a row that could not be read", SWALLOWED[3]),
            ("问题4", "答案4"),
        ]

    def test_rows_of_three_columns_are_seen_too(self, tmp_path):
        with pytest.raises(UserError, match="lines 2 to 3, "):
            read(tmp_path, 'question,answer,id\n头疼,"休息,1\n乏力,睡觉",2\n', ("question",))
        with pytest.raises(UserError, match="lines 2 to 3, "):
            read(tmp_path, 'id,question,answer\n1,头疼,"休息\n2,乏力,睡觉"\n')

    @pytest.mark.parametrize(
        "answer",
        [
            "多喝水\n休息\n一周后复查",  # no delimiter
            "多喝水\n\n饮食,要清淡",  # a blank line
            "first rest\nthen water, much of it",  # a space after it
            "多喝水,休息\n饮食,要清淡",  # more fields in the first line
            '他说""好""\n饮食,要清淡',  # quotes that somebody doubled
            "多喝水\n,要清淡",  # nothing before it
        ],
    )
    def test_an_answer_over_several_lines_is_read(self, tmp_path, answer):
        assert read(tmp_path, f'question,answer\n头疼,"{answer}"\n')[1] == [("头疼", answer.replace('""', '"'))]

    def test_in_a_file_of_such_answers_a_few_may_look_like_rows(self, tmp_path):
        text, by_chance = io.StringIO(newline=""), ("头疼", "多喝水\n饮食,要清淡")
        rows = [(f"问题{number}", f"第一\n第二，{number}") for number in range(9)]
        csv.writer(text).writerows([NAMES, *rows, by_chance])
        assert read(tmp_path, text.getvalue())[1] == [*rows, by_chance]
        csv.writer(text).writerow(by_chance)
        with pytest.raises(UserError, match=r"lines 20 to 21, .*D145"):
            read(tmp_path, text.getvalue())

    def test_many_lines_that_look_like_rows_are_no_chance(self, tmp_path):
        lines = "".join(f'问题{number},"第一\n第二"\n' for number in range(99))
        rows = "\n".join(f"问题{number},答案{number}" for number in range(4))
        with pytest.raises(UserError, match="lines 200 to 205, "):
            read(tmp_path, f'question,answer\n{lines}头疼,"休息\n{rows}\n乏力,睡觉"\n')


def test_a_line_of_spaces_is_no_row(tmp_path):
    assert read(tmp_path, "question,answer\n  \t\n头疼,休息\n")[1] == [("头疼", "休息")]


@pytest.mark.parametrize("rows", ['"头疼", "休息,多喝水"\n乏力, "睡觉"\n', '头疼, "休息,多喝水"\n"乏力", 睡觉\n'])
def test_a_space_before_a_quote_belongs_to_neither(tmp_path, rows):
    opened, found = read(tmp_path, '"question", "answer"\n' + rows)
    assert found == [("头疼", "休息,多喝水"), ("乏力", "睡觉")]
    assert opened.dialect["space_after_delimiter"] is True


def test_a_file_with_only_a_header_has_no_rows(tmp_path):
    opened, rows = read(tmp_path, "question,answer\n")
    assert (opened.columns, rows) == (list(NAMES), [])


def test_objects_in_a_file_called_csv_are_read_as_what_they_are(tmp_path):
    opened, rows = read(tmp_path, '{"question": "头疼", "answer": "休息"}\n{"question": "乏力", "answer": "睡觉"}\n')
    assert (opened.format, rows) == ("jsonl", [("头疼", "休息"), ("乏力", "睡觉")])


@settings(derandomize=True, max_examples=100)
@given(
    rows=st.lists(st.tuples(st.text('病"\n,;|\t\\a '), st.text('药"\n,;|\t\\a ')), min_size=1),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_no_table_is_read_otherwise_than_it_was_written(rows, delimiter, quoting):
    """A table written by the csv module comes through as it is, or is refused as ambiguous."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows([NAMES, *rows])
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = read(Path(folder), text.getvalue())[1]
        except UserError as error:
            assert "data.csv.quote_escape" in str(error) or "data.csv.multiline" in str(error)  # noqa: PT017
            found = read(Path(folder), text.getvalue(), quote_escape="double", multiline=True)[1]
    assert found == rows
