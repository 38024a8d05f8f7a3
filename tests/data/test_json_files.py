"""JSON files as tools write them: where their rows are, what is mended and told, and what is refused by name."""

import io
import json
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.data.files import json_layout, json_text
from medscale.data.table_files import Broken, FileOptions, TableFile, open_table

NAMES = ("question", "answer")
ROWS = [
    {"question": "头疼怎么办", "answer": "休息"},
    {"question": '他说"乏力"]}', "answer": "睡觉\\"},
    *[{"question": f"问题{number}", "answer": f"答案{number}"} for number in range(3)],
]


def read(folder: Path, content, wanted=NAMES, name: str = "a.json", **options) -> tuple[TableFile, list]:
    """Write a text, or a value as JSON, and read it as a table."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    (folder / name).write_text(text, encoding="utf-8")
    opened = open_table(folder / name, wanted, FileOptions(**options))
    return opened, list(opened.records)


def by_row(rows: list[dict]) -> dict:
    return {name: {str(number): row[name] for number, row in enumerate(rows)} for name in rows[0]}


LAYOUTS = {
    "a list": (ROWS, "a list of rows"),
    "under a key": ({"version": 1, "data": ROWS}, "a list of rows under 'data'"),
    "under a key, other lists before": (
        {"tags": ["a"], "n": [], "rows": ROWS, "end": {}},
        "a list of rows under 'rows'",
    ),
    "under a key in a key": (
        {"meta": {"a": 1}, "result": {"total": 5, "rows": ROWS}},
        "a list of rows under 'result.rows'",
    ),
    "pandas columns": (by_row(ROWS), "columns, each an object of its values by row"),
    "pandas index": ({str(n): row for n, row in enumerate(ROWS)}, "an object of rows by name"),
    "rows by name": ({f"row-{n}": row for n, row in enumerate(ROWS)}, "an object of rows by name"),
    "rows by name under a key": (
        {"v": 1, "data": {f"r{n}": row for n, row in enumerate(ROWS)}},
        "an object of rows under 'data'",
    ),
    "columns as lists": ({name: [row[name] for row in ROWS] for name in NAMES}, "columns, each a list of its values"),
    "pandas split": (
        {"columns": list(NAMES), "index": list(range(5)), "data": [list(row.values()) for row in ROWS]},
        "the names of the columns, and lists of values",
    ),
    "pandas table": (
        {"schema": {"fields": [{"name": "index"}, {"name": "question"}], "primaryKey": ["index"]}, "data": ROWS},
        "a list of rows under 'data'",
    ),
}


@pytest.mark.parametrize("wanted", [NAMES, None])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("block", [5, 1 << 20])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows(tmp_path, monkeypatch, layout, block, indent, wanted):
    if layout == "rows by name" and wanted is None:
        pytest.skip("refused, see below")
    monkeypatch.setattr(json_text, "BLOCK", block)
    value, told = LAYOUTS[layout]
    opened, rows = read(tmp_path, json.dumps(value, ensure_ascii=False, indent=indent), wanted)
    assert rows == ROWS
    assert (opened.format, opened.columns, opened.dialect, opened.notes) == ("json", list(NAMES), {"layout": told}, [])


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.ndjson"])
@pytest.mark.parametrize(
    ("text", "told", "format"),
    [
        ("\n".join(json.dumps(row) for row in ROWS), "a row a line", "jsonl"),
        ("\r\n\r\n".join(json.dumps(row) for row in ROWS) + "\r\n", "a row a line", "jsonl"),
        ("\n".join(json.dumps(row, indent=2) for row in ROWS), "objects one after another", "jsonl"),
        ("".join(json.dumps(row, indent=2) for row in ROWS), "objects one after another", "jsonl"),
        (",\n".join(json.dumps(row, indent=2) for row in ROWS), "objects one after another", "jsonl"),
        (" \n" + json.dumps(ROWS), "a list of rows", "json"),
        ("\n".join(json.dumps(ROWS, indent=1).splitlines()), "a list of rows", "json"),
        ("\ufeff" + json.dumps(ROWS), "a list of rows", "json"),
    ],
)
def test_the_name_does_not_decide_how_rows_lie(tmp_path, name, text, told, format):
    opened, rows = read(tmp_path, text, name=name)
    assert (rows, opened.dialect["layout"], opened.format) == (ROWS, told, format)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("".join(json.dumps(row) for row in ROWS), "several objects in one line: 4 times, first in line 1"),
        (",\n".join(json.dumps(row) for row in ROWS) + ",", "a comma after the row: 5 times, first in line 1"),
        (
            "[" + ",\n".join(json.dumps(row) for row in ROWS) + ",\n]",
            "a comma too many between rows: 1 time, first in line 6",
        ),
        (
            "\n".join(json.dumps(row)[:-1] + ",}" for row in ROWS),
            "a comma too many before a bracket: 5 times, first in line 1",
        ),
        (
            "[" + ",\n".join(json.dumps(row)[:-1] + ",}" for row in ROWS) + "]",
            "a comma too many before a bracket: 5 times, first in line 1",
        ),
        (
            json.dumps(ROWS[:2]) + "\n" + json.dumps(ROWS[2:]),
            "another list after the end of the list: 1 time, first in line 2",
        ),
        (
            "\n".join('{"answer": "别的", ' + json.dumps(row)[1:] for row in ROWS),
            "a key stands twice in one object, of which the last counts: 5 times, first in line 1",
        ),
        (
            "[" + ",\n".join('{"answer": "别的", ' + json.dumps(row)[1:] for row in ROWS) + "]",
            "a key stands twice in one object, of which the last counts: 5 times, first in line 1",
        ),
    ],
)
def test_what_does_no_harm_is_mended_and_told(tmp_path, text, note):
    opened, rows = read(tmp_path, text)
    assert [dict(sorted(row.items())) for row in rows] == [dict(sorted(row.items())) for row in ROWS]
    assert opened.notes == [note]


def test_a_hundred_thousand_objects_in_one_line(tmp_path):
    _, rows = read(tmp_path, '{"question": "头疼", "answer": "休息"}' * 100_000)
    assert len(rows) == 100_000
    assert all(row == {"question": "头疼", "answer": "休息"} for row in rows)


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity"])
def test_what_pandas_writes_for_no_value_is_nan(tmp_path, lines, token):
    row = f'{{"question": {token}, "answer": "休息"}}'
    _, rows = read(tmp_path, f"{row}\n{row}" if lines else f"[{row}, {row}]")
    assert [math.isnan(row["question"]) for row in rows] == [True, True]


class TestAmbiguity:
    def test_two_lists_of_rows_are_named_and_the_configuration_decides(self, tmp_path):
        value = {"train": ROWS[:2], "info": {"test": ROWS[2:]}, "n": 3}
        with pytest.raises(UserError, match=r"under 'train' or 'info\.test'; say which in data\.json\.rows_key"):
            read(tmp_path, value)
        assert read(tmp_path, value, rows_key="train")[1] == ROWS[:2]
        assert read(tmp_path, value, rows_key="info.test")[1] == ROWS[2:]
        with pytest.raises(UserError, match=r"data\.json\.rows_key: no 'dev'; there are train, info, info\.test, n"):
            read(tmp_path, value, rows_key="dev")

    def test_objects_of_objects_without_known_names_are_refused(self, tmp_path):
        with pytest.raises(UserError, match=r"may be rows .*, or columns with rows of these names"):
            read(tmp_path, {"r1": ROWS[0], "r2": ROWS[1]}, None)

    def test_columns_of_different_lengths_are_refused(self, tmp_path):
        with pytest.raises(UserError, match="lists of different lengths"):
            read(tmp_path, {"question": ["a", "b"], "answer": ["c"]})

    def test_one_object_may_be_one_row(self, tmp_path):
        assert read(tmp_path, ROWS[0])[1] == ROWS[:1]
        assert read(tmp_path, json.dumps(ROWS[0], indent=1), None)[1] == ROWS[:1]
        talk = {"conversations": [{"from": "human", "value": "头疼"}]}
        assert read(tmp_path, talk, ("conversations",))[1] == [talk]

    def test_lists_in_rows_are_values(self, tmp_path):
        rows = [{"questions": [["头疼", "乏力"]], "answers": ["休息"]}] * 2
        assert read(tmp_path, "\n".join(map(json.dumps, rows)), None, "a.jsonl")[1] == rows


class TestDamage:
    @pytest.mark.parametrize("layout", ["a list", "under a key"])
    def test_a_cut_file_says_how_many_rows_were_read(self, tmp_path, layout):
        text = json.dumps(LAYOUTS[layout][0], ensure_ascii=False, indent=1)
        cut = text[: text.index("问题1") + 1]
        with pytest.raises(
            UserError, match=r"a\.json: cut JSON (after 3 rows|before any row was read) \(line \d+: the file"
        ):
            read(tmp_path, cut)

    @pytest.mark.parametrize("end", [',\n{"question": "c"', "\n", "\n]", "\n]\n"])
    def test_a_list_under_a_key_that_is_cut_is_no_list_of_lines(self, tmp_path, end):
        """Rows of one line each look like JSON lines, but the file is one object."""
        text = '{"data": [\n' + ",\n".join(json.dumps(row) for row in ROWS) + end
        with pytest.raises(UserError, match=r"a\.json: cut JSON after 5 rows \(line \d+: the file ends"):
            read(tmp_path, text)

    @pytest.mark.parametrize("mark", ["\n", "\t", "\r\n", "\x01"])
    def test_line_ends_and_tabs_inside_a_string_are_text_and_told(self, tmp_path, mark):
        text = (
            "[" + ", ".join(json.dumps(row, ensure_ascii=False) for row in ROWS).replace("问题1", f"问题{mark}1") + "]"
        )
        opened, rows = read(tmp_path, text)
        assert [row["question"] for row in rows][2:] == ["问题0", f"问题{mark}1", "问题2"]
        assert opened.notes == ["a line end or tab inside a string that should be escaped: 1 time, first in line 1"]

    def test_one_key_with_two_lists_of_rows_is_refused(self, tmp_path):
        with pytest.raises(UserError, match="has a list of rows under 'data' twice"):
            read(tmp_path, f'{{"data": {json.dumps(ROWS)}, "data": {json.dumps(ROWS)}}}')

    def test_a_cut_line_costs_one_row(self, tmp_path):
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
        assert read(tmp_path, text[:-4])[1] == [
            *ROWS[:4],
            Broken("bad_json", "line 5: Unterminated string starting at, at column 31", text.splitlines()[4][:-4]),
        ]

    @pytest.mark.parametrize("first", ['{"question": "cut', '{"question": "a" "answer"}', "垃圾", "{"])
    def test_lines_are_lines_even_if_the_first_is_broken(self, tmp_path, first):
        _, rows = read(tmp_path, "\n".join([first, *(json.dumps(row) for row in ROWS)]))
        assert rows[1:] == ROWS
        assert (rows[0].reason, rows[0].text) == ("bad_json", first)

    @pytest.mark.parametrize("text", [repr(ROWS), "\n".join(map(repr, ROWS)), repr({"data": ROWS}), repr(ROWS[0])])
    def test_what_python_prints_is_refused_by_name(self, tmp_path, text):
        with pytest.raises(UserError, match=r"single quotes, as Python prints"):
            read(tmp_path, text)

    def test_a_row_that_is_nested_without_end_costs_itself(self, tmp_path):
        deep = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"
        for text in (
            f"[{json.dumps(ROWS[0])}, {deep}, {json.dumps(ROWS[1])}]",
            f"{json.dumps(ROWS[0])}\n{deep}\n{json.dumps(ROWS[1])}",
        ):
            _, rows = read(tmp_path, text)
            assert [rows[0], rows[2]] == ROWS[:2]
            assert "nested too deeply" in rows[1].detail


def test_a_list_under_a_key_is_a_stream(tmp_path, monkeypatch):
    """Rows come while most of the file is unread, and of it only a block is held."""
    monkeypatch.setattr(json_text, "BLOCK", 1000)
    rows = [{"question": f"问题{n}", "answer": "答" * 100} for n in range(2000)]
    (tmp_path / "a.json").write_text(
        json.dumps({"n": {"old": {"a": ["x" * 50] * 2000}}, "data": rows}), encoding="utf-8"
    )
    held = []

    class Watched(json_text.JsonText):
        def _more(self):
            more = super()._more()
            held.append(len(self._buffer))
            return more

    monkeypatch.setattr("medscale.data.files.json_layout.JsonText", Watched)
    monkeypatch.setattr("medscale.data.files.json_rows.JsonText", Watched)
    assert list(open_table(tmp_path / "a.json", NAMES).records) == rows
    assert len(held) > 1000
    assert max(held) < 4000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('病"\\[]{},:\n a'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('键"{ ', max_size=2), inner, max_size=3),
    max_leaves=8,
)


@settings(derandomize=True, max_examples=150)
@given(
    rows=st.lists(st.fixed_dictionaries({"question": JSON, "answer": JSON}), min_size=2, max_size=4),
    shape=st.sampled_from(["list", "key", "lines", "concatenated", "pretty"]),
    block=st.integers(1, 9),
)
def test_any_values_come_through_every_stream(rows, shape, block):
    text = {
        "list": json.dumps(rows, indent=1),
        "key": json.dumps({"a": 1, "rows": rows, "b": "}"}),
        "lines": "\n".join(map(json.dumps, rows)),
        "concatenated": "".join(map(json.dumps, rows)),
        "pretty": " ".join(json.dumps(row, indent=1) for row in rows),
    }[shape]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_text, "BLOCK", block)
        assert read(Path(folder), text, ("question", "answer"))[1] == rows


class Counting(str):
    """A text that knows how many characters were looked at for line ends, in it and in what was made of it."""

    looked = 0

    def count(self, sub, start=0, end=None):
        Counting.looked += (len(self) if end is None else end) - start
        return super().count(sub, start, end)

    def __getitem__(self, place):
        return Counting(super().__getitem__(place))

    def __add__(self, other):
        return Counting(super().__add__(other))


def test_line_ends_are_counted_once_however_many_values_are_passed_over():
    text = json.dumps({"rows": [{"question": "头疼", "answer": f"休息{n}"} for n in range(2000)]}, indent=1)
    Counting.looked = 0

    class Handle(io.StringIO):
        def read(self, size=-1):
            return Counting(super().read(size))

    reading = json_text.JsonText(Handle(text))
    reading._buffer = Counting()  # so that what is added to it counts too
    decoder = json_text.Decoder(json_text.Oddities())
    assert next(iter(json_layout.members(reading, decoder))) == "rows"
    reading.take()
    for number in range(2000):
        reading.skip()
        reading.take()
        assert reading.line == 2 + 4 * (number + 1) + (number == 1999)
    assert len(text) / 2 < Counting.looked <= len(text)


@pytest.mark.parametrize("kind", ["columns", "lists", "split"])
def test_a_table_by_columns_is_read_in_two_pieces(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(json_text, "BLOCK", 64)
    content = {
        "columns": LAYOUTS["pandas columns"],
        "lists": LAYOUTS["columns as lists"],
        "split": LAYOUTS["pandas split"],
    }
    sizes, read_more = [], json_text.JsonText._more

    def noted(text, size=None):
        sizes.append(size)
        return read_more(text, size)

    monkeypatch.setattr(json_text.JsonText, "_more", noted)
    reading = io.StringIO(json.dumps(content[kind][0]))
    value = json_text.JsonText(reading).value(json_text.Decoder(json_text.Oddities()), longest=None)
    assert value == content[kind][0]
    assert sizes == [-1]


@pytest.mark.parametrize("shape", [list, lambda rows: {"data": rows}], ids=["list", "under a key"])
def test_a_number_without_end_is_one_broken_row(tmp_path, shape):
    text = json.dumps(shape([ROWS[0], {"question": "年龄", "answer": "AGE"}, ROWS[1]]), ensure_ascii=False)
    _, rows = read(tmp_path, text.replace('"AGE"', "7" * 5000))
    assert [rows[0], rows[2]] == ROWS[:2]
    assert isinstance(rows[1], Broken)
    assert "more than 4300 digits" in rows[1].detail
