"""Dialogues through cleaning, split, leak check and encoding: one part a dialogue, one prompt."""

import hashlib
import itertools

import pyarrow.parquet as pq
import pytest

import encode
import split
from medscale.base.errors import UserError
from medscale.base.files import read_json, write_jsonl
from medscale.data.demo.corpus import generate, load_conditions, write_toyhom_csv
from medscale.data.near.leak_check import Thresholds, check
from medscale.fetch.manifest import content_of, read_manifest
from medscale.model.chat import Chat, Question
from medscale.model.tokenizer import load_tokenizer
from places import ROOT
from small_corpora import DIALOGUES, FOLLOW_UP, Cleaned, Split, run, share, topic

GOOD = [{"instruction": question, "input": "", "output": answer} for question, answer in map(topic, range(3))]
BAD = [{"instruction": "头痛怎么办", "input": "", "output": "无"}] * 7


class TestStop:
    def test_a_share_of_bad_rows_stops_the_run_and_what_was_rejected_is_kept(self, tmp_path):
        message = r"7 of the 10 rows.*max_dropped_share, which is 0\.5, are unusable \(placeholder answer 7\)"
        with pytest.raises(UserError, match=message) as stopped:
            Cleaned(tmp_path, GOOD + BAD, "--max-dropped-share", "0.5")
        kept = tmp_path / "stopped" / "rejected.parquet"
        assert str(kept) in str(stopped.value)
        assert pq.read_table(kept).num_rows == 7
        assert not (tmp_path / "clean.parquet").exists()
        assert Cleaned(tmp_path, GOOD + BAD, "--max-dropped-share", "0.7").report["kept"] == 3
        assert not kept.exists()

    def test_duplicates_are_not_bad(self, tmp_path):
        result = Cleaned(tmp_path, GOOD + GOOD[:1] * 9, "--max-dropped-share", "0")
        assert result.report["dropped"] == {"exact_duplicate": 9}


