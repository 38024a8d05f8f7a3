"""What stands before a question in a column of its own: earlier questions with their answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from medscale.data.layouts.turns import PAIRS, Odd, Turn, read_dialogue, says_who_speaks
from medscale.data.text_cleaning import is_placeholder
from medscale.data.values import NotText, described, is_null, structured, text_of


def read_history(value: Any) -> list[Turn]:
    """Read earlier turns: pairs, objects with both texts, or a dialogue, whose turns may be texts that say who speaks.

    Texts in one list of which nothing says who speaks may be questions and answers by turns, or what a patient had
    before, such as ["高血压", "糖尿病"]: they are no history.

    Raises `Odd` "bad_history" with what was found, or "not_text".
    """
    value = structured(value)
    if is_null(value) or (isinstance(value, str) and is_placeholder(value)):
        return []
    if not isinstance(value, list | tuple):
        raise Odd("bad_history", described(value))
    if any(isinstance(item, Mapping) and ("role" in item or "from" in item) for item in value):
        return _of_dialogue(value)
    if are_unspoken(value):
        raise Odd("bad_history", f"{len(value)} texts, and nothing says who speaks: {described(value)}")
    if value and all(isinstance(item, str) for item in value):
        return _of_dialogue(value)
    return [_pair(item, place) for place, item in enumerate(value, 1)]


def are_unspoken(value: Sequence[Any]) -> bool:
    """Tell whether a list holds mere texts of which nothing says who speaks."""
    return len(value) > 0 and all(isinstance(item, str) and not says_who_speaks(item) for item in value)


def _of_dialogue(value: Sequence[Any]) -> list[Turn]:
    dialogue = read_dialogue(value)
    if dialogue.unanswered or dialogue.openings or dialogue.system:
        raise Odd("bad_history", "it has a system text, or begins with an answer, or ends with a question")
    return [turn._replace(learned=False) for turn in dialogue.turns]


def _pair(item: Any, place: int) -> Turn:
    if isinstance(item, Mapping):
        keys = next((keys for keys in PAIRS if all(key in item for key in keys)), None)
        item = [item[key] for key in keys] if keys else item
    if not isinstance(item, list | tuple) or len(item) != 2:
        raise Odd("bad_history", f"turn {place} is no question with its answer but {described(item)}")
    try:
        question, answer = (text_of(text) or "" for text in item)
    except NotText as error:
        raise Odd("not_text", f"turn {place} of the history: {error}") from error
    return Turn(question, answer, learned=False)
