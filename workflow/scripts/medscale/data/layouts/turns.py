"""The turns of a dialogue as questions with their answers, from any of the ways in which turns are written down."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from medscale.data.values import NotText, described, is_null, structured, text_of

_SPEAKER_KEYS, _TEXT_KEYS = ("role", "from", "speaker"), ("content", "value", "text")
_ROLES = {
    "user": ["user", "human", "prompter", "patient", "customer", "用户", "患者", "病人", "问"],
    "assistant": ["assistant", "gpt", "chatgpt", "bot", "model", "ai", "doctor", "助手", "医生", "答"],
    "system": ["system", "developer", "系统"],
    "tool": ["tool", "function", "observation", "function_call", "function_response", "tool_call", "tool_response"],
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words}
PAIRS = (("question", "answer"), ("prompt", "response"), ("user", "assistant"), ("human", "assistant"))
PAIRS += (("human", "gpt"), ("instruction", "output"), ("query", "response"), ("问", "答"))
"""The keys of an object that holds a question and its answer."""
_SPOKEN = re.compile(r"\s*([A-Za-z]+|[\u4e00-\u9fff]{1,2})\s*[:：]\s*(.*)", re.DOTALL)
"""A turn that is one text, such as «问：头痛怎么办»."""
_CALLS = ("tool_calls", "function_call")
_WEIGHTS = ("weight", "loss", "train")
"""Marks of an answer from which nothing is to be learned, where they are 0 or false."""


class Turn(NamedTuple):
    """A question with its answer, as they stand in the file; ``learned`` is false for one that is but context."""

    question: str
    answer: str
    learned: bool = True


class Dialogue(NamedTuple):
    """The turns of a dialogue, and what of it is in none of them.

    Attributes
    ----------
    turns : the questions with their answers.
    system : the text of the system, or None.
    unanswered : questions at its end without an answer.
    openings : what the assistant says before anything is asked, such as a greeting: answers to nothing.
    """

    turns: list[Turn]
    system: str | None = None
    unanswered: int = 0
    openings: int = 0


class Odd(ValueError):
    """A dialogue that cannot be read as questions and answers in turn: the reason in one word, and what was found."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


def read_dialogue(value: Any) -> Dialogue:
    """Read a dialogue: a list of turns, each an object with who speaks and what is said.

    Turns may come as lists of each, as some Parquet files have them, or as text that holds JSON. The system may speak
    at the beginning, and then user and assistant in turn.

    Raises `Odd`: "empty_dialogue", "bad_turn" (no object with a speaker and a text), "unknown_role", "tool_turn",
    "late_system" (in the midst of the dialogue), "two_user_turns", "two_assistant_turns", "no_answer", "not_text" (a
    picture, say).
    """
    messages = [each for message in _messages(value) for each in _of_pair(message)]
    system, spoken, openings = [], [], 0
    for place, message in enumerate(messages, 1):
        role, text, learned = _read_message(message, place)
        if role == "system":
            if spoken:
                raise Odd("late_system", f"turn {place}: {text[:150]}")
            system.append(text)
        elif role == "assistant" and not spoken and not openings:
            openings = 1
        else:
            before = spoken[-1][0] if spoken else "assistant"
            if before == role:
                raise Odd(f"two_{role}_turns", f"turns {place - 1} and {place}")
            spoken.append((role, text, learned))
    unanswered = len(spoken) % 2
    if len(spoken) < 2:
        raise Odd("no_answer" if spoken else "empty_dialogue", f"{len(messages)} turns")
    pairs = zip(spoken[::2], spoken[1::2], strict=False)
    turns = [Turn(question, answer, learned) for (_, question, _), (_, answer, learned) in pairs]
    return Dialogue(turns, "\n".join(text for text in system if text.strip()) or None, unanswered, openings)


def says_who_speaks(text: str) -> bool:
    """Tell whether a text is a turn by itself, such as «问：头痛怎么办»."""
    spoken = _SPOKEN.match(text)
    return spoken is not None and spoken[1].lower() in _ROLE_OF


def _messages(value: Any) -> list[Any]:
    value = structured(value)
    if is_null(value) or (isinstance(value, str) and not value.strip()):
        return []
    if isinstance(value, Mapping) and value and all(isinstance(column, list | tuple) for column in value.values()):
        lengths = {len(column) for column in value.values()}
        if len(lengths) == 1:
            return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
    if not isinstance(value, list | tuple):
        raise Odd("bad_turn", f"no list of turns but {described(value)}")
    return list(value)


def _of_pair(message: Any) -> list[Any]:
    """Return the two turns of an object that holds a question with its answer, such as {human, assistant}.

    A text that begins with who speaks is a turn too.
    """
    if isinstance(message, str) and says_who_speaks(message):
        who, said = _SPOKEN.match(message).groups()
        return [{"role": who, "content": said}]
    if not isinstance(message, Mapping) or _first(message, _SPEAKER_KEYS) is not None:
        return [message]
    keys = next((keys for keys in PAIRS if all(key in message for key in keys)), None)
    if keys is None:
        return [message]
    return [{"role": role, "content": message[key]} for role, key in zip(("user", "assistant"), keys, strict=True)]


def _read_message(message: Any, place: int) -> tuple[str, str, bool]:
    """Return who speaks (user, assistant, system), the text, and whether it is to be learned."""
    if not isinstance(message, Mapping):
        raise Odd("bad_turn", f"turn {place} is no object but {described(message)}")
    speaker = _first(message, _SPEAKER_KEYS)
    if not isinstance(speaker, str):
        raise Odd("bad_turn", f"turn {place} has no role: {described(dict(message))}")
    role = _ROLE_OF.get(speaker.strip().lower())
    if role is None:
        raise Odd("unknown_role", f"turn {place}: {speaker[:150]!r}")
    if role == "tool" or any(message.get(key) for key in _CALLS):
        raise Odd("tool_turn", f"turn {place}: {speaker[:150]!r}")
    if not any(key in message for key in _TEXT_KEYS):
        raise Odd("bad_turn", f"turn {place} has no text: {described(dict(message))}")
    learned = all(message.get(key) is None or bool(message[key]) for key in _WEIGHTS)
    return role, _content(_first(message, _TEXT_KEYS), place), learned


def _first(message: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    """Return the first value that is there; a struct of a Parquet file has null for keys of other turns."""
    return next((message[key] for key in keys if not is_null(message.get(key))), None)


def _content(value: Any, place: int) -> str:
    """Return the text of a turn: a text, or the parts of one."""
    try:
        if isinstance(value, list | tuple):
            return "\n".join(_part(part) for part in value)
        return text_of(value) or ""
    except NotText as error:
        raise Odd("not_text", f"turn {place}: {error}") from error


def _part(part: Any) -> str:
    if not isinstance(part, Mapping):
        return text_of(part) or ""
    if part.get("type", "text") not in ("text", "input_text", "output_text"):
        raise NotText(described(dict(part)))
    return text_of(part.get("text")) or ""
