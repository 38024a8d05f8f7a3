"""Texts from which the demo's base model learns to read and to speak, and not one fact of the table.

Conditions are invented: a composed name, a department drawn at random, and phrases of which no two belong to one
condition of the table. About them the same sentences are made as about real ones. A part of the invented conditions
is met again and again, with the same facts each time: that a name has facts of its own has to be learned as well.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

from medscale.data.demo import phrasings
from medscale.data.demo.corpus import FACT_COUNTS, Condition, make_answer, make_question, textbook
from medscale.data.demo.invented import COMPOSED, ENDINGS, EVERYDAY, OPENINGS, PROCESSES, SITES

RESIDENTS = 600
"""How many invented conditions are met again and again."""
RESIDENT_SHARE = 0.75
"""Of the texts on a condition, those on one that is met again; the others are about one that is met once."""
COMPOSED_SHARE = 0.15
"""Of the phrases, those composed from `invented`; the others are single phrases of the table."""
SHORT_SHARE = 0.4
"""Of the questions, those that are a title without the patient's story."""
DIALOGUES, EVERYDAY_SHARE = 0.85, 0.03
"""Of all texts, those that are a question and its answer, and those about daily life; the others are a textbook's."""
OLDEST = (0, 2, 12, 40, 65, 80, 95)


class Document(NamedTuple):
    """One text: what a patient asks, empty for prose, and what is said."""

    question: str
    answer: str


class Fiction:
    """Invented conditions and texts about them, a function of the table and a seed.

    Args:
        conditions: the table, from `load_conditions`; only its single phrases, its departments and the characters of
            its names are used.
        seed: decides the conditions that are met again.
        residents: how many those are.
    """

    def __init__(self, conditions: Sequence[Condition], seed: int, residents: int = RESIDENTS):
        self.real = {name for condition in conditions for name in (condition.name, *condition.aliases)}
        self.forbidden = re.compile("|".join(map(re.escape, sorted(self.real))))
        self.departments = sorted({condition.department for condition in conditions})
        self.characters = sorted(set("".join(self.real)))
        self.owners: dict[str, set[int]] = {}
        self.pools: dict[str, list[str]] = {}
        for field in FACT_COUNTS:
            phrases = [(phrase, number) for number, of in enumerate(conditions) for phrase in getattr(of, field)]
            self.pools[field] = sorted({phrase for phrase, _ in phrases if not self.forbidden.search(phrase)})
            for phrase, number in phrases:
                self.owners.setdefault(phrase, set()).add(number)
        rng = Random(f"residents/{seed}")
        self.residents = [self.condition(rng) for _ in range(residents)]

    def condition(self, rng: Random) -> Condition:
        """Return an invented condition; no two of its phrases belong to one condition of the table."""
        taken: set[int] = set()
        facts = {
            field: self._phrases(field, rng.randint(fewest, most), taken, rng)
            for field, (fewest, most) in FACT_COUNTS.items()
        }
        oldest = rng.choice(OLDEST)
        return Condition(
            name=self.name(rng),
            aliases=tuple(self.name(rng) for _ in range(rng.choice((0, 1, 1, 2)))),
            department=rng.choice(self.departments),
            sex=rng.choice(("any", "any", "any", "male", "female")),
            ages=(rng.randint(0, oldest), oldest),
            **facts,
        )

    def name(self, rng: Random) -> str:
        """Return a composed name that is no name of the table, holds none, and is a part of none."""
        while True:
            middle = rng.choice(
                (
                    rng.choice(SITES) + rng.choice(SITES),
                    rng.choice(SITES) + rng.choice(PROCESSES),
                    "".join(rng.sample(self.characters, 2)),
                    "".join(rng.sample(self.characters, 3)),
                    rng.choice(SITES) + rng.choice(self.characters) + rng.choice(PROCESSES),
                )
            )
            name = rng.choice((rng.choice(OPENINGS), "", "")) + middle + rng.choice((*ENDINGS, ""))
            if len(name) >= 3 and not self.forbidden.search(name) and not any(name in real for real in self.real):
                return name

    def dialogue(self, condition: Condition, rng: Random) -> Document:
        """Return a question about an invented condition, and its answer."""
        kind = rng.choice(tuple(phrasings.KINDS))
        title, ask = make_question(condition, kind, rng.choice(phrasings.STORIES), rng)
        question = title if rng.random() < SHORT_SHARE else f"{title}\n{ask}"
        return Document(question, make_answer(condition, kind, rng))

    def repetition(self, rng: Random) -> Document:
        """Return a dialogue in which invented names are said again: to copy a name is what every answer begins with."""
        names = "、".join(self.name(rng) for _ in range(rng.randint(1, 4)))
        asked = rng.choice(("请重复一遍：{}。", "{}，再说一遍。", "{}怎么写？", "请记下：{}。")).format(names)
        return Document(asked, f"{names}。")

    def vocabulary(self, count: int, seed: str) -> list[str]:
        """Return texts for a tokenizer: sentences without the names in them, and what names are composed of.

        No token then joins a part of a name to the words beside it: a name is the same tokens wherever it stands.
        """
        rng = Random(f"vocabulary/{seed}")
        texts = []
        for _ in range(count):
            text = self.dialogue(replace(self.condition(rng), name="\n", aliases=()), rng)
            texts += [text.question, text.answer]
        parts = {*self.characters, *OPENINGS, *SITES, *PROCESSES, *ENDINGS}
        return [*texts, *["\n".join(sorted({*parts, *"".join(parts)}))] * (count // 40)]

    def documents(self, count: int, seed: str, repetitions: float = 0.0) -> list[Document]:
        """Return fresh texts, a share of them `repetition`; none holds a name of the table."""
        rng = Random(f"documents/{seed}")
        drawn: list[Document] = []
        while len(drawn) < count:
            document = self.repetition(rng) if repetitions and rng.random() < repetitions else self._document(rng)
            if not self.forbidden.search(f"{document.question}\n{document.answer}"):
                drawn.append(document)
        return drawn

    def _document(self, rng: Random) -> Document:
        part = rng.random()
        if part < EVERYDAY_SHARE:
            return Document("", "".join("".join(map(rng.choice, EVERYDAY)) for _ in range(rng.randint(2, 5))))
        if rng.random() < RESIDENT_SHARE:
            condition = rng.choice(self.residents)
        else:  # met once: that its other name means the same could not be known
            condition = replace(self.condition(rng), aliases=())
        if part < EVERYDAY_SHARE + DIALOGUES:
            return self.dialogue(condition, rng)
        return Document("", "\n".join(textbook([condition], rng.randrange(2**32))[: rng.randint(1, 3)]))

    def _phrases(self, field: str, count: int, taken: set[int], rng: Random) -> tuple[str, ...]:
        """Draw phrases that share no condition of the table with each other or with those ``taken`` before."""
        drawn: list[str] = []
        complaints = 0
        while len(drawn) < count:
            if rng.random() < COMPOSED_SHARE:
                phrase = "".join(map(rng.choice, COMPOSED[field]))
            else:
                phrase = rng.choice(self.pools[field])
            owners = self.owners.get(phrase, set())
            spoken = not phrase.startswith(phrasings.NOT_A_COMPLAINT)
            if phrase in drawn or owners & taken or (field == "symptoms" and complaints < 2 and not spoken):
                continue
            complaints += spoken
            taken |= owners
            drawn.append(phrase)
        return tuple(drawn)
