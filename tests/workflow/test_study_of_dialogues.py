"""The whole study on dialogues: the same prompts in training, answers and likelihoods, and the report tells of them."""

import json
import random

import pyarrow.parquet as pq
import pytest

from medscale.base.files import read_json, read_jsonl
from medscale.data.questions import question_of
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer
from workflow_runner import Copy

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
SYSTEM = "你是药师。"


def dialogues(count: int) -> list[dict]:
    """Dialogues of two turns in the layout of ShareGPT, of unlike texts, with a system text of their own."""
    letters = [chr(code) for code in range(0x4E00, 0x5200)]
    made = []
    for number in range(count):
        draw = random.Random(number)
        texts = ["".join(draw.choices(letters, k=size)) for size in (14, 30, 20)]
        said = [("system", SYSTEM), ("human", f"{texts[0]}怎么办？"), ("gpt", f"建议{texts[1]}。")]
        said += [("human", "谢谢，那饮食上要注意什么呢？"), ("gpt", f"饮食{texts[2]}。")]
        made.append({"conversations": [{"from": who, "value": text} for who, text in said]})
    return made


def test_a_study_of_dialogues(tmp_path):
    study = Copy(tmp_path / "copy")
    (tmp_path / "rows.json").write_text(json.dumps(dialogues(30), ensure_ascii=False), encoding="utf-8")
    study.configure(
        data={"source": "file", "path": str(tmp_path / "rows.json"), "columns": {"question": "title", "answer": "a"}},
        study={"methods": ["lora"], "sizes": [16], "test_size": 8, "validation_size": 6},
        evaluation={"max_new_tokens": 4, "batch_size": 4, "bootstrap_resamples": 100, "floors": ["bm25"]},
    )
    study.run()
    results = study.folder / "results"
    report = read_json(results / "data" / "clean_report.json")
    assert (report["read"], report["kept"], report["samples"]) == (30, 30, 60)
    parts = [list(read_jsonl(results / "data" / f"{name}.jsonl")) for name in ("test", "validation", "pool")]
    assert [len(rows) for rows in parts] == [8, 6, 46]
    assert len(set.union(*({row["dialogue"] for row in rows} for rows in parts))) == 30

    chat = Chat(load_tokenizer(study.folder / "resources" / "models" / "tiny" / "manifest.json"), "another")
    rows = list(read_jsonl(results / "data" / "train_16.jsonl"))
    encoded = pq.read_table(results / "data" / "encoded" / "train_16.parquet").to_pylist()
    assert any(row.get("history") for row in rows)
    for row, sample in zip(rows, encoded, strict=True):
        prompt = chat.prompt_ids(question_of(row))
        assert sample["input_ids"] == prompt + chat.answer_ids(row["answer"])
        assert SYSTEM in chat.tokenizer.decode(prompt)

    for run in ("base", "lora_16", "floor_bm25"):
        predictions = list(read_jsonl(results / run / "predictions.jsonl"))
        for row, prediction in zip(parts[0], predictions, strict=True):
            assert prediction["prompt"] == row["question"]
            assert prediction.get("history") == row.get("history")
            assert prediction["system"] == SYSTEM
            assert prediction["n_answer_tokens"] in (None, len(chat.answer_ids(row["answer"])))
    page = (results / "summary" / "report.html").read_text(encoding="utf-8")
    assert "The kept rows give 60 samples" in page
    asked = next(row for row in parts[0] if row.get("history"))
    assert json.dumps(f"问：{asked['history'][0][0]}\n答：", ensure_ascii=False)[1:-1] in page
