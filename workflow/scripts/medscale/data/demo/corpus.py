"""The demonstration corpus: questions and answers in the Toyhom schema, made from a tracked table of medical facts.

Every answer states facts of one condition, most of which stand in no question: it has to be learned, and more rows
cover more facts. A small share of rows is noise that cleaning has to find: see `NOISE`.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import cycle, islice
from random import Random

from medscale.base.errors import UserError
from medscale.base.files import atomic_path, read_json
from medscale.data.demo import phrasings

COLUMNS = ("department", "title", "ask", "answer")
# How many facts a condition has of each field: fewest, most.
FACT_COUNTS = {
    "symptoms": (3, 6), "causes": (2, 5), "examinations": (2, 4),
    "treatment": (2, 4), "daily_care": (3, 5), "warning_signs": (2, 4),
}  # fmt: skip
# Questions available of one condition: about one field, about two.
VARIANTS = {1: 24, 2: 12}
# The noise, taken in turn: 2 % exact duplicates and 2 % near-duplicates at noise 0.05, and 0.2 % each of personal data
# in the question, remains of HTML, a placeholder for an answer, a control character, and full-width digits.
NOISE = tuple(
    kind
    for rare in ("contact", "html", "placeholder", "control", "full_width")
    for kind in ("duplicate", "near_duplicate", "duplicate", "near_duplicate", rare)
)
ANSWER_CHARS = (50, 160)
_PHRASE = re.compile(r"[^\s，。、；：！？,;!?（）()]{2,18}")


@dataclass(frozen=True)
class Condition:
    """One condition of the table; ``sex`` is any, male or female, ``ages`` the youngest and oldest patient in years."""

    name: str
    aliases: tuple[str, ...]
    department: str
    sex: str
    ages: tuple[int, int]
    symptoms: tuple[str, ...]
    causes: tuple[str, ...]
    examinations: tuple[str, ...]
    treatment: tuple[str, ...]
    daily_care: tuple[str, ...]
    warning_signs: tuple[str, ...]


@dataclass(frozen=True)
class DemoRow:
    """A row in the Toyhom schema, and where it comes from: condition, kind of question, kind of noise or None."""

    row: dict[str, str]
    condition: str
    kind: str
    noise: str | None = None


def load_conditions(path: str | os.PathLike) -> list[Condition]:
    """Read and check the table of facts.

    Raises
    ------
    UserError
        The file is missing or broken, a field is missing, has too few or too many facts or one that is no short
        phrase, or a name or alias stands twice. The message names the condition and the field.
    """
    table = read_json(path)
    entries = table.get("conditions") if isinstance(table, dict) else None
    if not isinstance(entries, list) or not entries:
        raise UserError("D120", f"{path}: expected an object with a list `conditions`")
    conditions = [_condition(entry, f"{path}, condition {number}") for number, entry in enumerate(entries, 1)]
    names = Counter(name for condition in conditions for name in (condition.name, *condition.aliases))
    if twice := [name for name, times in names.items() if times > 1]:
        raise UserError(
            "D121", f"{path}: names or aliases that stand twice: {', '.join(twice)}; give each condition its own"
        )
    return conditions


def some(conditions: Sequence[Condition], count: int | None, seed: int) -> Sequence[Condition]:
    """Return ``count`` of the conditions, drawn by the seed; all of them for None; `UserError` if there are fewer."""
    if count is None:
        return conditions
    if count > len(conditions):
        raise UserError("C104", f"data.condition_count is {count}; the table of facts has {len(conditions)} conditions")
    return Random(f"conditions/{seed}").sample(conditions, count)


def capacity(conditions: Sequence[Condition]) -> int:
    """Return how many distinct questions `generate` can make of the conditions."""
    return len(conditions) * sum(VARIANTS[len(topics)] for topics in phrasings.KINDS.values())


def generate(conditions: Sequence[Condition], rows: int, seed: int, noise: float = 0.05) -> list[dict[str, str]]:
    """Return ``rows`` dicts with the keys department, title, ask and answer, in random order.

    Parameters
    ----------
    conditions : the table, from `load_conditions`.
    rows : rows to make, the noise included; a `UserError` when there are not so many distinct questions (`capacity`).
    seed : the same seed gives the same rows, on every platform.
    noise : share of the rows, 0 to 0.5, that are duplicates or hold what cleaning removes; see `NOISE`.
    """
    return [drawn.row for drawn in draw(conditions, rows, seed, noise)]


def draw(conditions: Sequence[Condition], rows: int, seed: int, noise: float = 0.05) -> list[DemoRow]:
    """Return what `generate` does, each row with its condition, its kind of question and its kind of noise."""
    available = capacity(conditions)
    if not 1 <= rows <= available:
        raise UserError(
            "C126", f"data.rows is {rows}; {len(conditions)} conditions give 1 to {available} distinct questions"
        )
    if not 0 <= noise <= 0.5:
        raise UserError("C104", f"data.noise is {noise}; it must be from 0 to 0.5")
    slots = [
        (condition, kind, variant)
        for condition in conditions
        for kind, topics in phrasings.KINDS.items()
        for variant in range(VARIANTS[len(topics)])
    ]
    rng = Random(f"rows/{seed}")
    rng.shuffle(slots)
    noises = list(islice(cycle(NOISE), round(rows * noise)))
    copied = [kind for kind in noises if kind.endswith("duplicate")]
    spoiled = [kind for kind in noises if not kind.endswith("duplicate")]
    fresh = [_fresh(*slot, seed) for slot in slots[: rows - len(copied)]]
    clean = fresh[len(spoiled) :]
    drawn = clean + [_spoil(row, kind, rng) for row, kind in zip(fresh, spoiled, strict=False)]
    originals = cycle(rng.sample(clean, len(clean)))
    drawn += [_spoil(row, kind, rng) for row, kind in zip(originals, copied, strict=False)]
    rng.shuffle(drawn)
    return drawn


def write_toyhom_csv(path: str | os.PathLike, rows: Sequence[dict[str, str]]) -> None:
    """Write rows as the Toyhom files are: CSV in GB18030 with a header, ``\\n`` line ends, quotes where needed."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="gb18030", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def textbook(conditions: Sequence[Condition], seed: int) -> list[str]:
    """Return paragraphs of encyclopaedia-like prose on the conditions, in random order, every one with a name in it.

    They state the facts of the table in other sentences than the answers of `generate` do: text from which a small
    language model can learn general medical Chinese before it is fine-tuned on questions and answers.
    """
    rng = Random(f"textbook/{seed}")
    paragraphs = []
    for condition in conditions:
        for patterns in phrasings.TEXTBOOK:
            facts = {field: list(getattr(condition, field)) for field in FACT_COUNTS}
            for listed in facts.values():
                rng.shuffle(listed)
            words = dict(zip(("first", "second"), rng.sample(_complaints(condition), 2), strict=True))
            words["alias"] = rng.choice(condition.aliases or (condition.name,))
            paragraphs.append(_fill(rng.choice(patterns), condition, facts, **words))
    rng.shuffle(paragraphs)
    return paragraphs


