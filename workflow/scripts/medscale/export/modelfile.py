"""The Modelfile of an export: the study's template, system prompt, end tokens and greedy decoding, for Ollama."""

from medscale.export.go_template import Pieces

MARK = '"""'


def modelfile(weights: str, pieces: Pieces, system_prompt: str | None, stops: list[str], context: int, new: int) -> str:
    """Return the text of a Modelfile.

    Args:
        weights: what it is made from, relative to the Modelfile.
        pieces: of the chat template.
        system_prompt: of the study; None or empty for none.
        stops: texts of all tokens that end an answer.
        context, new: tokens of the longest conversation and of the longest answer.

    Ollama has defaults of its own for whatever a Modelfile does not say: it samples, and it makes repetitions less
    likely. Both are turned off, since the study's answers are greedy.
    """
    lines = [f"FROM {weights}", "", f"TEMPLATE {MARK}{pieces.go()}{MARK}"]
    if system_prompt and system_prompt.strip():
        lines += ["", f"SYSTEM {MARK}{system_prompt}{MARK}"]
    lines += ["", *(f"PARAMETER stop {_quoted(stop)}" for stop in stops)]
    lines += [
        "PARAMETER temperature 0",
        "PARAMETER top_k 1",
        "PARAMETER repeat_penalty 1.0",
        f"PARAMETER num_ctx {context}",
        f"PARAMETER num_predict {new}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f'"{text}"'


def system_refused(system_prompt: str | None) -> str | None:
    """Return why a system prompt cannot stand in a Modelfile, or None where it can."""
    return f"chat.system_prompt has {MARK} in it" if system_prompt and MARK in system_prompt else None
