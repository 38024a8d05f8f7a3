"""One model's answers to exam questions and its likelihood of general texts, with what they took."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from medscale.base.digest import code_digest, folder_digest
from medscale.base.errors import UserError
from medscale.base.files import read_json, read_jsonl, sha256_file, sha256_json, write_json
from medscale.base.identity import predicted_fingerprint
from medscale.base.progress import working
from medscale.data.questions import Question
from medscale.evaluate.continuations import (
    Row,
    encode_pairs,
    loglikelihoods,
    longest_input,
    prefix_token,
    rows_digest,
    rows_of,
    widen_head,
    windows_of,
)
from medscale.evaluate.exam_answers import Answered, write_answers, write_texts
from medscale.evaluate.exam_prompts import Asked, Render, asked, least_letters
from medscale.evaluate.kept_results import KeptResults, forget_others, kept_file
from medscale.fetch.manifest import content_of, read_manifest, verify
from medscale.model.chat import Chat
from medscale.model.hardware import MemoryMeter, hardware, software
from medscale.model.loading import load_adapter, load_base
from medscale.model.precision import precision
from medscale.model.tokenizer import load_tokenizer

RETENTION = "retention"


class Examinee:
    """The model that is asked, loaded when the first question needs it."""

    def __init__(self, args: argparse.Namespace, settings: dict[str, Any]):
        self._args, self._settings = args, settings
        self.tokenizer = load_tokenizer(args.model)
        self.precision = precision(settings["precision"])
        self.memory = MemoryMeter()
        folder = verify(args.model, content=args.content)
        self.longest = longest_input(read_config(folder))
        self._model: torch.nn.Module | None = None
        self._chat: Chat | None = None

    @property
    def model(self) -> torch.nn.Module:
        if self._model is None:
            args = self._args
            with working("loading the model"):
                folder = verify(args.model, content=args.content)
                model = load_base(folder, args.method, self._settings["quantization"], self.precision).eval()
                if args.adapter:
                    model = load_adapter(model, args.adapter, merge=args.method != "qlora")
                widen_head(model)
            self._model = model
            self.memory.restart()
        return self._model

    def render(self, body: str, opening: str) -> str:
        """Return a question as a prompt of the study's chat template."""
        if self._chat is None:
            self._chat = Chat(self.tokenizer, **self._settings["chat"])
        return rendered(self._chat, self._settings["chat"]["system_prompt"], body, opening)

    def judge(self, rows: list[Row], kept: KeptResults, label: str) -> None:
        """Put what the rows ask for on the shelf; see `continuations.loglikelihoods`."""
        if all(row.wanted.keys() <= kept.found.keys() for row in rows):
            print(f"{label}: kept from before", flush=True)
            return
        model = self.model
        kept.begin()
        loglikelihoods(model, rows, self.tokenizer.pad_token_id, kept, label)


