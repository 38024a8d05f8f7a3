"""Texts in a file, their fingerprints, and work in several processes."""

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.base.parallel import batched, ordered_map
from medscale.data.near.text_store import DIGEST_BYTES, GrowingArray, TextStore, digest, first_occurrences

REPRODUCIBLE = settings(derandomize=True)


class TestTextStore:
    @REPRODUCIBLE
    @given(st.lists(st.lists(st.text(max_size=8), max_size=5), max_size=5), st.data())
    def test_is_a_list_that_lies_in_a_file(self, parts, data):
        texts, store = [text for part in parts for text in part], TextStore(tempfile.gettempdir())
        for part in parts:
            store.extend(part)
            assert len(store) == 0 or store[len(store) - 1].encode() == store.bytes_of(len(store) - 1)
        start, stop = (data.draw(st.integers(0, len(texts) + 2)) for _ in range(2))
        assert list(store) == texts
        assert store[start:stop] == texts[start:stop]

    def test_leaves_no_file_behind(self, tmp_path):
        store = TextStore(tmp_path)
        store.extend(["高血压"])
        assert list(tmp_path.iterdir()) == []
        assert store[0] == "高血压"
        with pytest.raises(IndexError):
            store[1]


class TestFingerprints:
    @REPRODUCIBLE
    @given(st.lists(st.sampled_from("甲乙丙丁")))
    def test_first_occurrences_are_those_of_a_dictionary(self, texts):
        first: dict[str, int] = {}
        expected = [first.setdefault(text, place) for place, text in enumerate(texts)]
        digests = np.frombuffer(b"".join(map(digest, texts)), np.uint8).reshape(-1, 16)
        assert first_occurrences(digests).tolist() == expected

    def test_an_array_grows_and_keeps_what_it_is_told(self):
        rng, rows = random.Random(1), np.arange(30_000, dtype=np.int64).reshape(-1, 3)
        block, start = GrowingArray((3,), np.int64), 0
        while start < len(rows):
            stop = start + rng.randrange(3000)
            block.extend(rows[start:stop])
            start = stop
        assert np.array_equal(block.rows, rows)
        places = np.flatnonzero(rows[:, 0] % 7 < 5)
        block.keep(places)
        assert np.array_equal(block.rows, rows[places])


def doubled(numbers: list[int]) -> list[int]:
    if 13 in numbers:
        raise UserError("no luck")
    return [2 * number for number in numbers]


def worker_id(_: int) -> int:
    time.sleep(0.001)
    return os.getpid()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Where nobody waits for orphans, an ended one stays in the table of processes.
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


class TestOrderedMap:
    def test_results_are_in_order_with_any_number_of_processes(self):
        pieces = list(batched(range(20, 500), 7))
        for processes in (1, 2, 3):
            assert list(ordered_map(doubled, pieces, processes)) == [doubled(piece) for piece in pieces]

    def test_pieces_are_read_as_they_are_needed(self):
        taken = []
        results = ordered_map(doubled, (taken.append(number) or [number] for number in range(20, 120)), 2)
        for done in range(1, 40):
            next(results)
            assert len(taken) <= done + 12
        results.close()

    def test_workers_end_when_the_process_that_they_work_for_is_killed(self, tmp_path):
        program = (
            f"import sys; sys.path[:0] = {sys.path!r}\n"
            "from medscale.base.parallel import ordered_map; from test_text_store import worker_id\n"
            "if __name__ == '__main__':\n"
            "    for worker in ordered_map(worker_id, range(10**9), 2): print(worker, flush=True)"
        )
        path = tmp_path / "program.py"
        path.write_text(program, encoding="utf-8")
        process = subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE)
        workers = {int(process.stdout.readline()) for _ in range(50)}
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while any(is_running(worker) for worker in workers):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    @pytest.mark.parametrize("processes", [1, 2])
    def test_an_error_comes_through(self, processes):
        with pytest.raises(UserError, match="no luck"):
            list(ordered_map(doubled, [[number] for number in range(40)], processes))


def test_a_digest_is_16_bytes_of_the_text():
    assert DIGEST_BYTES == 16
    assert digest("高血压") == hashlib.blake2b("高血压".encode(), digest_size=16).digest()


@pytest.fixture
def store(tmp_path):
    found = TextStore(tmp_path)
    found.extend(["高血压", "", "ab"])
    found.extend_bytes([b"", "糖".encode()])
    return found


def test_texts_are_read_one_by_one_and_in_rows(store):
    assert len(store) == 5
    assert [store[place] for place in range(5)] == ["高血压", "", "ab", "", "糖"]
    assert [store.bytes_of(place) for place in range(5)] == ["高血压".encode(), b"", b"ab", b"", "糖".encode()]
    assert (store[1:4], store[:], store[3:3], store[4:2], store[3:99]) == (
        ["", "ab", ""],
        list(store),
        [],
        [],
        ["", "糖"],
    )
    store.extend(["尿"])
    assert store[4:] == ["糖", "尿"]


def test_no_text_stands_before_the_first_or_after_the_last(store):
    for place in (-1, 5):
        with pytest.raises(IndexError, match=f"^{place}$"):
            store[place]
    for part in (slice(0, 4, 2), slice(4, 0, -1)):
        with pytest.raises(ValueError, match=r"^a part of the texts must be without gaps$"):
            store[part]


def test_texts_are_whole_where_a_read_is_cut_short(store, monkeypatch):
    whole, read = list(store), os.pread
    monkeypatch.setattr(os, "pread", lambda file, count, position: read(file, min(count, 4), position))
    assert store[:] == [store[place] for place in range(5)] == whole


def test_digests_are_told_apart_by_either_half():
    halves = np.array([[1, 2], [1, 3], [2, 2], [1, 3], [1, 2], [0, 9], [1, 3]], np.uint64)
    assert first_occurrences(halves.view(np.uint8)).tolist() == [0, 1, 2, 1, 0, 5, 1]
    assert first_occurrences(np.empty((0, 16), np.uint8)).tolist() == []
    assert first_occurrences(np.full((3, 16), 255, np.uint8)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("sizes", [(0,), (1,), (4096, 1), (5000, 500, 1000), (3, 0, 9000, 1)])
def test_an_array_holds_what_was_added_and_then_what_was_kept(sizes):
    rows, block, start = np.arange(2 * sum(sizes)).reshape(-1, 2), GrowingArray((2,), np.int64), 0
    for size in sizes:
        block.extend(rows[start : start + size])
        start += size
        assert np.array_equal(block.rows, rows[:start])
    places = np.flatnonzero(rows[:, 0] % 3 > 0)
    block.keep(places)
    assert np.array_equal(block.rows, rows[places])
    block.extend(rows[:2])
    assert np.array_equal(block.rows, np.concatenate([rows[places], rows[:2]]))
    assert block.rows.dtype == np.int64
