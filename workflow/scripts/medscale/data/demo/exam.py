"""The demo's exam: which fact belongs to which condition, for facts that training rows hold and facts that none holds.

A fact is seen where one training row has the condition's name and, in its answer, the phrase. Looked for are facts, not
where rows were made from: what no row holds is unseen, whatever the table has.

Questions come in fours. Four conditions of one department, each with a fact of one field, give the four options of four
questions, one about each condition, so that each option is right once and wrong three times. Whoever goes by the
options alone, by how familiar, how long or how likely they are, has one of the four right: 25 %, neither more nor less.
To have more, one must know what belongs to whom. The letters of the right options are each of A to D once.

All four facts are seen, or none is. The wording is that of a textbook question and of the answers' sentences, for a
model this small knows no letters: the options are whole sentences, and their likelihood is what scores.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.base.files import write_jsonl
from medscale.base.plurals import how_many
from medscale.data.demo.corpus import FACT_COUNTS, load_conditions
from medscale.data.exams.account import Exam
from medscale.data.exams.fields import Reading
from medscale.data.exams.question import LETTERS, Question
from medscale.data.exams.reading import opened

QUESTIONS = 400
"""How many are made unless `evaluation.exams` says otherwise: half of them of seen facts."""
FOUR = 4
EIGHT = 2 * FOUR
"""The smallest set: a four of seen facts, and a four of unseen ones."""
SENTENCES = {
    "symptoms": ("{name}的常见表现有哪些？", "{name}的常见表现有{fact}。"),
    "causes": ("{name}的发生多与什么有关？", "{name}的发生多与{fact}有关。"),
    "examinations": ("怀疑{name}时，通常需要做什么检查？", "怀疑{name}时，通常需要做{fact}。"),
    "treatment": ("{name}的治疗原则是什么？", "{name}的治疗原则是：{fact}。"),
    "daily_care": ("{name}患者日常要做到什么？", "{name}患者日常要做到：{fact}。"),
    "warning_signs": ("{name}出现什么情况要马上去医院？", "{name}如果出现{fact}，要马上去医院急诊。"),
}


class Fact(NamedTuple):
    """A phrase of a condition's field."""

    condition: str
    field: str
    phrase: str


def write(path: Path, conditions: Path, settings: Mapping[str, Any]) -> None:
    """Write the table of facts as JSON lines, one a fact, to a temporary file of the caller's."""
    write_jsonl(
        path,
        (
            {
                "condition": condition.name,
                "aliases": list(condition.aliases),
                "department": condition.department,
                "field": field,
                "fact": phrase,
            }
            for condition in load_conditions(conditions)
            for field in FACT_COUNTS
            for phrase in getattr(condition, field)
        ),
    )


def demo_exam(manifest: Path, reading: Reading, rows: Iterable[Mapping[str, Any]], content: str | None = None) -> Exam:
    """Make the exam of the facts that a manifest's file lists, half of it of what the training rows hold.

    Parameters
    ----------
    manifest, content : see `reading.read_exam`.
    reading : its ``max_questions`` are made, 400 where it is None, and its ``seed`` draws them.
    rows : of the largest training set, with question and answer.

    Raises `UserError` where there are too few facts of a kind.
    """
    exam = Exam()
    (file,) = opened(manifest, reading, exam, content)
    table = [record for record in file.table.records if isinstance(record, dict)]
    exam.files.append(
        {"path": file.path.as_posix(), "exam_format": "demo", "because": file.fields.why, "rows": len(table)}
    )
    exam.source = "demo"
    wanted = (reading.max_questions or QUESTIONS) // EIGHT
    rows = list(rows)
    seen, unseen = divided(table, rows)
    made = {}
    for is_seen, facts in ((True, seen), (False, unseen)):
        rng = Random(f"exam/{reading.seed}/{is_seen}")
        for four in fours(table, facts, rng)[:wanted]:
            exam.questions += questions_of(four, len(exam.questions) + 1, is_seen, rng)
        made[is_seen] = sum(question.seen is is_seen for question in exam.questions)
    if not exam.questions:
        raise UserError(
            "D160",
            f"{reading.where}: of the {len(table)} facts of the demo no four go together, of conditions of one "
            "department that training rows all hold or all do not; ask for more rows, or leave this exam out",
        )
    if min(made.values()) < FOUR * wanted:
        cures = ["larger study.sizes (a few hundred rows)"] * (made[True] < FOUR * wanted)
        cures += ["a smaller data.condition_count"] * (made[False] < FOUR * wanted)
        exam.warnings.append(
            f"{reading.where}: made are {made[True]} questions on facts that training rows hold and {made[False]} on "
            f"conditions that none names, of {FOUR * wanted} each that were asked for: with the "
            f"{how_many(len(rows), 'training row')} of the largest size, too few such facts of one department go "
            f"together; use {' and '.join(cures)}, or a smaller {reading.where}.max_questions"
        )
    return exam


