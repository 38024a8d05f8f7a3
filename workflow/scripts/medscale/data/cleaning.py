"""Cleaning one record: from the values in the file to questions with answers, or to the reason why it is dropped."""

import functools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.data.layouts.history import read_history
from medscale.data.layouts.turns import Dialogue, Odd, Turn, read_dialogue
from medscale.data.question_parts import join_parts
from medscale.data.raw_rows import RawRow
from medscale.data.text_cleaning import clean_text, is_broken, is_placeholder
from medscale.data.values import NotText, described, is_scalar, text_of

_DETAIL = 250


@dataclass(frozen=True)
class Rules:
    """What a row has to keep to.

    Attributes
    ----------
    question_characters, answer_characters : smallest and largest length after cleaning, both allowed.
    mask : whether personal data is masked; default True.
    turns : which turns of a dialogue are samples: all, or its first or last.
    system : use or ignore the texts of the system.
    lists : take the first element of a list, or join them.

    Raises `UserError` where a smallest length is above the largest.
    """

    question_characters: tuple[int, int]
    answer_characters: tuple[int, int]
    mask: bool = True
    turns: str = "all"
    system: str = "use"
    lists: str = "first"

    def __post_init__(self) -> None:
        for name in ("question", "answer"):
            smallest, largest = getattr(self, f"{name}_characters")
            if smallest > largest:
                raise UserError(
                    "C115",
                    f"cleaning.min_{name}_characters ({smallest}) is above cleaning.max_{name}_characters ({largest})",
                )


class Sample(NamedTuple):
    """A question with its answer and the turns before it; ``turn`` is its place among those of its record, from 1."""

    turn: int
    question: str
    answer: str
    history: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CleanRow:
    """A cleaned record; ``reason`` is None where it stays, and otherwise says with ``detail`` why it is dropped.

    Attributes
    ----------
    samples : what it gives, a sample for each turn that is asked; none where it is dropped.
    system : the text of the system, or None.
    masked : counts the personal data masked in it, by kind.
    turns_dropped : counts the turns of a kept record that give no sample, by reason.
    """

    samples: tuple[Sample, ...] = ()
    department: str | None = None
    system: str | None = None
    reason: str | None = None
    detail: str = ""
    masked: Counter = field(default_factory=Counter)
    turns_dropped: Counter = field(default_factory=Counter)

    @property
    def question(self) -> str | None:
        """The first question."""
        return self.samples[0].question if self.samples else None

    @property
    def answer(self) -> str | None:
        """The answer to it."""
        return self.samples[0].answer if self.samples else None

    @property
    def compared(self) -> tuple[str, str]:
        """What is compared for duplicates: the questions, after all that stands before the first, and the answers."""
        first, last = self.samples[0], self.samples[-1]
        before = [text for turn in first.history for text in turn]
        turns = [*last.history[len(first.history) :], (last.question, last.answer)]
        questions, answers = zip(*turns, strict=True)
        return "\n".join([*before, *questions]), "\n".join(answers)


def clean_row(raw: RawRow, rules: Rules) -> CleanRow:
    """Clean one record and judge it by itself; duplicates are the business of `near.deduplication`.

    Reasons to drop it: "bad_json", "bad_csv", "wrong_field_count", "bad_text" (unreadable in the file), "not_text" (a
    map or another thing that cannot be written out; a number where an answer belongs), "missing_value" (null),
    "empty_…", "placeholder_…" (see `is_placeholder`), "broken_…" (decoded wrongly long ago), "short_…" and "long_…",
    each with "question" or "answer". A part of the question that is null, empty or a placeholder is left out, and only
    when no part remains is the question missing.

    Of dialogues also what `layouts.turns` and `layouts.history` say; "empty_turn"; "broken_system";
    "nothing_to_learn", where every answer is marked so; "later_turn", of a record with a history where only first
    turns are wanted; and "empty_history", "broken_history" and "long_history" of what stands before a question.

    A turn of a dialogue that is dropped for what it says (too short, too long) gives no sample. A short one or a
    placeholder, such as a greeting, remains as history of later turns; one that is broken or too long ends the
    dialogue.
    """
    if raw.broken is not None:
        return CleanRow(reason=raw.broken.reason, detail=raw.broken.detail)
    try:
        if raw.is_dialogue:
            dialogue = read_dialogue(raw.dialogue)
            history: list[Turn] = []
        else:
            dialogue, history = Dialogue([_turn_of_columns(raw, rules)]), read_history(raw.history)
        system = None if rules.system == "ignore" else _joined(text_of(raw.system, rules.lists), dialogue.system)
        return _clean_dialogue(raw, history, dialogue, system, rules)
    except Odd as odd:
        return CleanRow(reason=odd.reason, detail=odd.detail[:_DETAIL])
    except NotText as error:
        return CleanRow(reason="not_text", detail=str(error))


