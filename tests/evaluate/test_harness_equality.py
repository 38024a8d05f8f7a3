"""Exams and general texts as lm-evaluation-harness scores them: of one model and file, equal numbers of each item."""

import argparse
import csv
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from medscale.data.exams.fields import Reading
from medscale.data.exams.reading import read_exam
from medscale.evaluate.exam_answers import chosen, read_table
from medscale.evaluate.exam_prompts import asked
from medscale.fetch.manifest import write_manifest
from medscale.model.tiny import new_model, train_tokenizer
from sentences import TEXTS

pytest.importorskip("lm_eval", reason="lm_eval, of the extra dev, is not installed")

SUBJECT = "解剖学"
OPENING = {
    "single": "以下是关于解剖学的单项选择题，请直接给出正确答案的选项。",
    "several": "以下是关于解剖学的多项选择题，请直接给出所有正确答案的选项。",
    "text": "以下是关于解剖学的问题，请直接给出正确答案。",
}
LONGEST = 96
"""Tokens that the model takes: some questions here are longer, and are cut at their left."""


def questions(count: int, letters: str, several: bool = False) -> list[dict]:
    """Return questions of odd lengths, with spaces around them, Latin letters, digits and marks in their options."""
    rng = random.Random(f"{count}/{letters}/{several}")
    words = [text[start : start + size] for text in TEXTS[:5] for start in range(0, 18, 3) for size in (1, 2, 5, 9)]
    odd = ["A型血", "β受体阻滞剂（β-blocker）", "37.5 ℃以上", "“以上都对”", "NaCl 0.9%", "D、不确定", "1"]
    found = []
    for number in range(count):
        options = rng.sample(sorted({*words, *odd}), len(letters))
        asked_for = "".join(rng.choices(TEXTS[:5], k=1 + 9 * (number % 5 == 4)))
        text = f"{' ' * (number % 3)}{asked_for}？{' ' * (number % 2)}"
        right = rng.sample(letters, rng.randint(2, len(letters))) if several else [rng.choice(letters)]
        found.append(
            {
                **{"id": f"q{number}", "question": text, "options": dict(zip(letters, options, strict=True))},
                **{"answer": "".join(sorted(right)), "multiple": several, "subject": SUBJECT, "measures": "medicine"},
            }
        )
    return found


EXAMS = {
    "four": (questions(8, "ABCD"), "letter", "plain"),
    "five": (questions(4, "ABCDE"), "letter", "plain"),
    "texts": (questions(5, "ABCD"), "text", "plain"),
    "several": (questions(3, "ABCD", several=True), "letter", "plain"),
    "chat_letters": (questions(4, "ABCD"), "letter", "chat"),
    "chat_texts": (questions(4, "ABCD"), "text", "chat"),
}
PUBLISHED = {"cmmlu_anatomy": "test/anatomy.csv", "ceval-valid_physician": "val/physician_val.csv"}
"""Tasks of the harness itself, and the file of each set that they ask, as it is called and written there."""
TEXT = {name for name, (_, kind, _) in EXAMS.items() if kind == "text"}
CHAT = {"system_prompt": "你是医生。", "template": "model"}


def settings_of(name: str) -> dict:
    _, kind, prompt = EXAMS.get(name, (None, "letter", "plain"))
    return {"scored_by": kind, "prompt": prompt, "normalise": None, "permutations": 1, "description": None}


def tokenizer_of(kind: str):
    if kind == "qwen":
        pytest.importorskip("dashscope", reason="dashscope, which carries Qwen's vocabulary, is not installed")
        from qwen_tokenizer import qwen_tokenizer

        return qwen_tokenizer()
    tokenizer = train_tokenizer(TEXTS, 600)
    if kind == "begin token":  # as Llama's, which puts one before every text
        from tokenizers.processors import TemplateProcessing

        tokenizer.add_special_tokens({"bos_token": "<s>"})
        begin = ("<s>", tokenizer.convert_tokens_to_ids("<s>"))
        tokenizer._tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[begin])
    return tokenizer


@pytest.fixture(scope="module", params=["small", "begin token", "qwen"])
def study(request, tmp_path_factory):
    """A model with random weights in a folder, the questions as our files, and what examine.py made of them."""
    folder = tmp_path_factory.mktemp("harness")
    tokenizer = tokenizer_of(request.param)
    model = new_model(tokenizer, {"hidden_size": 64, "layers": 2}, seed=5)
    for name, weight in model.named_parameters():
        if "proj" in name:
            weight.data.mul_(4)  # so that answers differ from each other
    model.config.max_position_embeddings = LONGEST
    tokenizer.save_pretrained(folder / "model")
    model.save_pretrained(folder / "model")
    manifest = write_manifest(folder / "model", kind="model", source="tiny")
    for name, (rows, _, _) in EXAMS.items():
        write_lines(folder / f"{name}.jsonl", rows)
    for name, path in PUBLISHED.items():
        write_lines(folder / f"{name}.jsonl", read_published(folder / name, path))
    texts = ["".join(TEXTS[:5]) * repeated + TEXTS[0][: 3 * repeated] for repeated in (0, 1, 3, 12)]
    write_lines(folder / "general.jsonl", [{"id": f"t{i}", "text": text or "好"} for i, text in enumerate(texts)])
    examine(folder, manifest)
    return folder, request.param


