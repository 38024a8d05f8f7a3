"""The conversation in a terminal, or with what comes through a pipe: a question a line, and a few commands."""

import math
import sys
from collections.abc import Callable, Iterator

from medscale.ask.asker import Asker, Growing, Side
from medscale.ask.look import Look
from medscale.ask.sampling import Sampling
from medscale.ask.study import BASE
from medscale.ask.texts import LANGUAGES, text
from medscale.base.errors import UserError
from medscale.data.questions import Question

TESTS = 10_000
HOTTEST = 5.0


class Terminal:
    """A conversation with a run of a study and its base model.

    Args:
        asker: has a run that is asked.
        sampling: how tokens are chosen until the user says otherwise.
        max_new_tokens: tokens of the longest answer; None for the study's.
        language: ``en`` or ``zh``.
    """

    def __init__(self, asker: Asker, sampling: Sampling, max_new_tokens: int | None, language: str):
        self.asker, self.sampling, self.most, self.language = asker, sampling, max_new_tokens, language
        self.look = Look(language, self.label)
        self.sides = asker.sides()
        self.commands: dict[str, Callable[[str], None]] = {
            "/help": lambda _: self.say("help"),
            "/new": lambda _: self.begin("new"),
            "/run": self.switch,
            "/test": self.test,
            "/temperature": self.heat,
        }

    def talk(self) -> None:
        """Answer questions until there are no more."""
        for language in sorted(LANGUAGES, key=lambda each: each != self.language):
            self.look.say(text("disclaimer", language), "bold yellow")
        if not self.look.plain:
            self.say("hint")
        self.say("sampled" if self.sampling.temperature else "greedy", t=self.sampling.temperature)
        for line in self.lines():
            words = line.strip()
            command, _, rest = words.partition(" ")
            if command in ("/quit", "/exit"):
                break
            try:
                if command in self.commands:
                    self.commands[command](rest.strip())
                elif words.startswith("/"):
                    self.say("unknown", word=command)
                elif words or self.look.plain:
                    self.ask(words)
            except UserError as error:
                self.look.say(f"error: {error}", "red")

    def lines(self) -> Iterator[str]:
        """Yield what is typed or comes through the pipe, a line each. Ctrl+C gives up a line, Ctrl+D ends."""
        if not sys.stdin.isatty():
            yield from sys.stdin
            return
        import readline  # noqa: F401 — lets input() edit the line, Chinese characters included, and recall earlier ones

        while True:
            try:
                yield input(f"{text('asked', self.language)}> ")
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()

    def ask(self, question: str | Question) -> None:
        """Ask both, show their answers, and let them remember what was said."""
        answers = self.asker.ask(question, self.sides, self.sampling, self.most)
        self.look.show(answers)
        asked = question.text if isinstance(question, Question) else question
        self.sides = [after_answer(side, asked, answer) for side, answer in zip(self.sides, answers, strict=True)]

    def label(self, side: str) -> str:
        """Return what a side is called."""
        if side != BASE:
            return side
        return text("base_four_bits" if self.asker.run.method == "qlora" else "base", self.language)

    def say(self, key: str, **values: object) -> None:
        """Print one of our texts."""
        self.look.say(text(key, self.language, **values))

    def begin(self, key: str | None = None) -> None:
        """Begin a new conversation."""
        self.sides = self.asker.sides()
        if key:
            self.say(key)

    def switch(self, name: str) -> None:
        """Ask another run in a new conversation, or list the runs."""
        if not name:
            self.say("runs", runs=", ".join([*self.asker.study.finished(), BASE]))
            return
        self.say("loading", run=name)
        self.asker.switch(name)
        self.begin("new")

    def test(self, number: str) -> None:
        """Ask a question of the test set in a new conversation, and show the reference answer."""
        rows = self.asker.study.examples(TESTS)
        if not rows:
            self.say("no_tests")
        elif not number.isdecimal() or not 1 <= int(number) <= len(rows):
            self.say("needs_number", word="/test", low=1, high=len(rows))
        else:
            row = rows[int(number) - 1]
            self.begin()
            self.look.quote(f"[{text('asked', self.language)}]", row["question"])
            self.ask(self.asker.test_question(row))
            self.look.quote(f"[{text('reference', self.language)}]", row["answer"])

    def heat(self, number: str) -> None:
        """Set the temperature of sampling."""
        temperature = as_temperature(number)
        if temperature is None:
            self.say("needs_number", word="/temperature", low=0, high=HOTTEST)
            return
        self.sampling = self.sampling._replace(temperature=temperature)
        self.say("sampled" if temperature else "greedy", t=temperature)


def as_temperature(words: str) -> float | None:
    """Return a temperature, or None where the words are none."""
    try:
        temperature = float(words)
    except ValueError:
        return None
    return temperature if math.isfinite(temperature) and 0 <= temperature <= HOTTEST else None


def after_answer(side: Side, question: str, answer: Growing) -> Side:
    """Return a side after its answer; what it did not say, because it was stopped before, it does not remember."""
    return side._replace(turns=(*side.turns, (question, answer.text))) if answer.text else side
