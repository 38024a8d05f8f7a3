"""Cleaning a piece of the corpus: one table with a verdict on every row."""

import pickle

import pyarrow as pa
import pytest

from medscale.data import judging
from medscale.data.cleaning import Rules
from medscale.data.judging import JUDGED, Judge, pieces_of
from medscale.data.near.deduplication import fingerprints
from medscale.data.raw_rows import RawRow
from medscale.data.table_files import Broken

RULES = Rules((2, 100), (2, 200))
RAWS = [
    RawRow(7, ("头疼怎么办&nbsp;", "手机13812345678"), "<p>多喝水</p>打13912345678", " 内科 "),
    RawRow(8, ("胃疼\ud83d怎么办", None), "无", 3),
    RawRow(9, (), None, None, Broken("bad_json", "no\ud83d", "[1\ud83d")),
    RawRow(10, ("胃疼怎么办", "无"), "吃药", None),
]


@pytest.mark.parametrize("near", [True, False])
def test_every_row_of_a_piece_is_told_of(near):
    judge = pickle.loads(pickle.dumps(Judge(RULES, near)))  # as it is sent to another process
    judged = judge(RAWS)
    texts = [("头疼怎么办\n手机[电话]", "多喝水\n打[电话]"), ("胃疼怎么办", "吃药")]
    context = {"first": True, "turns_dropped": [], "history": None, "system": None, "dialogue": None}
    dropped = {**context, "masked": [], "question": None, "answer": None, "department": None}
    table = pa.ipc.open_stream(judged.table).read_all()
    assert table.schema == JUDGED
    assert table.to_pylist() == [
        {
            **{"id": "r0000007", "row": 7, "reason": None, "detail": "", "masked": ["phone", "phone"]},
            **context,
            **{"question": texts[0][0], "answer": texts[0][1], "department": "内科"},
            "raw_question": "头疼怎么办&nbsp;\n手机13812345678",
            "raw_answer": "<p>多喝水</p>打13912345678",
            "raw_department": " 内科 ",
        },
        {
            **{"id": "r0000008", "row": 8, "reason": "placeholder_answer", "detail": "无", **dropped},
            **{"raw_question": "胃疼\\ud83d怎么办", "raw_answer": "无", "raw_department": "3"},
        },
        {
            **{"id": "r0000009", "row": 9, "reason": "bad_json", "detail": "no\\ud83d", **dropped},
            **{"raw_question": "[1\\ud83d", "raw_answer": None, "raw_department": None},
        },
        {
            **{"id": "r0000010", "row": 10, "reason": None, "detail": "", "masked": []},
            **context,
            **{"question": texts[1][0], "answer": texts[1][1], "department": None},
            **{"raw_question": "胃疼怎么办\n无", "raw_answer": "吃药", "raw_department": None},
        },
    ]
    assert judged.numbers == [7, 10]
    assert str(judged.fingerprints) == str(fingerprints(texts, near))
    assert str(judged.fingerprints) != str(fingerprints(texts, not near))


def test_a_piece_that_keeps_nothing():
    judged = Judge(RULES, True)(RAWS[1:3])
    assert pa.ipc.open_stream(judged.table).read_all().num_rows == 2
    assert judged.numbers == []


def test_a_piece_travels_compressed():
    raws = [RawRow(number, ("头疼怎么办",), "多喝水" * 60, None) for number in range(100)]
    assert len(Judge(RULES, near=False)(raws).table) < 100 * len("多喝水".encode() * 60) / 4


def turns(count: int) -> list[dict]:
    return [{"role": ("user", "assistant")[n % 2], "content": f"第{n}句话，说点什么"} for n in range(2 * count)]


def test_a_long_dialogue_is_written_in_batches_of_bounded_size(monkeypatch):
    raw = RawRow(1, (), None, None, dialogue=turns(40), is_dialogue=True)
    whole = pa.ipc.open_stream(Judge(RULES, False)([raw, *RAWS]).table).read_all()
    monkeypatch.setattr(judging, "CHARACTERS", 2000)
    with pa.ipc.open_stream(Judge(RULES, False)([raw, *RAWS]).table) as stream:
        batches = list(stream)
    assert len(batches) > 5
    assert max(sum(map(len, map(str, batch["history"].to_pylist()))) for batch in batches) < 2 * 2000
    assert pa.Table.from_batches(batches).equals(whole.combine_chunks())


def test_pieces_are_short_where_the_dialogues_are_long(monkeypatch):
    monkeypatch.setattr(judging, "CHARACTERS", 5000)
    long = [RawRow(n, (), None, None, dialogue=turns(40), is_dialogue=True) for n in range(3)]
    text = [RawRow(n, (), None, None, dialogue=str(turns(40)), is_dialogue=True) for n in range(2)]
    plain = [RawRow(n, ("头疼" * 4000,), "休息", None) for n in range(7)]
    pieces = list(pieces_of([*plain, *long, *text], 4))
    assert [len(piece) for piece in pieces] == [4, 4, 1, 1, 1, 1]
    assert [raw for piece in pieces for raw in piece] == [*plain, *long, *text]