def read_published(folder: Path, path: str) -> list[dict]:
    """Write a file as CMMLU or C-Eval has it, and return its questions as exam_questions.py reads them."""
    columns = ["Question", *"ABCD", "Answer"] if path.startswith("test") else ["question", *"ABCD", "answer"]
    (folder / path).parent.mkdir(parents=True)
    with open(folder / path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["" if path.startswith("test") else "id", *columns])
        for number, row in enumerate(questions(5, "ABCD")):
            options = [
                text + "　" * (number == 1) for text in row["options"].values()
            ]  # as in the test part of anatomy
            options[number % 4] = f" {options[number % 4]}"
            writer.writerow([number, f"{number}、{row['question']}", *options, row["answer"]])
    exam = read_exam(write_manifest(folder, kind="data", source="file", files=[path]), Reading("published"))
    assert len(exam.questions) == exam.read == 5
    return [question._asdict() for question in exam.questions]


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def examine(folder: Path, manifest: Path) -> None:
    from medscale.evaluate.examination import run

    settings = {
        "exams": {name: settings_of(name) for name in (*EXAMS, *PUBLISHED)},
        "retention": {"window": 512},
        **{"quantization": {}, "precision": "fp32", "chat": CHAT},
    }
    run(
        argparse.Namespace(
            **{"run": "base", "method": "base", "settings": json.dumps(settings), "fingerprint": "0" * 16},
            **{"threads": 1, "model": manifest, "content": None, "adapter": None, "training": None},
            **{
                "exams": [folder / f"{name}.jsonl" for name in (*EXAMS, *PUBLISHED)],
                "retention": folder / "general.jsonl",
            },
            **{"answers": folder / "exams.parquet", "texts": folder / "retention.parquet"},
            examination=folder / "examination.json",
        )
    )


def task_of(folder: Path, name: str) -> dict:
    """Write the questions as a CSV file, and return a task of the harness for it: that of cmmlu, but for the file."""
    rows, kind, prompt = EXAMS[name]
    letters = list(rows[0]["options"])
    choices = asked(rows[0], settings_of(name))[0].choices
    with open(folder / f"{name}.csv", "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["Question", *letters, "Gold"])
        for row in rows:
            writer.writerow([row["question"], *row["options"].values(), choices.index(row["answer"])])
    listed = "".join(f"{letter}. {{{{{letter}}}}}\n" for letter in letters) if kind == "letter" else ""
    several = rows[0]["multiple"]
    told = {"letter": [f"{choice}\n" for choice in choices] if several else letters}
    return {
        **{"task": f"made_{name}", "dataset_path": "csv", "test_split": "test", "output_type": "multiple_choice"},
        "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.csv")}},
        "description": OPENING["several" if several else "text" if kind == "text" else "single"]
        + ("\n\n" if prompt == "plain" else ""),
        "doc_to_text": "{{Question.strip()}}" + ("" if name == "chat_texts" else f"\n{listed}答案："),
        "doc_to_choice": told.get(kind, "{{[A, B, C, D]}}"),
        "doc_to_target": "{{Gold}}",
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")
        ],
    }


def published_task(folder: Path, name: str) -> dict:
    """Return the harness's own task, but for where its file lies."""
    import lm_eval.tasks

    own = Path(lm_eval.tasks.__file__).parent / re.split("[_-]", name)[0] / f"{name}.yaml"
    files = dict.fromkeys(("dev", PUBLISHED[name].partition("/")[0]), str(folder / name / PUBLISHED[name]))
    return {"include": str(own), "dataset_path": "csv", "dataset_kwargs": {"data_files": files}}


