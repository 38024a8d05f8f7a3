"""Make what all contenders of benchmarks/training.py train: a model with random weights, and rows of tokens.

A process of its own, so that the one that starts the contenders holds no torch and no CUDA context.
"""

import argparse
import csv
import random
import sys
from pathlib import Path

import torch
from datasets import Dataset
from transformers import Qwen2Config, Qwen2ForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from flops import head_share, peak_tflops
from medscale.base.cards import leased_cards
from medscale.base.errors import UserError, run_script
from medscale.base.files import write_json
from medscale.data.text_encoding import detect_encoding
from medscale.model.chat import IGNORED, Chat
from medscale.model.hardware import device, hardware
from medscale.model.precision import precision, torch_dtype
from medscale.model.tiny import train_tokenizer
from qwen_tokenizer import qwen_tokenizer

QWEN = {"vocab_size": 151_936, "max_position_embeddings": 32_768, "rope_theta": 1e6, "tie_word_embeddings": True}


def small(hidden: int, layers: int, **others: int) -> dict:
    """Return the fields of a Qwen2 of this width: eight heads to four keys, an MLP of 5.375 widths as the 3B has."""
    return QWEN | {
        "hidden_size": hidden,
        "intermediate_size": hidden * 43 // 8,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden // 32,
        "num_key_value_heads": max(1, hidden // 256),
        **others,
    }


SHAPES = {
    "ci": small(64, 2, vocab_size=2048),
    "small": small(256, 4),
    # The head as large a part of the whole as in the 3B model, which no small model with Qwen's vocabulary has.
    "light-head": small(512, 12, vocab_size=12_288),
    "qwen2.5-3b": QWEN
    | {
        "hidden_size": 2048,
        "intermediate_size": 11_008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
    },
}
# Toyhom's rows with the chat template: 176 tokens, one in a hundred above 267, the longest 578; 57 % answer.
MEAN_TOKENS, DEVIATION, ANSWER_SHARE = 176, 39, 0.57
SYSTEM_PROMPT = "你是一名专业、谨慎的医生，请用中文回答患者的问题。"
LETTERS = ["高血压患者应低盐饮食，按时服药。", "感冒多由病毒引起，注意休息，多喝温水。"]


@leased_cards()  # before anything asks CUDA how many there are
def main() -> None:
    args = parse_arguments()
    kind = precision()
    shape = SHAPES[args.shape]
    if args.csv:
        tokenizer = qwen_tokenizer()
        rows, texts = csv_rows(args.csv, Chat(tokenizer, SYSTEM_PROMPT), args.rows, args.max_length, args.seed)
        write_json(Path(args.folder) / "texts.json", texts)
    else:
        tokenizer = train_tokenizer(LETTERS, 400)
        rows = made_up_rows(args.rows, shape["vocab_size"], args.max_length, args.seed)
    torch.manual_seed(args.seed)
    torch.set_default_dtype(torch_dtype(kind))
    with device():
        model = Qwen2ForCausalLM(Qwen2Config(**shape, pad_token_id=tokenizer.pad_token_id, dtype=torch_dtype(kind)))
    folder = Path(args.folder)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows.to_parquet(folder / "rows.parquet")
    timed = rows.select(range(args.warm_up, len(rows)))
    lengths = sorted(map(len, timed["input_ids"]))
    answers = sum(label != IGNORED for labels in timed["labels"] for label in labels)
    facts = hardware()
    write_json(
        folder / "inputs.json",
        {
            "hardware": facts,
            "precision": kind,
            "peak_tflops": peak_tflops(facts["gpu_model"]),
            "shape": {"name": args.shape, **shape, "parameters": model.num_parameters()},
            "system_prompt": SYSTEM_PROMPT,
            "lengths": [len(ids) for ids in rows["input_ids"]],
            "head_share": round(head_share(shape), 3),
            "rows": {
                "source": Path(args.csv).name if args.csv else "made up",
                "rows": len(timed),
                "tokens": sum(lengths),
                "answer_tokens": answers,
                "mean_tokens": round(sum(lengths) / len(lengths), 1),
                "p99_tokens": lengths[int(0.99 * (len(lengths) - 1))],
                "max_tokens": lengths[-1],
                "answer_share": round(answers / sum(lengths), 3),
            },
        },
    )


def made_up_rows(count: int, vocabulary: int, max_length: int, seed: int) -> Dataset:
    """Return rows of random tokens whose lengths are distributed as those of real ones."""
    generator = random.Random(seed)
    ids, labels = [], []
    for _ in range(count):
        length = min(max_length, max(24, round(generator.gauss(MEAN_TOKENS, DEVIATION))))
        answer = min(length - 8, max(1, round(length * generator.gauss(ANSWER_SHARE, 0.08))))
        row = [generator.randrange(1, vocabulary) for _ in range(length)]
        ids.append(row)
        labels.append([IGNORED] * (length - answer) + row[length - answer :])
    return Dataset.from_dict({"input_ids": ids, "labels": labels})


def csv_rows(path: str, chat: Chat, count: int, max_length: int, seed: int) -> tuple[Dataset, list[dict[str, str]]]:
    """Return rows of a CSV file in the Toyhom schema as the workflow encodes them, and as texts."""
    with open(path, encoding=detect_encoding(path), newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row.get("ask") and row.get("answer")]
    if len(rows) < count:
        raise UserError(
            "X105", f"{path}: {len(rows)} rows with ask and answer, but --rows and the warm-up need {count}"
        )
    rows = random.Random(seed).sample(rows, count)
    samples = chat.samples([row["ask"] for row in rows], [row["answer"] for row in rows], max_length)
    kept = [(sample, row) for sample, row in zip(samples, rows, strict=True) if sample is not None]
    encoded = {"input_ids": [s.input_ids for s, _ in kept], "labels": [s.labels for s, _ in kept]}
    texts = [{"instruction": row["ask"], "input": "", "output": row["answer"]} for _, row in kept]
    return Dataset.from_dict(encoded), texts


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, required=True, help="which model")
    parser.add_argument("--rows", type=int, required=True, help="rows, with those of the warm-up")
    parser.add_argument("--warm-up", type=int, required=True, help="how many of the rows are the warm-up's")
    parser.add_argument("--max-length", type=int, required=True, help="longest row")
    parser.add_argument("--csv", help="take rows of this Toyhom CSV")
    parser.add_argument("--seed", type=int, required=True, help="seed of weights and rows")
    parser.add_argument("--folder", required=True, help="where they go")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