def _turn_of_columns(raw: RawRow, rules: Rules) -> Turn:
    """Return question and answer of a record that has them in columns."""
    parts, numbers = [], []
    for value in raw.question:
        text = text_of(value, rules.lists)
        if text is not None:
            parts.append(clean_text(text, mask=False)[0])
            numbers.append(is_scalar(value))
    if is_scalar(raw.answer):
        raise NotText(described(raw.answer))  # a number is part of a question, such as an age, but no answer
    answer = text_of(raw.answer, rules.lists)
    if answer is None or not parts:
        raise Odd("missing_value", "answer is null" if parts else "question is null")
    return Turn(join_parts(parts, numbers), answer)


def _joined(*texts: str | None) -> str | None:
    return "\n".join(dict.fromkeys(text for text in texts if text is not None and text.strip())) or None


def _clean_dialogue(raw: RawRow, history: list[Turn], dialogue: Dialogue, system: str | None, rules: Rules) -> CleanRow:
    """Clean and judge the turns after each other."""
    masked: Counter = Counter()

    def cleaned(text: str) -> str:
        text, found = clean_text(text, rules.mask)
        masked.update(found)
        return text

    if system is not None:
        system = cleaned(system)
        if is_broken(system):
            raise Odd("broken_system", "holds U+FFFD or 锟斤拷")
        system = None if is_placeholder(system) else system
    if history and rules.turns == "first":
        raise Odd("later_turn", f"{len(history)} turns before it")
    before = [(cleaned(turn.question), cleaned(turn.answer)) for turn in history]
    for question, answer in before:
        reason, detail = _judge_turn(question, answer, rules)
        if reason is not None and not _may_be_history(reason):
            raise Odd(f"{reason.rpartition('_')[0]}_history", detail)

    turns = dialogue.turns[:1] if rules.turns == "first" else dialogue.turns
    samples: list[Sample] = []
    dropped: list[tuple[str, str]] = []
    for place, turn in enumerate(turns, 1):
        question, answer = cleaned(turn.question), cleaned(turn.answer)
        reason, detail = _judge_turn(question, answer, rules)
        if len(turns) > 1 and reason in ("empty_question", "empty_answer"):
            if reason == "empty_question" or place < len(turns):
                raise Odd("empty_turn", f"question {place}" if reason == "empty_question" else f"answer {place}")
            reason, detail = "no_answer", f"turn {place}"
        if reason is None and not turn.learned:
            reason, detail = "nothing_to_learn", f"turn {place}"
        if reason is None and rules.turns == "last" and place < len(turns):
            reason, detail = "earlier_turn", f"turn {place}"
        if reason is None:
            samples.append(Sample(place, question, answer, tuple(before)))
        else:
            dropped.append((reason, detail))
            if not _may_be_history(reason):
                later = (f"{reason.rpartition('_')[0]}_history", f"turn {place}")
                dropped += [later] * (len(turns) - place)
                break
        before.append((question, answer))
    if not samples:
        reason, detail = dropped[-1] if rules.turns == "last" else dropped[0]
        raise Odd(reason, detail)
    counts = Counter(reason for reason, _ in dropped) + Counter(no_answer=dialogue.unanswered)
    counts += Counter(assistant_first=dialogue.openings)
    counts += Counter(later_turn=len(dialogue.turns) - len(turns))
    return CleanRow(tuple(samples), clean_department(raw.department), system, masked=masked, turns_dropped=counts)


def _judge_turn(question: str, answer: str, rules: Rules) -> tuple[str | None, str]:
    """Return why a turn gives no sample: first what it may not stand before others for, so that this is not hidden."""
    reasons = []
    for name, text, bounds in (
        ("question", question, rules.question_characters),
        ("answer", answer, rules.answer_characters),
    ):
        reason, detail = _judge(text, bounds)
        if reason:
            reasons.append((f"{reason}_{name}", detail))
    first = reasons[0] if reasons else (None, "")
    return next((found for found in reasons if not _may_be_history(found[0])), first)


def _may_be_history(reason: str) -> bool:
    """Tell whether a turn that is dropped for this reason may stand before others."""
    return not reason.startswith(("empty_", "broken_", "long_"))


def clean_department(value: Any) -> str | None:
    """Return a department's name, or None where it is unknown; a number is taken as a name."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return _department_name(value) if isinstance(value, str) else None


@functools.lru_cache(maxsize=1024)
def _department_name(value: str) -> str | None:
    name, _ = clean_text(value, mask=False)
    return None if is_placeholder(name) else name


def _judge(text: str, bounds: tuple[int, int]) -> tuple[str | None, str]:
    smallest, largest = bounds
    if not text:
        return "empty", ""
    if is_placeholder(text):
        return "placeholder", text[:200]
    if is_broken(text):
        return "broken", "holds U+FFFD or 锟斤拷"
    if len(text) < smallest:
        return "short", f"{len(text)} characters, at least {smallest} asked"
    if len(text) > largest:
        return "long", f"{len(text)} characters, at most {largest} allowed"
    return None, ""


def original_text(value: Any) -> str | None:
    """Return a raw value, or a tuple of them, as text that any file can hold; None stays None.

    Half surrogate pairs, which JSON may carry and UTF-8 cannot, are written as ``\\ud83d``.
    """
    if isinstance(value, tuple):
        parts = [part for part in map(original_text, value) if part is not None]
        return "\n".join(parts) if parts else None
    if value is None:
        return None
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
