"""A shipped form, loaded as its user loads it, on the test rows of the run: answers, likelihoods, prompts."""

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from medscale.base.files import write_json
from medscale.data.questions import Question, question_of
from medscale.evaluate.generation import generate, likelihoods
from medscale.export.llama_engine import LlamaModel
from medscale.model.chat import Chat
from medscale.model.control_text import ControlText
from medscale.model.hardware import device, hardware, software
from medscale.model.loading import load_adapter, load_base


class Form:
    """A form in memory.

    Args:
        kind: ``adapter``, ``gguf``, or a merged one.
        path: its folder, or the GGUF file.
        base: folder of the base model, for the adapter.
        method, quantization, precision: how the adapter's base is loaded, as in training.
    """

    def __init__(self, kind: str, path: Path, base: Path, method: str, quantization: dict[str, Any], precision: str):
        self.llama = LlamaModel(path) if kind == "gguf" else None
        if kind == "adapter":
            self.model = load_adapter(load_base(base, method, quantization, precision).eval(), path, merge=False)
        elif kind != "gguf":
            self.model = AutoModelForCausalLM.from_pretrained(
                path, dtype="auto", device_map={"": device()}, use_safetensors=True, trust_remote_code=False
            ).eval()

    @property
    def engine(self) -> str:
        """The library that computes, with its version."""
        if self.llama:
            return self.llama.name
        return f"transformers {version('transformers')}"

    @property
    def dtype(self) -> str | None:
        """The type of most weights; None where the file has several."""
        if self.llama:
            return self.llama.kind
        counts: dict[str, int] = {}
        for name, weight in self.model.named_parameters():
            if "lora_" not in name:
                counts[str(weight.dtype)] = counts.get(str(weight.dtype), 0) + weight.numel()
        return max(counts, key=counts.get).removeprefix("torch.")

    def answer(self, chat: Chat, questions: list[Question], max_new_tokens: int, batch_size: int) -> list[Any]:
        """Return the greedy answers."""
        if self.llama:
            return self.llama.generate(chat, questions, max_new_tokens)
        return generate(self.model, chat, questions, max_new_tokens, batch_size, "answers of the form").answers

    def judge(self, chat: Chat, pairs: list[tuple[Question, str]], max_length: int) -> list[Any]:
        """Return the likelihoods of the references."""
        if self.llama:
            return self.llama.likelihoods(chat, pairs, max_length)
        return likelihoods(self.model, chat, pairs, max_length).likelihoods


def measure(form: Form, chat: Chat, rows: list[dict[str, Any]], settings: dict[str, Any], tokenizer: Path) -> dict:
    """Return what a form makes of the test rows.

    Args:
        form: in memory.
        chat: of the study; its prompts are those of the run.
        rows: of the test set.
        settings: with `evaluation` and `max_length`.
        tokenizer: folder of the tokenizer that is shipped with the form.

    Returns:
        ``rows`` in the shape of predictions.jsonl, ``prompts_identical`` of them for which the shipped template makes
        the study's prompt, ``engine``, ``dtype`` and ``seconds``.
    """
    started = time.monotonic()
    evaluation, references = settings["evaluation"], [row["answer"] for row in rows]
    questions = chat.fitted(list(map(question_of, rows)), references, settings["max_length"])
    same = prompts_identical(form, chat, questions, tokenizer)
    answers = form.answer(chat, questions, evaluation["max_new_tokens"], evaluation["batch_size"])
    scores = form.judge(chat, list(zip(questions, references, strict=True)), settings["max_length"])
    return {
        "rows": [
            {
                "id": row["id"],
                "predict": answer.text,
                "label": row["answer"],
                "nll_sum": round(score.nll_sum, 6) if score else None,
                "n_answer_tokens": score.n_tokens if score else None,
            }
            for row, answer, score in zip(rows, answers, scores, strict=True)
        ],
        "prompts_identical": same,
        "engine": form.engine,
        "dtype": form.dtype,
        "seconds": round(time.monotonic() - started, 3),
        "hardware": hardware(),
        "software": software(),
    }


def prompts_identical(form: Form, chat: Chat, questions: list[Question], folder: Path) -> int:
    """Return for how many questions what is shipped makes the study's prompt, called as its user calls it.

    That is `apply_chat_template` of the shipped tokenizer and, of a GGUF file, its own tokenizer on that text.
    Questions with text that looks like a control token are counted as identical if their text is: whether such text
    is a token is up to whoever serves the model.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    control, same = ControlText(tokenizer), 0
    for question in questions:
        messages = messages_of(question, chat)
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        equal = text == str(chat.prompt(question))
        if equal and not any(control.count(message["content"]) for message in messages):
            own = form.llama.tokenize(text) if form.llama else tokenizer(text, add_special_tokens=False)["input_ids"]
            equal = own == chat.prompt_ids(question)
        same += equal
    return same


def messages_of(question: Question, chat: Chat) -> list[dict[str, str]]:
    """Return a question as the messages that a user of the form would send."""
    messages = [{"role": "system", "content": question.system}] if question.system else list(chat.system)
    for asked, answered in question.history:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return [*messages, {"role": "user", "content": question.text}]


def measure_into(path: Path, form: Form, *details: Any) -> None:
    """Measure a form and write it, last of all, so that the file says that it is done."""
    with torch.inference_mode():
        write_json(path, measure(form, *details))
    if form.llama:
        form.llama.close()
