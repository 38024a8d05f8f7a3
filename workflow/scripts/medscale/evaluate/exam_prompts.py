"""What a model is given of an exam question, and which continuations are compared: the definition of an exam's answer.

It is that of EleutherAI's lm-evaluation-harness (0.4.13; its tasks ``cmmlu`` and ``ceval-valid``): no example before
the question, no chat template unless it is asked for, and the answer is the continuation with the highest
log-likelihood.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.data.exams.question import MOST_OPTIONS

DELIMITER = " "  # between the context and a continuation, as for all tasks of the harness that name no other
DESCRIPTIONS = {
    ("letter", False): "以下是关于{subject}的单项选择题，请直接给出正确答案的选项。",
    ("letter", True): "以下是关于{subject}的多项选择题，请直接给出所有正确答案的选项。",
    ("text", False): "以下是关于{subject}的问题，请直接给出正确答案。",
}
"""The line before the question; the first is that of the harness's ``cmmlu``."""
OWN_DESCRIPTIONS = {"ceval": "以下是中国关于{subject}的单项选择题，请选出其中的正确答案。"}
"""By format: the first line of a known exam that the harness asks otherwise; that of its ``ceval-valid``."""
ABOUT = "关于{subject}的"


class Asked(NamedTuple):
    """One question in one order of its options.

    Attributes:
        context: all that stands before the answer.
        continuations: what may follow, delimiter included; one a choice.
        choices: the names of what is chosen from: a letter, or the letters of a combination.
        answer: the choice that is right.
        characters: of each choice as it is written, by which its log-likelihood is divided where it is normalised.
        original: the same choices by the letters that the options have in the file.
    """

    context: str
    continuations: list[str]
    choices: list[str]
    answer: str
    characters: list[int]
    original: list[str]


Render = Callable[[str, str], str]
"""Makes a prompt of a question and of what is said before it as the model's chat template has it."""


def asked(
    question: dict[str, Any], settings: dict[str, Any], least: int = 2, render: Render | None = None
) -> list[Asked]:
    """Return a question as it is asked: once, or once for each cyclic permutation of its options.

    In permutation p the i-th letter stands before option i + p (modulo their number), so that each option stands once
    at each letter. What is scored by its text has no letters to permute and is asked once.

    Args:
        question: a line of an exam's file: question, options, answer, multiple, subject, subject_name, format.
        settings: ``scored_by`` (letter, text), ``permutations`` (1, all), ``description`` (None: see `description`;
            {subject} stands for the subject), ``prompt`` (plain, chat).
        least: letters of the smallest combination of a question with several answers; see `least_letters`.
        render: makes the prompt where ``prompt`` is chat: of the question with its options, and the description, which
            is then part of the system's text. The answer begins the model's own turn, so nothing is between.

    Raises:
        UserError: a question with several answers is to be scored by its text, or has more than `MOST_OPTIONS` options.
            `account.require_scorable` has said so when the questions were read.
    """
    letters, texts, multiple = list(question["options"]), list(question["options"].values()), question["multiple"]
    chat = settings["prompt"] == "chat"
    delimiter = "" if chat else DELIMITER
    kind = settings["scored_by"]
    if multiple and kind == "text":
        raise UserError(
            "E133",
            f"question {question['id']}: has several right options, and evaluation.exams has scored_by: text, which "
            "compares single ones; set scored_by: letter",
        )
    if multiple and len(letters) > MOST_OPTIONS:
        raise UserError(
            "E134",
            f"question {question['id']}: has several answers and {len(letters)} options, more than {MOST_OPTIONS}; "
            "leave it out of the exam's file",
        )
    opening = description(question, settings)
    right = {letters.index(letter) for letter in question["answer"]}

    def context_of(body: str) -> str:
        if chat and render is not None:
            return render(body, opening)
        return f"{opening}\n\n{body}" if opening else body

    if kind == "text":
        texts = [text.strip() for text in texts]
        context = context_of(question["question"].strip() + ("" if chat else "\n答案："))
        continuations = [delimiter + text for text in texts]
        return [Asked(context, continuations, letters, question["answer"], list(map(len, texts)), letters)]
    count = len(letters)
    found = []
    for shift in range(count if settings["permutations"] == "all" else 1):
        shown = [(place + shift) % count for place in range(count)]  # which option stands at which letter
        lines = "".join(f"{letter}. {texts[option]}\n" for letter, option in zip(letters, shown, strict=True))
        chosen = combined(count, least) if multiple else [(place,) for place in range(count)]
        written = ["".join(letters[place] for place in places) + ("\n" if multiple else "") for places in chosen]
        found.append(
            Asked(
                context_of(f"{question['question'].strip()}\n{lines}答案："),
                [delimiter + text for text in written],
                [text.strip() for text in written],
                "".join(letters[place] for place in range(count) if shown[place] in right),
                list(map(len, written)),
                ["".join(letters[option] for option in sorted(shown[place] for place in places)) for places in chosen],
            )
        )
    return found


def combined(count: int, least: int = 2) -> list[tuple[int, ...]]:
    """Return the combinations of at least ``least`` of ``count`` places, small ones first.

    >>> len(combined(5))
    26
    """
    return [places for size in range(least, count + 1) for places in combinations(range(count), size)]


def least_letters(questions: list[dict[str, Any]]) -> int:
    """Return how many letters the smallest combination has: 2, or 1 where two would tell of some question.

    That is where a question of several answers has but one, or two options, of which there is one combination alone. It
    is the same for the whole exam, so that the number of choices tells nothing of an answer.
    """
    several = (question for question in questions if question["multiple"])
    return 1 if any(len(each["answer"]) < 2 or len(each["options"]) < 3 for each in several) else 2


def description(question: dict[str, Any], settings: dict[str, Any]) -> str:
    """Return the line before the question.

    It is that of the settings, or that of the harness's task for the exam. The subject is called by its Chinese name;
    one that has none, and no Chinese character, is left out of the sentence.
    """
    text, kind = settings.get("description"), (settings["scored_by"], question["multiple"])
    if text is None:
        own = OWN_DESCRIPTIONS.get(question.get("format")) if kind == ("letter", False) else None
        text = own or DESCRIPTIONS[kind]
    subject = question.get("subject_name") or question.get("subject") or ""
    if not any("\u4e00" <= character <= "\u9fff" for character in subject):
        text, subject = text.replace(ABOUT, ""), ""
    return text.replace("{subject}", subject)