@pytest.fixture(scope="module")
def harness(study, tmp_path_factory):
    """What the harness makes of the same model and files: its results, and its model."""
    folder, _ = study
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import config
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    patch.setattr(config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    tasks = tmp_path_factory.mktemp("tasks")
    for name in EXAMS:
        text = yaml.safe_dump(task_of(folder, name), allow_unicode=True, sort_keys=False)
        (tasks / f"{name}.yaml").write_text(text, encoding="utf-8")
    for name in PUBLISHED:
        (tasks / f"{name}.yaml").write_text(yaml.safe_dump(published_task(folder, name)), encoding="utf-8")
    model = HFLM(pretrained=str(folder / "model"), dtype="float32", device="cpu", batch_size=4)
    samples, results = {}, {}
    for wanted in ("plain", "chat"):
        told = {"apply_chat_template": True, "system_instruction": CHAT["system_prompt"]} if wanted == "chat" else {}
        found = simple_evaluate(
            model,
            tasks=[f"made_{name}" for name, (_, _, prompt) in EXAMS.items() if prompt == wanted]
            + [name for name in PUBLISHED if wanted == "plain"],
            task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
            bootstrap_iters=0,
            **told,
        )
        samples |= found["samples"]
        results |= found["results"]
    yield {"samples": samples, "results": results}, model
    patch.undo()


@pytest.mark.parametrize("name", EXAMS)
def test_each_choice_of_each_item_is_as_likely_as_in_the_harness(study, harness, name):
    folder, _ = study
    found, _ = harness
    ours = {row["id"]: row for row in read_table(folder / "exams.parquet")[0] if row["exam"] == name}
    samples = found["samples"][f"made_{name}"]
    assert len(samples) == len(ours) == len(EXAMS[name][0])
    for sample in samples:
        row = ours[f"q{sample['doc_id']}"]
        theirs = [response[0][0] for response in sample["resps"]]
        assert row["loglikelihoods"] == pytest.approx(theirs, abs=1e-4)
        assert row["choices"].index(row["answer"]) == int(sample["target"])
        pick = chosen(row["loglikelihoods"], row["characters"], normalised=False)
        assert pick == int(np.argmax(theirs))
        assert (row["choices"][pick] == row["answer"]) == bool(sample["acc"])
        length = chosen(row["loglikelihoods"], row["characters"], normalised=True)
        assert (row["choices"][length] == row["answer"]) == bool(sample["acc_norm"])
        assert row["correct"] == bool(sample["acc_norm" if name in TEXT else "acc"])


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_files_are_asked_to_the_letter_as_the_harness_asks_them(study, harness, name):
    folder, _ = study
    found, _ = harness
    rows = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["subject"] for row in rows} == {name.split("_")[1]}, "accuracies are told by the file's own names"
    ours = {row["id"]: row for row in read_table(folder / "exams.parquet")[0] if row["exam"] == name}
    samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
    assert len(samples) == len(rows) == 5
    for row, sample in zip(rows, samples, strict=True):
        (form,) = asked(row, settings_of(name))
        assert [(form.context, choice) for choice in form.continuations] == list(map(tuple, sample["arguments"]))
        theirs = [response[0][0] for response in sample["resps"]]
        assert ours[row["id"]]["loglikelihoods"] == pytest.approx(theirs, abs=1e-4)


def test_the_model_makes_different_choices_some_of_them_right(study):
    """One that always made the same choice would hide a mistake."""
    rows, _ = read_table(study[0] / "exams.parquet")
    assert len({(row["exam"], row["chosen"]) for row in rows}) >= 2 * len(EXAMS)
    assert 0 < sum(row["correct"] for row in rows) < len(rows)


@pytest.mark.parametrize("name", EXAMS)
def test_the_accuracy_is_that_of_the_harness(study, harness, name):
    from medscale.evaluate.exam_scores import summarise_exams

    folder, _ = study
    rows, facts = read_table(folder / "exams.parquet")
    summary, result = summarise_exams(rows, facts["exams"], {})[name], harness[0]["results"][f"made_{name}"]
    assert summary["accuracy_sum"]["accuracy"] == pytest.approx(100 * result["acc,none"], abs=1e-6)
    assert summary["accuracy_normalised"]["accuracy"] == pytest.approx(100 * result["acc_norm,none"], abs=1e-6)
    headline = "accuracy_normalised" if name in TEXT else "accuracy_sum"
    assert summary["accuracy"] == summary[headline]["accuracy"]


def test_questions_longer_than_the_model_takes_are_among_them(study):
    """Else the cut at the left would not be compared."""
    from medscale.model.tokenizer import load_tokenizer

    folder, _ = study
    tokenizer = load_tokenizer(folder / "model" / "manifest.json")
    contexts = (asked(row, settings_of(name))[0].context for name in EXAMS for row in EXAMS[name][0])
    lengths = [len(tokenizer.encode(context)) for context in contexts]
    assert max(lengths) > LONGEST > min(lengths)


def test_general_texts_are_as_likely_as_in_the_harness(study, harness):
    from lm_eval.api.instance import Instance

    folder, kind = study
    if kind == "begin token":
        pytest.skip("the harness puts the begin token before a text twice, and counts the second")
    texts = [json.loads(line)["text"] for line in (folder / "general.jsonl").read_text(encoding="utf-8").splitlines()]
    requests = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in texts]
    theirs = harness[1].loglikelihood_rolling(requests, disable_tqdm=True)
    rows, _ = read_table(folder / "retention.parquet")
    assert [-row["nll_sum"] for row in rows] == pytest.approx(theirs, abs=1e-3)
    assert max(row["n_tokens"] for row in rows) > 2 * LONGEST, "a text of several windows is compared"
