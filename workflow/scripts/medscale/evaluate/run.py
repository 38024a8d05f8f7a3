"""One run's answers to the test questions, and the likelihoods of the references, with what they took."""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers

from medscale.base.digest import code_digest, folder_digest
from medscale.base.errors import UserError
from medscale.base.files import read_json, read_jsonl, sha256_file, sha256_json, write_json, write_jsonl
from medscale.base.identity import predicted_fingerprint
from medscale.base.progress import working
from medscale.data.questions import Question, context_of, question_of
from medscale.evaluate.generation import Answer, Generation, Scored, empty_answers, generate, likelihoods
from medscale.evaluate.kept_answers import open_kept, remove_kept
from medscale.evaluate.vllm_engine import VllmModel
from medscale.fetch.manifest import content_of, read_manifest, verify
from medscale.model.chat import Chat
from medscale.model.hardware import MemoryMeter, hardware, software
from medscale.model.loading import load_adapter, load_base
from medscale.model.precision import precision
from medscale.model.tokenizer import load_tokenizer

WARM_UP = 2  # prompts answered before the clock starts


def run(args: argparse.Namespace) -> None:
    """Do what the arguments of ``predict.py`` ask for, on the device that is visible."""
    settings = json.loads(args.settings)
    torch.set_num_threads(args.threads)
    evaluation, kind, memory = settings["evaluation"], precision(settings["precision"]), MemoryMeter()
    rows = list(itertools.islice(read_jsonl(args.test), evaluation["max_samples"]))
    chat = Chat(load_tokenizer(args.model), **settings["chat"])

    references = [row["answer"] for row in rows]
    # The prompts are those of training: as many earlier turns as fit.
    questions = chat.fitted(list(map(question_of, rows)), references, settings["max_length"])
    pairs = list(zip(questions, references, strict=True))
    made_from, content_of_adapter = provenance(args, settings), args.adapter and folder_digest(args.adapter)
    with working("loading the model"):
        model = load(args, settings, kind, chat, pairs)
    kept = open_kept(
        Path(args.output).parent,
        made_from["fingerprint"],
        sha256_json([made_from, settings, kind, model.name, code_digest("predict.py"), content_of_adapter]),
        rows,
        evaluation["max_new_tokens"],
    )
    model.generate(chat, questions[:WARM_UP], 4, WARM_UP, "warm-up")
    memory.restart()
    synchronize()
    # vLLM takes a fixed share of the card, whatever the model needs.
    kept.begin(len(rows), memory.allocated if isinstance(model, TransformersModel) else lambda: None)
    answers, _ = model.generate(
        *(chat, questions, evaluation["max_new_tokens"], evaluation["batch_size"], f"answers of {args.run}"),
        kept.answers,
    )
    synchronize()
    seconds, peak = kept.end()
    empty = empty_answers(answers)
    for found in empty:
        print(f"{found['kind']}: {found['message']} ({found['action']})", flush=True)
    scores, _ = model.likelihoods(chat, pairs, settings["max_length"], kept.likelihoods)

    write_jsonl(
        args.output,
        (
            {
                "id": row["id"],
                "prompt": row["question"],
                **context_of(row),
                "predict": answer.text,
                "label": row["answer"],
                "nll_sum": round(score.nll_sum, 6) if score else None,
                "n_answer_tokens": score.n_tokens if score else None,
                "n_output_tokens": answer.n_tokens,
            }
            for row, answer, score in zip(rows, answers, scores, strict=True)
        ),
    )
    write_json(
        args.inference,
        {
            "schema_version": 1,
            "run": args.run,
            "inference": {
                **speed(answers, seconds),
                "engine": model.name,
                "batch_size": evaluation["batch_size"],
                "precision": f"nf4 base, {kind} computation" if args.method == "qlora" else kind,
                "peak_memory_gib": peak,
            },
            "hardware": hardware(),
            "software": software(),
            "provenance": made_from,
            "events": kept.events() + empty,
        },
    )
    remove_kept(Path(args.output).parent)


class TransformersModel(NamedTuple):
    """A model in transformers, answering with our own decoding."""

    model: torch.nn.Module
    name: str = f"transformers {transformers.__version__}"

    def generate(self, *arguments: Any) -> Generation:
        """Return the greedy answers; see `generation.generate`."""
        return generate(self.model, *arguments)

    def likelihoods(self, *arguments: Any) -> Scored:
        """Return the likelihoods of the references; see `generation.likelihoods`."""
        return likelihoods(self.model, *arguments)


def load(
    args: argparse.Namespace, settings: dict[str, Any], kind: str, chat: Chat, pairs: list[tuple[Question, str]]
) -> TransformersModel | VllmModel:
    """Return the model in the engine that was asked for, with room for all questions and references."""
    evaluation, folder = settings["evaluation"], verify(args.model, content=args.content)
    if evaluation["engine"] == "vllm":
        if args.method == "qlora":
            raise UserError("E112", "evaluation.engine = vllm: it does not run QLoRA's 4-bit model; transformers does")
        samples = [chat.sample(*pair, settings["max_length"]) for pair in pairs]
        room = [len(chat.prompt_ids(question)) + evaluation["max_new_tokens"] for question, _ in pairs]
        # Where a likelihood is asked for, vLLM wants room for one token more.
        room += [len(sample.input_ids) + 1 for sample in samples if sample is not None]
        return VllmModel(folder, args.adapter, kind, evaluation["batch_size"], max(room))
    model = load_base(folder, args.method, settings["quantization"], kind).eval()
    if args.adapter:
        model = load_adapter(model, args.adapter, merge=args.method != "qlora")
    return TransformersModel(model)


def speed(answers: list[Answer], seconds: float) -> dict[str, float]:
    """Return how fast the answers came: loading, warm-up and the likelihoods are not in the time."""
    tokens = sum(answer.n_tokens for answer in answers)
    return {
        "seconds": round(seconds, 3),
        "samples_per_second": round(len(answers) / seconds, 4),
        "output_tokens_per_second": round(tokens / seconds, 2),
        "mean_output_tokens": round(tokens / len(answers), 2),
    }


def provenance(args: argparse.Namespace, settings: dict[str, Any]) -> dict[str, str | None]:
    """Return what the predictions were made from; a tuned run's fingerprint is that of its training."""
    training = read_json(args.training) if args.training else None
    trained_with = training["provenance"] if training else {}
    model = content_of(read_manifest(args.model))
    if training and training["provenance"]["model_manifest_sha256"] != model:
        raise UserError("E113", f"{args.training}: the adapter was trained on another base model than {args.model}")
    return {
        "fingerprint": predicted_fingerprint(args.fingerprint, training, model),
        "config_sha256": trained_with.get("config_sha256") or sha256_json(settings),
        "train_sha256": trained_with.get("train_sha256"),
        "test_sha256": sha256_file(args.test),
        "model_manifest_sha256": model,
    }


def synchronize() -> None:
    """Wait for the device, so that a clock reads finished work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