def read_config(folder: Path) -> Any:
    """Return the configuration of a model."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, trust_remote_code=False)


class Sitting(NamedTuple):
    """One exam, or the texts, and what was computed of it."""

    name: str
    kept: KeptResults
    file: Path
    sha256: str


def run(args: argparse.Namespace) -> None:
    """Do what the arguments of ``examine.py`` ask for, on the device that is visible."""
    settings = json.loads(args.settings)
    torch.set_num_threads(args.threads)
    examinee = Examinee(args, settings)
    made_from, folder = provenance(args, settings), Path(args.answers).parent
    # Beside the tokens that the model is given: not how the study was planned, which changes no answer.
    decides = [
        *(made_from["model_manifest_sha256"], args.adapter and folder_digest(args.adapter), args.method),
        *(settings["quantization"] if args.method == "qlora" else None, examinee.precision, code_digest("examine.py")),
    ]
    sittings: list[Sitting] = []

    def judged(name: str, path: Path, rows: list[Row]) -> KeptResults:
        file = kept_file(folder, name, sha256_json([decides, rows_digest(rows)]))
        kept = KeptResults(file, examinee.memory.allocated)
        sittings.append(Sitting(name, kept, file, sha256_file(path)))
        examinee.judge(rows, kept, "general texts" if name == RETENTION else f"exam {path.stem}")
        return kept

    answered = []
    for path in args.exams:
        answered += examined(examinee, path, settings["exams"][path.stem], judged)
    texts = list(read_texts(examinee, args.retention, settings["retention"], judged)) if args.retention else []

    write_answers(args.answers, answered, settings["exams"])
    write_texts(args.texts, texts)
    peaks = [sat.kept.peak_memory_gib for sat in sittings if sat.kept.peak_memory_gib is not None]
    write_json(
        args.examination,
        {
            "schema_version": 1,
            "run": args.run,
            "examination": {
                "seconds": round(sum(sat.kept.seconds for sat in sittings), 3),
                "seconds_by_set": {sat.name: round(sat.kept.seconds, 3) for sat in sittings},
                "precision": f"nf4 base, {examinee.precision} computation"
                if args.method == "qlora"
                else examinee.precision,
                "peak_memory_gib": max(peaks, default=None),
                "longest_input": examinee.longest,
            },
            "prompts": {name: settings["exams"][name] for name in (path.stem for path in args.exams)},
            "retention": settings["retention"] if args.retention else None,
            "sets_sha256": {sat.name: sat.sha256 for sat in sittings},
            "hardware": hardware(),
            "software": software(),
            "provenance": made_from,
            "events": [found for sat in sittings for found in sat.kept.events],
        },
    )
    forget_others(folder, [sat.file for sat in sittings])


Judged = Callable[[str, Path, list[Row]], KeptResults]
"""Returns what the model makes of the rows of a set, by its name and its file."""


def examined(examinee: Examinee, path: Path, settings: dict[str, Any], judged: Judged) -> list[Answered]:
    """Return the log-likelihoods of an exam's choices: one a question and permutation, in the order of the file.

    Raises:
        UserError: the exam has no questions.
    """
    name, questions = path.stem, list(read_jsonl(path))
    if not questions:
        raise UserError("E135", f"exam {name}: has no questions; see evaluation.exams.{name} and the exam's file")
    forms, rows = forms_of(questions, settings, examinee.tokenizer, examinee.longest, examinee.render)
    kept = judged(f"exam_{name}", path, rows)
    return [
        Answered(
            name,
            question,
            permutation,
            form,
            [kept.found[place][0] for place in range(first, first + len(form.choices))],
        )
        for question, permutation, form, first in forms
    ]


Form = tuple[dict[str, Any], int, Asked, int]
"""A question, which permutation of its options, how it is asked, and the place of its first choice."""


def forms_of(
    questions: list[dict[str, Any]], settings: dict[str, Any], tokenizer: Any, longest: int, render: Render
) -> tuple[list[Form], list[Row]]:
    """Return the forms in which the questions of an exam are asked, and the rows that a model is given for them.

    Args:
        questions: the lines of the exam's file.
        settings: as `exam_prompts.asked` takes them.
        tokenizer: of the model.
        longest: tokens that the model takes.
        render: makes the prompt where ``prompt`` is chat.
    """
    least = least_letters(questions)
    forms: list[Form] = []
    rows: list[Row] = []
    first = 0
    for question in questions:
        for permutation, form in enumerate(asked(question, settings, least, render)):
            pairs = encode_pairs(tokenizer, form.context, form.continuations)
            rows += rows_of(pairs, longest, first)
            forms.append((question, permutation, form, first))
            first += len(form.choices)
    return forms, rows


def text_rows(tokenizer: Any, text: str, longest: int, first: int = 0) -> list[Row]:
    """Return the rows of a general text; see `continuations.windows_of`."""
    return windows_of(tokenizer.encode(text, add_special_tokens=False), prefix_token(tokenizer), longest, first)


def rendered(chat: Chat, system_prompt: str, body: str, opening: str) -> str:
    """Return a question as a prompt of the chat template; what opens it follows the system prompt."""
    system = "\n\n".join(filter(None, (system_prompt, opening)))
    return str(chat.prompt(Question(body, (), system or None)))


def read_texts(
    examinee: Examinee, path: Path, settings: dict[str, Any], judged: Judged
) -> Iterator[tuple[str, float, int]]:
    """Yield id, negative log-likelihood in nats and tokens of each general text.

    Raises:
        UserError: there is no text, or one without a token.
    """
    rows: list[Row] = []
    found: list[tuple[str, range]] = []
    longest = min(settings["window"], examinee.longest)
    for text in read_jsonl(path):
        new = text_rows(examinee.tokenizer, text["text"], longest, len(rows))
        if not new:
            raise UserError("E136", f"{path}: the text {text['id']} has no tokens; take it out")
        found.append((text["id"], range(len(rows), len(rows) + len(new))))
        rows += new
    if not rows:
        raise UserError("E136", f"{path}: has no texts; see evaluation.retention")
    kept = judged(RETENTION, path, rows)
    for name, places in found:
        yield name, -sum(kept.found[place][0] for place in places), sum(kept.found[place][1] for place in places)


def provenance(args: argparse.Namespace, settings: dict[str, Any]) -> dict[str, str | None]:
    """Return what the answers were made from; a tuned run's fingerprint is that of its training."""
    training = read_json(args.training) if args.training else None
    trained_with = training["provenance"] if training else {}
    model = content_of(read_manifest(args.model))
    if training and trained_with["model_manifest_sha256"] != model:
        raise UserError("E113", f"{args.training}: the adapter was trained on another base model than {args.model}")
    return {
        "fingerprint": predicted_fingerprint(args.fingerprint, training, model),
        "config_sha256": trained_with.get("config_sha256"),  # the base model's is that of its predictions
        "train_sha256": trained_with.get("train_sha256"),
        "model_manifest_sha256": model,
    }
