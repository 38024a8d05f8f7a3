"""The study's chat template in Go's template language, as Ollama wants it: derived by asking the template, and proved.

A template of ChatML's kind writes each message between a fixed beginning and a fixed end, by role. These pieces are
read off conversations with words that can be found again, and the template counts as translated only where other
conversations, rendered from the pieces, are what it makes of them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

S, Q, A, R = "甲子乙丑丙寅", "丁卯戊辰己巳", "庚午辛未壬申", "癸酉甲戌乙亥"
TRIED = ("头痛三天，怎么办？", "建议多休息。\n必要时就医。", "那饮食呢", "清淡饮食，少油少盐。", "还要复查吗？")


class Untranslatable(Exception):
    """A template that these pieces do not make; the text says why."""


class Pieces(NamedTuple):
    """What a template writes around the messages of each role, and at the end for an answer to begin."""

    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]
    generation: str
    no_system: str
    """What stands at the beginning where no message is of the system, such as a default of the template's own."""

    def render(self, messages: Sequence[dict[str, str]]) -> str:
        """Return the prompt of a conversation."""
        text = "" if any(message["role"] == "system" for message in messages) else self.no_system
        for message in messages:
            before, behind = getattr(self, message["role"])
            text += before + message["content"] + behind
        return text + self.generation

    def go(self) -> str:
        """Return the template in Go's language, without a character of its own around the pieces."""
        start = f"{{{{ if not .System }}}}{self.no_system}{{{{ end }}}}" if self.no_system else ""
        (s1, s2), (u1, u2), (a1, a2) = self.system, self.user, self.assistant
        return (
            f'{start}{{{{ range .Messages }}}}{{{{ if eq .Role "system" }}}}{s1}{{{{ .Content }}}}{s2}'
            f'{{{{ else if eq .Role "user" }}}}{u1}{{{{ .Content }}}}{u2}'
            f'{{{{ else if eq .Role "assistant" }}}}{a1}{{{{ .Content }}}}{a2}{{{{ end }}}}{{{{ end }}}}'
            f"{self.generation}"
        )


def pieces_of(tokenizer: Any, template: str) -> Pieces:
    """Return the pieces of a chat template, as `shipped_template` makes it.

    Raises:
        Untranslatable: it is no template of this kind, or one that Ollama would read otherwise.
    """
    ask = Asked(tokenizer, template)
    pieces = _read_off(ask)
    for messages in _conversations():
        if ask(messages, prompt=True) != pieces.render(messages):
            raise Untranslatable("it writes a message otherwise, by where it stands or what it says")
    parts = [*pieces.system, *pieces.user, *pieces.assistant, pieces.generation, pieces.no_system]
    if any(mark in part for part in parts for mark in ("{{", "}}", '"""')):
        raise Untranslatable('it writes {{, }} or """, which mean something else in a Modelfile')
    begin = tokenizer.bos_token
    if begin and any(part.startswith(begin) for part in (pieces.no_system, pieces.system[0], pieces.user[0])):
        raise Untranslatable(f"it begins with {begin}, which llama.cpp puts there a second time")
    return pieces


class Asked:
    """A chat template that can be asked what it makes of a conversation."""

    def __init__(self, tokenizer: Any, template: str):
        self.tokenizer, self.template = tokenizer, template

    def __call__(self, messages: list[dict[str, str]], prompt: bool) -> str:
        """Return the text of a conversation, with or without the beginning of an answer."""
        import jinja2

        options = {"chat_template": self.template, "add_generation_prompt": prompt, "tokenize": False}
        try:
            return self.tokenizer.apply_chat_template(messages, **options)
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise Untranslatable(f"it refuses a conversation with a system text and earlier turns ({error})") from error


def _read_off(ask: Asked) -> Pieces:
    long = _cut(ask(_turns((S, Q, A, R)), prompt=True), (S, Q, A, R))
    short = _cut(ask(_turns((S, Q, A)), prompt=False), (S, Q, A))
    asked = _cut(ask(_turns((S, Q)), prompt=False), (S, Q))
    alone = _cut(ask(_turns((None, Q)), prompt=True), (Q,))
    behind_answer, behind_question = short[-1], asked[-1]
    before_system, system_user, user_assistant, assistant_user, generation = long
    before_user = _less(assistant_user, behind_answer)
    before_assistant = _less(user_assistant, behind_question)
    opening = _less(generation, behind_question)
    if not system_user.endswith(before_user) or not alone[0].endswith(before_user):
        raise Untranslatable("it begins a question otherwise behind a system text than behind an answer")
    behind_system = system_user[: len(system_user) - len(before_user)]
    no_system = alone[0][: len(alone[0]) - len(before_user)]
    return Pieces(
        (before_system, behind_system),
        (before_user, behind_question),
        (before_assistant, behind_answer),
        opening,
        no_system,
    )


def _less(text: str, start: str) -> str:
    if not text.startswith(start):
        raise Untranslatable("it ends a message otherwise where another one follows")
    return text[len(start) :]


def _cut(text: str, words: Sequence[str]) -> list[str]:
    """Return what stands before, between and behind the words."""
    parts = []
    for word in words:
        before, found, text = text.partition(word)
        if not found:
            raise Untranslatable("it leaves a message of the conversation out")
        parts.append(before)
    return [*parts, text]


def _turns(texts: Sequence[str | None]) -> list[dict[str, str]]:
    """Return messages: the text of the system, or None for none, then questions and answers in turns."""
    system, *said = texts
    messages = [{"role": "system", "content": system}] if system else []
    return messages + [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]


def _conversations() -> list[list[dict[str, str]]]:
    systems = (None, "你是一名医生。", "Answer briefly.\n请用中文。")
    return [_turns((system, *TRIED[:count])) for system in systems for count in (1, 3, 5)]