def _condition(entry: object, where: str) -> Condition:
    if not isinstance(entry, dict):
        raise UserError("D120", f"{where}: expected an object")
    where = f"{where} ({entry.get('name')})"
    if wrong := {field.name for field in fields(Condition)}.symmetric_difference(entry):
        raise UserError("D120", f"{where}: missing or unknown: {', '.join(sorted(wrong))}")
    for field, (fewest, most) in (FACT_COUNTS | {"aliases": (0, 3)}).items():
        _check_phrases(entry[field], fewest, most, f"{where}: {field}")
    _check_phrases([entry["name"], entry["department"]], 2, 2, f"{where}: name and department")
    if entry["sex"] not in ("any", "male", "female"):
        raise UserError("D120", f"{where}: sex is {entry['sex']!r}; it must be any, male or female")
    ages = entry["ages"]
    whole = isinstance(ages, list) and [type(age) for age in ages] == [int, int]
    if not whole or not 0 <= ages[0] <= ages[1] <= 120:
        raise UserError(
            "D120", f"{where}: ages is {ages!r}; it must be two whole years, the younger first, from 0 to 120"
        )
    condition = Condition(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})
    if len(_complaints(condition)) < 2:
        raise UserError(
            "D120", f"{where}: symptoms needs two that a patient would name, not {phrasings.NOT_A_COMPLAINT}"
        )
    return condition


def _check_phrases(phrases: object, fewest: int, most: int, where: str) -> None:
    if not isinstance(phrases, list) or not fewest <= len(phrases) <= most:
        raise UserError("D120", f"{where}: expected a list of {fewest} to {most} phrases, not {phrases!r}")
    for number, phrase in enumerate(phrases):
        if not isinstance(phrase, str) or not _PHRASE.fullmatch(phrase):
            raise UserError("D120", f"{where}: {phrase!r} is not a phrase of 2 to 18 characters without punctuation")
        if phrase in phrases[:number]:
            raise UserError("D121", f"{where}: {phrase} stands twice")


def _complaints(condition: Condition) -> list[str]:
    return [fact for fact in condition.symptoms if not fact.startswith(phrasings.NOT_A_COMPLAINT)]


def _fresh(condition: Condition, kind: str, variant: int, seed: int) -> DemoRow:
    """Make the question and answer of one slot; its story is the variant's own, so no two slots give one question."""
    rng = Random(f"{seed}/{condition.name}/{kind}/{variant}")
    stories = Random(f"{seed}/{condition.name}/{kind}").sample(phrasings.STORIES, len(phrasings.STORIES))
    title, ask = make_question(condition, kind, stories[variant], rng)
    row = {"department": condition.department, "title": title, "ask": ask, "answer": make_answer(condition, kind, rng)}
    return DemoRow(row, condition.name, kind)


