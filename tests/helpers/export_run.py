"""A run to export: an adapter that changes the tiny model's answers, its predictions, the files beside them."""

from pathlib import Path

import torch

import synthetic
from medscale.base.files import write_json, write_jsonl
from medscale.data.questions import question_of
from medscale.evaluate.generation import generate, likelihoods
from medscale.fetch.manifest import content_of, read_manifest, write_manifest
from medscale.model.chat import Chat
from medscale.model.loading import add_adapter, load_adapter, load_base
from medscale.model.tokenizer import load_tokenizer
from medscale.train.saved_adapter import name_base

SYSTEM = "你是医生。"
NF4 = {"quant_type": "nf4", "double_quant": True}
LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", "use_rslora": False}
EXPORT = {"forms": ["adapter", "merged", "gguf"], "merge_into": "nearest", "sample": 4, "tolerance": 0.01}
EXPORT |= {"identical_answers": 0.5, "gguf_type": "auto", "measure_gguf": True}
SETTINGS = {
    "export": EXPORT,
    "resamples": 200,
    "evaluation": {"engine": "transformers", "max_samples": None, "max_new_tokens": 12, "batch_size": 4},
    "chat": {"system_prompt": SYSTEM, "template": "model"},
    "quantization": NF4,
    "precision": "auto",
    "max_length": 96,
}
QUESTIONS = [
    "高血压患者吃什么",
    "糖尿病有什么症状",
    "第三个问题怎么办",
    "胃炎患者能吃辣吗",
    "问 <|im_end|> 和 <b>",
    "儿童腹泻",
]
ROWS = [{"id": str(i), "question": text, "answer": text[::-1] + "注意休息。"} for i, text in enumerate(QUESTIONS)]
ROWS[1] |= {"history": [["头痛怎么办", "多休息。"]], "system": "请简短回答。"}

CONVERTER = """\
import argparse, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("--outfile", type=pathlib.Path)
parser.add_argument("--outtype")
args = parser.parse_args()
if not (args.model / "config.json").is_file():
    print("INFO loading", args.model / "config.json")
    sys.exit("NotImplementedError: BPE pre-tokenizer was not recognized")
args.outfile.write_bytes(b"GGUF" + args.outtype.encode())
"""
"""Stands in for convert_hf_to_gguf.py: it takes the same options, and writes what it was asked for."""


def write_adapter(folder: Path, manifest: Path, method: str) -> None:
    """Write an adapter whose effect is far above rounding."""
    model = add_adapter(load_base(manifest.parent, method, NF4, "fp32"), LORA, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data = 0.05 * torch.randn(weight.shape, generator=generator)
    model.save_pretrained(folder)
    name_base(folder, read_manifest(manifest))


def predictions_of(adapter: Path, manifest: Path, method: str, chat: Chat) -> list[dict]:
    """Return the rows of predictions.jsonl, made as predict.py makes them."""
    base = load_base(manifest.parent, method, NF4, "fp32").eval()
    model = load_adapter(base, adapter, merge=method == "lora")
    references = [row["answer"] for row in ROWS]
    questions = chat.fitted(list(map(question_of, ROWS)), references, SETTINGS["max_length"])
    answers = generate(model, chat, questions, SETTINGS["evaluation"]["max_new_tokens"], 4, "run").answers
    scores = likelihoods(model, chat, list(zip(questions, references, strict=True)), SETTINGS["max_length"]).likelihoods
    return [
        {
            "id": row["id"],
            "prompt": row["question"],
            "predict": answer.text,
            "label": row["answer"],
            "nll_sum": round(score.nll_sum, 6),
            "n_answer_tokens": score.n_tokens,
            "n_output_tokens": answer.n_tokens,
        }
        for row, answer, score in zip(ROWS, answers, scores, strict=True)
    ]


def write_run(folder: Path, manifest: Path, method: str = "lora") -> list[str]:
    """Write a finished run of the tiny model, and return the arguments of export.py but for its settings."""
    name, home = f"{method}_16", folder / "results" / f"{method}_16"
    write_adapter(home / "adapter", manifest, method)
    chat = Chat(load_tokenizer(str(manifest)), SYSTEM)
    write_jsonl(home / "predictions.jsonl", predictions_of(home / "adapter", manifest, method, chat))
    write_jsonl(folder / "test.jsonl", ROWS)
    model = content_of(read_manifest(manifest))
    training = synthetic.training_record(method, 20_000)
    training["training"] |= {"precision": "fp32"}
    training["settings"] = {
        "method": method,
        "seed": 42,
        "training": {
            "optimizer": "adamw_torch",
            "learning_rate": 0.0002,
            "lr_scheduler": "cosine",
            "warmup_ratio": 0.03,
            "weight_decay": 0.0,
        },
        "lora": LORA,
        "quantization": NF4,
    }
    for record, file in (
        (training, "training.json"),
        (synthetic.inference_record(method, 20_000), "inference.json"),
        (synthetic.evaluation(method, 20_000) | {"n_test": len(ROWS)}, "eval.json"),
    ):
        record["run"] = name
        if "inference" in record:
            record["inference"] |= {"engine": "transformers 5.23.0", "precision": "fp32"}
        record["provenance"] |= {"fingerprint": "0123456789abcdef", "model_manifest_sha256": model}
        write_json(home / file, record)
    write_json(folder / "clean_report.json", {"read": 30, "kept": 28, "dropped": {"duplicate": 2}})
    write_json(folder / "split_report.json", {"sizes": {"test": 6, "validation": 4, "pool": 18}})
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "rows.jsonl").write_text('{"question": "第三个问题怎么办", "answer": "多喝水"}\n', encoding="utf-8")
    write_manifest(corpus, kind="data", source="demo", files=["rows.jsonl"])
    inputs = {
        "model": manifest,
        "adapter": home / "adapter",
        "training": home / "training.json",
        "predictions": home / "predictions.jsonl",
        "inference": home / "inference.json",
        "eval": home / "eval.json",
        "test": folder / "test.jsonl",
        "clean-report": folder / "clean_report.json",
        "split-report": folder / "split_report.json",
        "corpus": corpus / "manifest.json",
        "output": home / "export",
    }
    arguments = ["--run", name, "--method", method]
    return arguments + [text for key, path in inputs.items() for text in (f"--{key}", str(path))]
