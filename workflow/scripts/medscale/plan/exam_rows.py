"""What a model is given for exams and general texts: which questions or texts there are, and how long their rows are.

The questions of a set that was fetched, and of the user's own files, are asked as an examination asks them, and their
tokens counted. They are read here: what the study has read of them may be what an earlier configuration asked for, and
counts only where the files are no longer there. Before that the number of questions is that of `exam_sizes`, and their
lengths are assumed.
"""

import json
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from medscale.base.errors import UserError
from medscale.base.files import read_jsonl
from medscale.base.settings import AskedSet as SetAsked
from medscale.base.settings import exam_settings, examination_settings, sets_of
from medscale.data.demo.everyday_texts import ROWS as DEMO_TEXTS
from medscale.data.exams.fields import Reading
from medscale.data.exams.reading import read_exam
from medscale.data.general_texts import texts_of
from medscale.data.table_files import FileOptions
from medscale.evaluate.exam_prompts import Asked, asked, combined, least_letters
from medscale.plan.exam_passes import AskedSet, Examinations, Extent, passes_of
from medscale.plan.exam_sizes import Guessed, guessed_size
from medscale.plan.lengths import TEMPLATE_TOKENS, TOKENS_A_CHARACTER
from medscale.plan.set_files import files_of_set

QUESTION_TOKENS = 40
"""Assumed of a question that has not been read: the line before it, the question, and what asks for the answer."""
OPTION_TOKENS = 12
"""Assumed of an option that has not been read: its text, and its letter, point and line end."""
LETTER_TOKENS = 3
"""Of these the letter's, which an option lacks that is scored by its text."""
TEXTS_READ = 2000
"""General texts whose lengths stand for those of a set that was fetched and from which none was drawn yet."""
ASSUMED = f"{QUESTION_TOKENS} tokens a question and {OPTION_TOKENS} an option are assumed"


def examinations(
    config: dict[str, Any], manifests: dict[str, str], chat: Any, longest: int, options: str = ""
) -> Examinations:
    """Return what each model is asked in exams and general texts.

    Args:
        config: the resolved configuration.
        manifests: of the sets, by ``exam_{name}`` and ``retention``; they may not exist.
        chat: a `chat.Chat` where the tokenizer is there, else None.
        longest: tokens that the model takes at once.
        options: what a call of snakemake for this study needs besides, such as `` --configfile my.yaml``.
    """
    every = sets_of(config)
    data, found = Path(config["paths"]["results"]) / "data", Examinations([], {})
    settings = examination_settings(config, None)
    for name, exam in config["evaluation"]["exams"].items():
        fetched = manifests.get(f"exam_{name}")
        questions, source, unread = _questions(config, name, data, every[f"exam_{name}"], fetched)
        if questions is not None:
            extents = question_extents(questions, settings["exams"][name], chat, longest)
            count = len(questions)
            source += "" if chat else f", at {TOKENS_A_CHARACTER} tokens a character (there is no tokenizer yet)"
        elif (guess := guessed_size(exam)) is not None:
            extents, count = guessed_extents(guess, settings["exams"][name]), guess.questions
            source = f"{guess.source}; {ASSUMED}"
            source += f", and {guess.several:.0%} with several answers" if guess.several else ""
            source += f"; {unread}" if unread else ""
        else:
            found.unknown[name] = unread or (
                f"how many questions it has is not known before it is read (evaluation.exams.{name}.max_questions is "
                f"not set): snakemake {data.as_posix()}/exams/{name}.jsonl --cores 1{options} reads it, and the next "
                "plan has it"
            )
            continue
        found.sets.append(AskedSet(name, count, len(extents), passes_of(extents), source))
    if config["evaluation"]["retention"]:
        read = f"snakemake {data.as_posix()}/retention.jsonl --cores 1{options}"
        _add_texts(found, every["retention"], data, manifests.get("retention"), chat, longest, read)
    return found


def question_extents(
    questions: list[dict[str, Any]], settings: dict[str, Any], chat: Any, longest: int
) -> list[Extent]:
    """Return the sizes of the rows that a model is given for questions: counted, or by their characters.

    Args:
        questions: the lines of an exam's file.
        settings: how the exam is asked.
        chat: a `chat.Chat` where the tokenizer is there, else None.
        longest: tokens that the model takes at once.
    """
    if chat is not None:
        from medscale.evaluate.examination import forms_of, rendered  # torch

        system = chat.system[0]["content"] if chat.system else ""
        rows = forms_of(questions, settings, chat.tokenizer, longest, partial(rendered, chat, system))[1]
        return [Extent(row.length, row.depth) for row in rows]
    least, found = least_letters(questions), []
    for question in questions:
        for form in asked(question, settings, least):
            found += _by_characters(form, settings, longest)
    return found


def _by_characters(form: Asked, settings: dict[str, Any], longest: int) -> list[Extent]:
    context = round(TOKENS_A_CHARACTER * len(form.context)) + TEMPLATE_TOKENS * (settings["prompt"] == "chat")
    if settings["scored_by"] == "letter":
        return _letters(context, len(form.choices), form.continuations[0].endswith("\n"), longest)
    tokens = [1 + round(TOKENS_A_CHARACTER * len(text)) for text in form.continuations]
    return [Extent(min(longest, context + count - 1), count) for count in tokens]