def make_question(condition: Condition, kind: str, story: str, rng: Random) -> tuple[str, str]:
    """Return a short title and a longer description: who, since when, what, the story, the question."""
    age = rng.randint(*condition.ages)
    intros, persona = _persona(condition, age, rng)
    first, second = rng.sample(_complaints(condition), 2)
    acute = age == 0 or condition.name.startswith(("急性", "突发"))
    words = persona | {
        "name": rng.choice((condition.name, condition.name, *condition.aliases)),
        "job": rng.choice(phrasings.JOBS),
        "place": rng.choice(phrasings.PLACES),
        "duration": rng.choice(phrasings.SHORT_DURATIONS if acute else phrasings.DURATIONS),
        "first": first,
        "second": second,
    }
    title, question = rng.choice(phrasings.QUESTIONS[kind])
    if "{name}" not in question:
        question = rng.choice(("", "{name}的话，")) + question
    intro, complaint, diagnosis = (rng.choice(part) for part in (intros, phrasings.COMPLAINTS, phrasings.DIAGNOSES))
    (own_stories,) = _for_age(phrasings.OWN_STORIES, age)
    tale = "。".join(rng.sample((story, rng.choice(own_stories)), 2)) if rng.random() < 0.8 else story
    closing = rng.choice((*phrasings.CLOSINGS, "", ""))
    shapes = (
        f"{intro}，{complaint}，{diagnosis}。{tale}。{question}{closing}",
        f"{intro}。{tale}。{complaint}，{diagnosis}。{question}{closing}",
        f"{question}{intro}，{complaint}。{tale}，{diagnosis}。{closing}",
        f"{intro}，{diagnosis}。{complaint}。{tale}，{question}{closing}",
    )
    return title.format(**words), rng.choice(shapes).format(**words)


def _persona(condition: Condition, age: int, rng: Random) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the openings that fit the speaker, and the words for the patient: who, they, age."""
    sex = rng.choice(("female", "male")) if condition.sex == "any" else condition.sex
    age_text = f"{age}岁"
    if age == 0:
        age_text = f"出生{rng.randint(3, 25)}天" if condition.ages[1] == 0 else f"{rng.randint(3, 11)}个月大"
    if 16 <= age < 75 and rng.random() < 0.45:
        return phrasings.SELF_INTROS, {"who": "我", "they": "我", "age": age_text}
    women, men = _for_age(phrasings.RELATIVES, age)
    who, they = (rng.choice(women), "她") if sex == "female" else (rng.choice(men), "他")
    return phrasings.RELATIVE_INTROS, {"who": who, "they": they, "age": age_text}


def _for_age(table: Sequence[tuple], age: int) -> tuple:
    """Return what stands after the oldest age in the first line of the table that the age does not exceed."""
    return next(line[1:] for line in table if age <= line[0])


def make_answer(condition: Condition, kind: str, rng: Random) -> str:
    """Return an answer of `ANSWER_CHARS`: mostly set by condition and kind, some wording, order and facts vary."""
    facts = {field: list(getattr(condition, field)) for field in FACT_COUNTS}
    topics = phrasings.KINDS[kind]
    for topic in topics:
        if len(facts[topic]) > 3 and rng.random() < 0.3:
            facts[topic].remove(rng.choice(facts[topic]))
        if rng.random() < 0.25:
            rng.shuffle(facts[topic])
    pattern = rng.choice(phrasings.ANSWERS[kind])
    greeting, farewell = rng.choice(phrasings.GREETINGS), rng.choice(phrasings.FAREWELLS)
    shortest, longest = ANSWER_CHARS
    text = _fill(pattern, condition, facts)
    while len(text) > longest:
        max((facts[topic] for topic in topics), key=len).pop()
        text = _fill(pattern, condition, facts)
    if len(text) < shortest and not farewell:
        farewell = f"早发现、早处理，{condition.department}能给您更细的指导。"
    return greeting + text + farewell if len(greeting + text + farewell) <= longest else text


def _fill(pattern: str, condition: Condition, facts: dict[str, list[str]], **words: str) -> str:
    lists = {}
    for field, items in facts.items():
        between, last = phrasings.JOINERS[field]
        lists[field] = between.join(items[:-1]) + last + items[-1] if len(items) > 1 else items[0]
    words |= {"name": condition.name, "department": condition.department}
    return pattern.format(check=condition.examinations[0], habit=condition.daily_care[0], **lists, **words)


def _spoil(drawn: DemoRow, kind: str, rng: Random) -> DemoRow:
    """Return the row with one kind of noise put in."""
    row = dict(drawn.row)
    if kind == "near_duplicate":
        old, new = rng.choice([swap for swap in phrasings.WORD_SWAPS if swap[0] in row["ask"]])
        row["ask"] = row["ask"].replace(old, new, 1)
    elif kind == "contact":
        row["ask"] += rng.choice(phrasings.CONTACTS)
    elif kind == "html":
        row["answer"] = rng.choice(phrasings.HTML_REMNANTS).format(text=row["answer"])
    elif kind == "placeholder":
        row["answer"] = rng.choice(phrasings.PLACEHOLDERS)
    elif kind == "control":
        at = rng.randrange(len(row["answer"]))
        row["answer"] = row["answer"][:at] + rng.choice(phrasings.CONTROL_CHARACTERS) + row["answer"][at:]
    elif kind == "full_width":
        row["ask"] = row["ask"].translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})
    return DemoRow(row, drawn.condition, drawn.kind, kind)