class TestSplit:
    def test_a_dialogue_lies_in_one_part_and_sizes_are_exact(self, tmp_path):
        cleaned = Cleaned(tmp_path, DIALOGUES)
        result = Split(tmp_path, cleaned.path["clean"], 8, 6)
        assert [len(rows) for rows in result.rows.values()] == [8, 6, 26]
        parts = [{row["dialogue"] for row in rows} for rows in result.rows.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 20
        assert result.report["dialogues"] == {"of_several_samples": 20, "samples_in_them": 40}
        assert result.report["families"]["largest"] == 2
        report = check(result.rows["test"], result.rows["pool"], Thresholds())
        assert report["passed"]

    def test_a_row_has_what_stands_before_it_and_no_empty_keys(self, tmp_path):
        rows = Split(tmp_path, Cleaned(tmp_path, DIALOGUES).path["clean"], 8, 6).rows["pool"]
        plain = ["id", "question", "answer", "department"]
        for row in rows:
            assert list(row) == [*plain, *(["history"] if row["id"].endswith(".2") else []), "dialogue"]

    def test_near_dialogues_are_one_family(self, tmp_path):
        near = [{"conversations": share(topic(n)[0] + "急", *topic(n + 50)[1:], *FOLLOW_UP)} for n in range(20)]
        result = Split(tmp_path, Cleaned(tmp_path, DIALOGUES + near).path["clean"], 8, 8)
        assert result.report["families"]["largest"] == 4
        assert check(result.rows["test"], result.rows["pool"], Thresholds())["passed"]

    def test_turns_that_are_not_alike_lie_in_the_part_of_their_dialogue(self, tmp_path):
        records = [
            {"conversations": share(topic(n)[0][:9], *topic(n + 50)[::-1], "多休息，多喝水，多运动。")}
            for n in range(20)
        ]
        result = Split(tmp_path, Cleaned(tmp_path, records).path["clean"], 8, 6)
        parts = [{row["dialogue"] for row in rows} for rows in result.rows.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 20

    def test_later_turns_in_records_of_their_own_follow_their_dialogue(self, tmp_path):
        records = [
            {"instruction": topic(100 * place + number)[0] * 2, "input": "", "output": topic(100 * place + number)[1],
             "history": [topic(number)]}
            for number in range(12)
            for place in (1, 2, 3)
        ]  # fmt: skip
        cleaned = Cleaned(tmp_path, records)
        assert cleaned.report["kept"] == 36
        result = Split(tmp_path, cleaned.path["clean"], 6, 3)
        begun = [{row["history"][0][0] for row in rows} for rows in result.rows.values()]
        assert sum(map(len, begun)) == len(set.union(*begun)) == 12

    def test_one_question_with_its_answer_behind_other_greetings_lies_in_one_part(self, tmp_path):
        greetings = [("医生您好，我想咨询一下。", "您好，请讲。"), ("大夫在吗？在线等您的回复。", "在的，您请说。")]
        records = [{"conversations": share(*hello, *topic(n))} for n in range(20) for hello in greetings]
        result = Split(
            tmp_path,
            Cleaned(tmp_path, records, "--turns", "last", "--near-duplicate-threshold", "null").path["clean"],
            8,
            6,
        )
        parts = [{row["question"] for row in rows} for rows in result.rows.values()]
        assert sum(map(len, parts)) == len(set.union(*parts)) == 20
        known = check(
            result.rows["test"], [*result.rows["pool"], result.rows["test"][0] | {"history": []}], Thresholds()
        )
        assert (known["equal_pairs"]["count"], known["passed"]) == (2, False)

    def test_what_dialogues_repeat_is_no_boilerplate(self, tmp_path):
        turns = [[topic(100 * n + place) for place in range(12)] for n in range(8)]
        records = [{"conversations": share(*itertools.chain.from_iterable(each))} for each in turns]
        result = Split(tmp_path, Cleaned(tmp_path, records).path["clean"], 12, 12)
        assert result.report["boilerplate"] == []

    def test_a_leak_is_a_question_with_its_history(self):
        test = [{"id": "t", "question": FOLLOW_UP[0], "answer": "a", "history": [topic(1)]}]
        others = [{"id": "o", "question": FOLLOW_UP[0], "answer": "b", "history": [topic(2)]}]
        assert check(test, others, Thresholds())["passed"]
        report = check(test, [*others, {**test[0], "id": "same"}], Thresholds())
        assert report["near"]["count"] == 1
        assert report["near"]["worst"][0]["train_question"] == f"{topic(1)[0]}\n{FOLLOW_UP[0]}"


ROW = {"id": "r1.3", "question": "那运动呢？", "answer": "适量运动，循序渐进，不要勉强。" * 3, "department": None,
       "history": [["头痛怎么办？", "多休息，多喝水。"], ["那饮食呢？", "清淡饮食。"]]}  # fmt: skip


class TestEncoding:
    @pytest.fixture
    def encoded(self, tmp_path, tiny_model):
        def encode_rows(rows: list[dict], max_length: int) -> tuple[list[dict], dict]:
            write_jsonl(tmp_path / "rows.jsonl", rows)
            content = content_of(read_manifest(tiny_model))
            chat = '{"system_prompt": "你是医生。", "template": "model"}'
            arguments = ["--model", tiny_model, "--content", content, "--chat", chat, "--max-length", max_length]
            arguments += ["--rows", tmp_path / "rows.jsonl", "--output", tmp_path / "rows.parquet"]
            run(encode, *arguments, "--report", tmp_path / "rows.json")
            return pq.read_table(tmp_path / "rows.parquet").to_pylist(), read_json(tmp_path / "rows.json")

        return encode_rows

    def test_as_many_turns_as_fit_are_in_the_prompt_the_oldest_left_out_first(self, encoded, tiny_model):
        chat = Chat(load_tokenizer(tiny_model), "你是医生。")
        history = tuple(map(tuple, ROW["history"]))
        answer = chat.answer_ids(ROW["answer"])
        prompts = [chat.prompt_ids(Question(ROW["question"], history[place:])) for place in range(3)]
        assert len(prompts[2]) < len(prompts[1]) < len(prompts[0]) < len(prompts[1]) + len(answer)
        for place, prompt in enumerate(prompts):
            for room in (0, 1):
                rows, report = encoded([ROW], len(prompt) + len(answer) + room)
                assert rows[0]["input_ids"] == prompt + answer
                assert rows[0]["labels"] == [-100] * len(prompt) + answer
                assert report["history"] == {
                    "rows": 1, "turns": 2, "rows_shortened": int(place > 0), "turns_left_out": place
                }  # fmt: skip
        rows, report = encoded([ROW], len(prompts[2]) + len(answer) - 1)
        assert rows[0]["input_ids"] == (prompts[2] + answer)[:-1]
        assert (report["answers_truncated"], report["history"]["turns_left_out"]) == (1, 2)

    def test_the_system_text_of_a_row_comes_before_that_of_the_study(self, encoded, tiny_model):
        own, plain = {**ROW, "system": "你是药师。"}, {**ROW, "id": "r2"}
        rows, _ = encoded([own, plain], 500)
        tokenizer = load_tokenizer(tiny_model)
        for row, system in zip(rows, ("你是药师。", "你是医生。"), strict=True):
            text = tokenizer.decode(row["input_ids"])
            assert text.count("system\n") == 1
            assert f"system\n{system}" in text


def test_a_corpus_without_dialogues_gives_the_rows_that_it_always_gave(tmp_path):
    rows = generate(load_conditions(ROOT / "resources" / "demo" / "conditions.json"), 600, 7, noise=0.2)
    write_toyhom_csv(tmp_path / "rows.csv", rows)
    columns = {"question": ["title", "ask"], "answer": "answer", "department": "department"}
    cleaned = Cleaned(tmp_path, (tmp_path / "rows.csv").read_bytes(), name="rows.csv", columns=columns)
    arguments = ["--clean", cleaned.path["clean"], "--test-size", 40, "--validation-size", 20, "--sizes", "[50]"]
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("test", "validation", "pool")}
    outputs = itertools.chain.from_iterable((f"--{name}", path) for name, path in paths.items())
    run(split, *arguments, "--seed", 3, *outputs, "--report", tmp_path / "split.json")
    assert {name: hashlib.sha256(path.read_bytes()).hexdigest()[:16] for name, path in paths.items()} == {
        "test": "d4578aca82ff7d6d",
        "validation": "af236432840f395d",
        "pool": "6bb9e03775c7c6f8",
    }
