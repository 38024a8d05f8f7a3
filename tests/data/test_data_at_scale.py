"""Speed changed no result: what is fast equals what is plain, and any number of processes gives the same bytes."""

import hashlib
import json
import random
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_splitting import Split, questions

import clean
import encode
import split
from cleaned_rows import Cleaned, noisy_rows
from medscale.base import arguments
from medscale.base.files import read_json
from medscale.data import text_cleaning
from medscale.data.near import shingles
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer

REPRODUCIBLE = settings(derandomize=True, max_examples=300)
DIRTY = "高血压<b>&lt;br; \n\t\u3000，。？aAbBÉß１㈠㎎２%％+＋_~～…·—\u200b\u0301ſK：-"
# Where something is special: Latin to Greek, signs and marks, the first ideographs, full width.
SPECIAL = [*range(0x600), *range(0x1E00, 0x3400), 0x4E00, 0x9FFF, *range(0xFF00, 0x10000)]


def plain_comparable(text: str) -> str:
    return shingles._NOISE.sub("", unicodedata.normalize("NFKC", text).casefold()) or text


def plain_normalised(text: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_cleaning, "_IN_ORDER", text_cleaning.re.compile("(?!)"))
        return text_cleaning._normalised(text)


class TestShortcuts:
    @pytest.mark.parametrize("form", ["{}", "高{}b", "{0}{0}"])
    def test_are_exact_for_every_special_character(self, form):
        for text in (form.format(chr(code)) for code in SPECIAL if not 0xD800 <= code < 0xE000):
            assert shingles.comparable(text) == plain_comparable(text), ascii(text)

    @REPRODUCIBLE
    @given(st.one_of(st.text(), st.text(DIRTY)))
    def test_are_exact_for_any_text(self, text):
        assert shingles.comparable(text) == plain_comparable(text)
        assert text_cleaning._normalised(text) == plain_normalised(text)


def digest_of(rows: object) -> str:
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:16]


def rows_with_twins(rng: random.Random, count: int) -> list[dict]:
    """Noisy rows, and among them copies of some in which a few characters are others."""
    rows = noisy_rows(rng, count)
    for _ in range(count // 5):
        twin = dict(rng.choice(rows))
        for name in ("title", "ask", "answer"):
            characters = list(twin[name])
            for place in rng.sample(range(len(characters)), len(characters) // 25):
                characters[place] = rng.choice("甲乙丙丁戊己庚辛")
            twin[name] = "".join(characters)
        rows.insert(rng.randrange(len(rows)), twin)
    return rows


class TestResults:
    """The digests were taken of what the plain version of these stages made, before any of it was made fast."""

    def test_the_same_rows_are_kept_and_dropped_for_the_same_reasons(self, tmp_path):
        result = Cleaned(tmp_path, rows_with_twins(random.Random(6), 2500))
        assert digest_of([result.kept, result.rejected, result.report["dropped"]]) == "a275f6a337a6652e"

    def test_the_split_is_the_same(self, tmp_path):
        result = Split(tmp_path, questions(random.Random(6), 2000), test=200, validation=100)
        report = {name: result.report[name] for name in ("families", "departments", "answers_also_in_pool")}
        assert digest_of([result.rows, report]) == "d4f4a37d14682bc1"

    def test_any_number_of_processes_gives_the_same_bytes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(clean, "BATCH", 50)
        monkeypatch.setattr(split, "BATCH", 50)
        rows, texts = rows_with_twins(random.Random(7), 700), questions(random.Random(7), 500)
        cleaned = [Cleaned(tmp_path / n, rows, "--threads", n).files for n in ("1", "2")]
        assert cleaned[0] == cleaned[1]
        monkeypatch.setattr(arguments, "available_cores", lambda: 1)
        one = Split(tmp_path / "one", texts)
        monkeypatch.setattr(arguments, "available_cores", lambda: 2)
        two = Split(tmp_path / "two", texts)
        for name, path in one.paths.items():
            assert path.read_bytes() == two.paths[name].read_bytes()


class TestEncode:
    def test_batches_encode_as_single_rows_do(self, tmp_path, tiny_model, monkeypatch):
        import pyarrow.parquet as pq

        monkeypatch.setattr(encode, "BATCH", 7)
        rows = [
            {"id": f"r{number}", "question": text, "answer": text * (number % 5)}
            for number, text in enumerate(questions(random.Random(1), 30))
        ]
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        arguments = ["--model", tiny_model, "--rows", path, "--chat", '{"system_prompt": null}', "--max-length", 120]
        arguments += ["--output", tmp_path / "out.parquet", "--report", tmp_path / "out.json"]
        monkeypatch.setattr(sys, "argv", ["encode.py", *map(str, arguments)])
        encode.main()
        chat = Chat(load_tokenizer(tiny_model), None)
        expected = [(row["id"], chat.sample(row["question"], row["answer"], 120)) for row in rows]
        found = pq.read_table(tmp_path / "out.parquet").to_pylist()
        assert [(row["id"], row["input_ids"], row["labels"]) for row in found] == [
            (id, sample.input_ids, sample.labels) for id, sample in expected if sample
        ]
        report = read_json(tmp_path / "out.json")
        assert report["prompts_too_long"] == [id for id, sample in expected if sample is None]
        assert report["answers_truncated"] == sum(sample.truncated for _, sample in expected if sample)
        assert report["tokens"] == sum(len(sample.input_ids) for _, sample in expected if sample)
        assert 0 < report["encoded"] < report["rows"] == len(rows)