def _letters(context: int, choices: int, several: bool, longest: int) -> list[Extent]:
    """Return the row of single letters, or one row a combination, whose last token is a line end."""
    return [Extent(min(longest, context + 1), 2)] * choices if several else [Extent(min(longest, context), 1)]


def guessed_extents(guess: Guessed, settings: dict[str, Any]) -> list[Extent]:
    """Return the sizes of the rows of questions that have not been read.

    Args:
        guess: how many questions there are, and of which kind.
        settings: how the exam is asked.
    """
    chat = TEMPLATE_TOKENS * (settings["prompt"] == "chat")
    if settings["scored_by"] == "text":
        text = OPTION_TOKENS - LETTER_TOKENS
        return [Extent(chat + QUESTION_TOKENS + text - 1, text)] * (guess.questions * guess.options)
    context = chat + QUESTION_TOKENS + OPTION_TOKENS * guess.options
    several = round(guess.several * guess.questions)
    combinations = len(combined(guess.options, guess.least))
    asked_once = [
        *(_letters(context, 1, False, 1 << 30) * (guess.questions - several)),
        *(_letters(context, combinations, True, 1 << 30) * several),
    ]
    return asked_once * (guess.options if settings["permutations"] == "all" else 1)


def _questions(
    config: dict[str, Any], name: str, data: Path, asked: SetAsked, fetched: str | None
) -> tuple[list[dict[str, Any]] | None, str, str | None]:
    """Return the questions of an exam and where they are from, or None, an empty text and why its files are unread."""
    file, unread = data / "exams" / f"{name}.jsonl", None
    # The demo's questions are asked of facts that stand in training rows, which may not be there yet.
    if asked.settings["source"] != "demo":
        with files_of_set(asked, fetched) as files:
            unread = files.unread
            if files.manifest is not None:
                try:
                    reading = Reading.from_json(name, json.dumps(exam_settings(config, name)))
                    questions = read_exam(files.manifest, reading).questions
                    return [each._asdict() for each in questions], files.called, None
                except (UserError, pa.ArrowInvalid) as error:
                    return None, "", f"{files.called} cannot be read: {error}"
    if file.is_file():
        return list(read_jsonl(file)), f"the questions in {file}", None
    return None, "", unread


def _add_texts(
    found: Examinations, asked: SetAsked, data: Path, fetched: str | None, chat: Any, longest: int, read: str
) -> None:
    """Add the general texts; ``read`` is the command that draws them."""
    retention = asked.settings
    window, file = min(retention["window"], longest), data / "retention.jsonl"
    most = retention["max_texts"]
    if retention["source"] == "demo":
        most = min(retention["rows"] or DEMO_TEXTS, most or 1 << 30)
    texts: Sequence[str] | None = None
    count, source, unread = most, "", None
    drawn = [line["text"] for line in read_jsonl(file)] if file.is_file() else []
    with files_of_set(asked, fetched) as files:
        if drawn and (len(drawn) == most or files.manifest is None):
            texts, source, count = drawn, f"the texts in {file}", len(drawn)
        elif files.manifest is None:
            unread = files.unread
        else:
            try:
                options = FileOptions(**retention["files"], section=asked.key)
                every = texts_of(files.manifest, None, retention["column"], options=options)
                texts = [text for _, text in islice(every, most and max(most, TEXTS_READ))]
                source, count = files.called, min(len(texts), most or len(texts))
            except (UserError, pa.ArrowInvalid) as error:
                texts, unread = None, f"{files.called} cannot be read: {error}"
    if count is None:
        found.unknown["retention"] = unread or (
            "how many texts there are is not known before they are read (evaluation.retention.max_texts is null): "
            f"{read} reads them, and the next plan has them"
        )
        return
    if texts:
        by_text = [text_extents(text, window, chat) for text in texts]
        source += "" if chat else f", at {TOKENS_A_CHARACTER} tokens a character (there is no tokenizer yet)"
    else:
        by_text = [[Extent(window, window)]]
        source = f"as many as may be drawn; each is taken to fill the window of {window} tokens once"
        source += f"; {unread}" if unread else ""
    extents = [extent for place in range(count) for extent in by_text[place * len(by_text) // count]]
    found.sets.append(AskedSet("retention", count, len(extents), passes_of(extents), source))


def text_extents(text: str, window: int, chat: Any) -> list[Extent]:
    """Return the sizes of the rows of a general text; see `continuations.windows_of`."""
    if chat is not None:
        from medscale.evaluate.examination import text_rows  # torch

        return [Extent(row.length, row.depth) for row in text_rows(chat.tokenizer, text, window)]
    tokens = max(1, round(TOKENS_A_CHARACTER * len(text)))
    whole, rest = divmod(tokens, window)
    return [Extent(window, window)] * whole + [Extent(window if whole else rest, rest)] * (rest > 0)
