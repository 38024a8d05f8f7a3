"""Files of verdicts: every line is used or counted with its reason, whatever strangers wrote into them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judged_pairs import line
from medscale.base.errors import UserError
from medscale.judge.pairs import ASKED
from medscale.judge.verdict_files import EQUAL, REASONS, read_verdicts

PAIRS = {"aaa": [], "bbb": []}
FULL = dict.fromkeys(ASKED, "1")


@pytest.fixture
def read(tmp_path):
    def read_lines(*lines, name="judge.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_verdicts([path], PAIRS)

    return read_lines


def test_a_full_verdict_is_used(read):
    found = read(line("aaa", **FULL, comment="好", at="2026-11-29T10:00:00+08:00"))
    (verdict,) = found.verdicts
    assert (verdict.pair, verdict.judge, verdict.said, verdict.comment) == ("aaa", "LW", FULL, "好")
    assert verdict.at == "2026-11-29T02:00:00.000000+00:00"
    assert (found.lines, found.dropped, found.incomplete) == (1, {}, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not_json"),
        ("[1]", "not_json"),
        ("[" * 100_000, "not_json"),
        ("1" * 5000, "not_json"),
        (json.dumps({"judge": "LW", **FULL}), "no_pair"),
        (line("ccc", **FULL), "unknown_pair"),
        (line("aaa", "", **FULL), "no_judge"),
        (line("aaa", "a\u0000b", **FULL), "no_judge"),
        (line("aaa", "n" * 81, **FULL), "no_judge"),
        (json.dumps({"pair": "aaa", "judge": 7, **FULL}), "no_judge"),
        (line("aaa"), "nothing_said"),
        (line("aaa", overall="both"), "nothing_said"),
    ],
)
def test_a_line_that_cannot_be_used_is_counted_and_named(read, text, reason):
    found = read(line("bbb", **FULL), text)
    assert found.dropped == {reason: 1}
    assert found.rejected == [{"file": "judge.jsonl", "line": 2, "reason": reason}]
    assert len(found.verdicts) == 1


NAMED = [
    json.dumps({"pair": "aaa", "judge": "李文", **FULL, "comment": "剂量错了，请复核"}, ensure_ascii=False),
    json.dumps({"pair": "bbb", "judge": "李文", **FULL}, ensure_ascii=False),
]


def test_a_file_that_is_one_list_is_read_by_its_places(read):
    rows = [json.loads(line(pair, **FULL)) for pair in ("aaa", "ccc", "bbb")]
    found = read(json.dumps(rows, indent=2))
    assert [verdict.pair for verdict in found.verdicts] == ["aaa", "bbb"]
    assert (found.lines, found.dropped) == (3, {"unknown_pair": 1})
    assert found.rejected[0]["line"] == 2


def test_what_could_be_two_encodings_is_read_as_what_programs_write(read):
    (verdict,) = read(json.dumps({"pair": "aaa", "judge": "LW", **FULL, "comment": "θθ"}, ensure_ascii=False)).verdicts
    assert verdict.comment == "θθ"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_file_is_read_in_whichever_encoding_it_was_saved(tmp_path, encoding, end):
    path = tmp_path / "judge.jsonl"
    path.write_bytes(end.join([*NAMED, ""]).encode(encoding))
    found = read_verdicts([path], PAIRS)
    assert found.dropped == {}
    assert [(verdict.judge, verdict.pair, verdict.comment) for verdict in found.verdicts] == [
        ("李文", "aaa", "剂量错了，请复核"),
        ("李文", "bbb", ""),
    ]


def test_a_file_is_named_after_its_judge_whatever_a_phone_or_an_editor_put_behind(read):
    (verdict,) = read(json.dumps({"pair": "aaa", **FULL}), name="李文.jsonl.txt").verdicts
    assert verdict.judge == "李文"


def test_numbers_are_verdicts_and_the_judge_may_be_the_files_name(read):
    found = read(line("aaa", None, overall=1, safe=2, clear=EQUAL), name="gpt.jsonl")
    (verdict,) = found.verdicts
    assert verdict.judge == "gpt"
    assert verdict.said == {"overall": "1", "safe": "2", "clear": EQUAL}
    assert found.incomplete == 1


def test_unknown_criteria_and_values_are_counted_and_the_rest_is_used(read):
    found = read(line("aaa", corect="1", safe="better", overall="2", clear=True))
    assert found.verdicts[0].said == {"overall": "2"}
    assert found.unknown_keys == {"corect": 1}
    assert found.unknown_values == {"better": 1, "true": 1}


def test_the_same_line_twice_is_one_verdict(read):
    found = read(line("aaa", **FULL), line("aaa", **FULL), line("aaa", "ZH", **FULL))
    assert found.dropped == {"duplicate": 1}
    assert [verdict.judge for verdict in found.verdicts] == ["LW", "ZH"]


def test_a_later_verdict_replaces_an_earlier_one(read):
    early, late = "2026-11-29T10:00:00Z", "2026-11-29T10:05:00Z"
    found = read(line("aaa", overall="2", at=late), line("aaa", overall="1", at=early))
    assert found.verdicts[0].said == {"overall": "2"}
    assert found.dropped == {"superseded": 1}


def test_a_fuller_verdict_replaces_one_that_it_agrees_with(read):
    found = read(line("aaa", overall="1"), line("aaa", overall="1", safe="2"))
    assert found.verdicts[0].said == {"overall": "1", "safe": "2"}
    assert found.dropped == {"superseded": 1}


@pytest.mark.parametrize("at", [{}, {"at": "2026-11-29T10:00:00Z"}])
def test_verdicts_that_contradict_each_other_count_for_nothing(read, at):
    found = read(line("aaa", overall="1", **at), line("aaa", overall="2", **at), line("bbb", overall="1"))
    assert found.dropped == {"contradictory": 2}
    assert [verdict.pair for verdict in found.verdicts] == ["bbb"]


def test_two_files_of_one_judge_go_together(tmp_path):
    (tmp_path / "1.jsonl").write_text("\ufeff" + line("aaa", **FULL) + "\r\n", encoding="utf-8")
    (tmp_path / "2.jsonl").write_text("\n" + line("aaa", **FULL) + "\n" + line("bbb", **FULL), encoding="utf-8")
    found = read_verdicts(sorted(tmp_path.glob("*.jsonl")), PAIRS)
    assert (found.lines, len(found.verdicts), found.dropped) == (3, 2, {"duplicate": 1})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe\x00", r"is no UTF-16 at byte 2; .*"),
        (b"PK\x03\x04\xff\xff\xff", r"neither UTF-8 .* save the file as UTF-8, or mend that line"),
    ],
)
def test_a_file_that_is_no_text_is_named(tmp_path, content, told):
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.jsonl: {told}; this file stops .* the others are read \[J105\]"):
        read_verdicts([tmp_path / "a.jsonl"], PAIRS)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.sampled_from(["1", "2", EQUAL]),
)
LINES = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=30).filter(lambda text: "\n" not in text),
    st.dictionaries(st.sampled_from([*ASKED, "pair", "judge", "at", "comment", "other"]), VALUES).map(json.dumps),
    st.builds(
        lambda pair, judge, at, said: json.dumps({"pair": pair, "judge": judge, "at": at, **said}),
        st.sampled_from([*PAIRS, "ccc"]),
        st.sampled_from(["LW", "ZH"]),
        st.sampled_from([None, "2026-11-29T10:00:00Z", "2026-11-29T11:00:00+01:00", "2026-11-30", "soon"]),
        st.dictionaries(st.sampled_from(ASKED), VALUES),
    ),
)


@given(st.lists(LINES, max_size=12))
def test_every_line_is_used_or_counted_whatever_it_holds(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("verdicts") / "any.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8"))
    found = read_verdicts([path], PAIRS)
    assert found.lines == sum(bool(text.strip()) for text in "\n".join(lines).split("\n"))
    assert found.lines == len(found.verdicts) + sum(found.dropped.values())
    assert found.dropped.keys() <= set(REASONS)
    assert len({(verdict.judge, verdict.pair) for verdict in found.verdicts}) == len(found.verdicts)
    for verdict in found.verdicts:
        assert verdict.pair in PAIRS
        assert verdict.said
        assert verdict.said.keys() <= set(ASKED)
        assert set(verdict.said.values()) <= {"1", "2", EQUAL}


@given(st.permutations([0, 1, 2, 3]))
def test_the_order_of_the_lines_decides_nothing(tmp_path_factory, order):
    lines = [
        line("aaa", overall="1"),
        line("aaa", overall="1", safe="2"),
        line("bbb", overall="1"),
        line("bbb", overall="2"),
    ]
    path = tmp_path_factory.mktemp("verdicts") / "any.jsonl"
    path.write_text("\n".join(lines[place] for place in order), encoding="utf-8")
    found = read_verdicts([path], PAIRS)
    assert [(verdict.pair, verdict.said) for verdict in found.verdicts] == [("aaa", {"overall": "1", "safe": "2"})]
    assert found.dropped == {"superseded": 1, "contradictory": 2}