def divided(table: Sequence[Mapping], rows: Iterable[Mapping[str, Any]]) -> tuple[set[Fact], set[Fact]]:
    """Return the facts that a training row holds, and those about conditions that no training row names.

    A fact of a condition that rows name, but never with it, is in neither: what belongs to that condition was learned
    in part.
    """
    names: dict[str, str] = {}
    by_phrase: dict[str, list[Fact]] = defaultdict(list)
    for entry in table:
        fact = Fact(entry["condition"], entry["field"], entry["fact"])
        by_phrase[fact.phrase].append(fact)
        names |= dict.fromkeys((fact.condition, *entry["aliases"]), fact.condition)
    seen: set[Fact] = set()
    known: set[str] = set()
    for row in rows:
        text = f"{row['question']}\n{row['answer']}"
        found = [name for name in names if name in text]
        known.update(names[name] for name in found)
        # 妊娠期高血压 is not 高血压.
        about = {names[name] for name in found if not any(name != other and name in other for other in found)}
        for phrase, facts in by_phrase.items():
            if phrase in row["answer"]:
                seen.update(fact for fact in facts if fact.condition in about)
    return seen, {fact for facts in by_phrase.values() for fact in facts if fact.condition not in known}


def fours(table: Sequence[Mapping], facts: Iterable[Fact], rng: Random) -> list[tuple[Fact, ...]]:
    """Return facts in fours, in random order: of one field, about four conditions of one department, each fact once.

    No fact of a four is one of another condition there, in whatever field, nor a part of one: it would be right twice.
    """
    departments = {entry["condition"]: entry["department"] for entry in table}
    own: dict[str, set[str]] = defaultdict(set)
    for entry in table:
        own[entry["condition"]].add(entry["fact"])
    by_place: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in sorted(facts):
        by_place[departments[fact.condition], fact.field].append(fact)
    made = []
    for place in sorted(by_place):
        left = by_place[place]
        rng.shuffle(left)
        while (four := _four(left, own)) is not None:
            made.append(four)
            left = [fact for fact in left if fact not in four]
    rng.shuffle(made)
    return made


def _four(facts: Sequence[Fact], own: Mapping[str, set[str]]) -> tuple[Fact, ...] | None:
    """Return the first four of the facts that go together, or None; the conditions with most facts come first."""
    left: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        left[fact.condition].append(fact)
    order = sorted(left, key=lambda condition: -len(left[condition]))
    candidates = [fact for condition in order for fact in left[condition]]

    def fits(fact: Fact, chosen: tuple[Fact, ...]) -> bool:
        return all(
            fact.condition != other.condition
            and not _is_of(fact.phrase, own[other.condition])
            and not _is_of(other.phrase, own[fact.condition])
            for other in chosen
        )

    def completed(chosen: tuple[Fact, ...], start: int) -> tuple[Fact, ...] | None:
        if len(chosen) == FOUR:
            return chosen
        for place in range(start, len(candidates)):
            if fits(candidates[place], chosen):
                found = completed((*chosen, candidates[place]), place + 1)
                if found is not None:
                    return found
        return None

    return completed((), 0)


def _is_of(phrase: str, others: Iterable[str]) -> bool:
    return any(phrase in other or other in phrase for other in others)


def questions_of(four: Sequence[Fact], first: int, is_seen: bool, rng: Random) -> Iterator[Question]:
    """Yield the four questions of four facts, numbered from ``first``: a right option each, and each letter once."""
    four = rng.sample(four, FOUR)
    letters = rng.sample(range(FOUR), FOUR)
    for place, (fact, letter) in enumerate(zip(four, letters, strict=True)):
        asked, told = SENTENCES[fact.field]
        order = [four[(place + shift) % FOUR] for shift in range(FOUR)]  # the right one first
        turned = order[FOUR - letter :] + order[: FOUR - letter]
        options = {
            name: told.format(name=fact.condition, fact=option.phrase)
            for name, option in zip(LETTERS, turned, strict=False)
        }
        subject = "seen" if is_seen else "unseen"
        yield Question(
            *(f"q{first + place:06d}", asked.format(name=fact.condition), options, LETTERS[letter]),
            subject=subject,
            seen=is_seen,
        )
