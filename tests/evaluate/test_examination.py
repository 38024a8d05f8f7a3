"""What an examination computes again: what the model would be asked otherwise, or another model, and nothing else."""

import argparse
import json

import pytest

from medscale.base.files import read_json, write_jsonl
from medscale.evaluate import examination
from medscale.evaluate.exam_answers import read_table
from sentences import TEXTS

CHAT = {"system_prompt": "你是医生。", "template": "model"}
ASKED = {"prompt": "plain", "scored_by": "letter", "normalise": None, "permutations": 1, "description": None}
SETTINGS = {
    "exams": {"plain": ASKED, "chat": ASKED | {"prompt": "chat"}},
    **{"chat": CHAT, "retention": {"window": 64}, "quantization": {"quant_type": "nf4"}, "precision": "fp32"},
}
QUESTION = {
    **{"id": "q1", "question": "哪个科室看胃？", "options": {"A": "消化科", "B": "骨科", "C": "眼科"}, "answer": "A"},
    **{"multiple": False, "subject": "分诊", "measures": "medicine", "seen": None},
}
GENERAL = "".join(TEXTS[:5])
SETS = {"exam_plain", "exam_chat", "retention"}


@pytest.fixture
def examine(tiny_model, tmp_path, monkeypatch):
    """Return a function that examines the base model and returns the sets that it computed, and those it kept."""
    computed = []
    compute = examination.loglikelihoods

    def noted(model, rows, pad, kept, label):
        computed.append(label)
        return compute(model, rows, pad, kept, label)

    monkeypatch.setattr(examination, "loglikelihoods", noted)

    def run(settings=None, question=None, text=GENERAL, fingerprint="0" * 16) -> set[str]:
        computed.clear()
        paths = [tmp_path / f"{name}.jsonl" for name in ("plain", "chat")]
        for path in paths:
            write_jsonl(path, [QUESTION | (question or {})])
        write_jsonl(tmp_path / "texts.jsonl", [{"id": "t1", "text": text}])
        examination.run(
            argparse.Namespace(
                **{"run": "base", "method": "base", "fingerprint": fingerprint, "threads": 1, "model": tiny_model},
                **{"content": None, "adapter": None, "training": None, "exams": paths},
                **{"settings": json.dumps(SETTINGS | (settings or {})), "retention": tmp_path / "texts.jsonl"},
                **{"answers": tmp_path / "exams.parquet", "texts": tmp_path / "retention.parquet"},
                examination=tmp_path / "examination.json",
            )
        )
        names = {"exam plain": "exam_plain", "exam chat": "exam_chat", "general texts": "retention"}
        return {names[label] for label in computed}

    return run


def exams(**changed):
    return {"exams": {name: asked | changed for name, asked in SETTINGS["exams"].items()}}


@pytest.mark.parametrize(
    "told",
    [
        {"fingerprint": "1" * 16},  # as another study.test_size or another corpus plans the base model
        {"settings": {"quantization": {"quant_type": "fp4"}}},  # the base model is loaded whole
        {"settings": exams(normalise=True)},
        {"question": {"answer": "C", "measures": "general", "id": "q2", "seen": True}},
    ],
)
def test_what_changes_no_likelihood_computes_nothing(examine, tmp_path, told):
    assert examine() == SETS
    before = read_json(tmp_path / "examination.json")
    assert examine(**told) == set()
    after = read_json(tmp_path / "examination.json")
    assert after["examination"]["seconds_by_set"] == before["examination"]["seconds_by_set"]
    assert after["provenance"]["model_manifest_sha256"] == before["provenance"]["model_manifest_sha256"]
    rows, _ = read_table(tmp_path / "exams.parquet")
    assert {row["answer"] for row in rows} == {(told.get("question") or QUESTION)["answer"]}


@pytest.mark.parametrize(
    ("told", "computed"),
    [
        ({"settings": {"chat": CHAT | {"system_prompt": "你是药师。"}}}, {"exam_chat"}),
        ({"settings": {"chat": CHAT | {"template": "plain"}}}, {"exam_chat"}),
        ({"settings": {"retention": {"window": 4}}}, {"retention"}),
        ({"text": TEXTS[1]}, {"retention"}),
        ({"settings": exams(description="答题。")}, {"exam_plain", "exam_chat"}),
        ({"settings": exams(scored_by="text")}, {"exam_plain", "exam_chat"}),
        ({"settings": exams(permutations="all")}, {"exam_plain", "exam_chat"}),
        ({"question": {"subject": "护理"}}, {"exam_plain", "exam_chat"}),
        ({"question": {"options": {"A": "消化科", "B": "骨科", "C": "儿科"}}}, {"exam_plain", "exam_chat"}),
        ({"settings": {"precision": "bf16"}}, SETS),
    ],
)
def test_what_changes_likelihoods_computes_them_and_no_others(examine, told, computed):
    assert examine() == SETS
    assert examine(**told) == computed
    assert examine(**told) == set()
