"""Which chat template a model is used with, and with what: the same prompt on every day, an answer without thinking."""

import re
from datetime import datetime
from typing import Any

from medscale.base.errors import UserError

PLAIN = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n' }}"
    "{% elif message['role'] == 'user' %}{{ '问：' + message['content'] + '\n' }}"
    "{% else %}{{ '答：' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '答：' }}{% endif %}"
)
TODAY = datetime(2024, 7, 26)
"""The day that every prompt is of, for templates that tell the model the date: the default of Llama 3's own."""
DATE = re.compile(r"\bstrftime_now\(\s*(?:format\s*=\s*)?(['\"])(.*?)\1\s*\)")
THOUGHT = r"(?:think|thinking|thought|thoughts|reason|reasoning)"
OPENS = re.compile(rf"[<\[]{THOUGHT}[>\]]", re.IGNORECASE)
ENDS_OPEN = re.compile(rf"([<\[])({THOUGHT})([>\]])(\s*)\Z", re.IGNORECASE)
CLOSES = re.compile(rf"[<\[]/{THOUGHT}[>\]]", re.IGNORECASE)
WITHOUT_THINKING = {"enable_thinking": False, "thinking": False}
"""What the templates of models that can answer with and without thinking are told."""


def template_of(tokenizer: Any, kind: str) -> str:
    """Return a tokenizer's chat template, of several the one called `default`, or for the kind ``plain`` ours.

    Raises:
        UserError: there is none, or of several none is called `default`.
    """
    if kind == "plain":
        return PLAIN
    own = tokenizer.chat_template
    if isinstance(own, dict) and own:
        if "default" not in own:
            raise UserError(
                "M118",
                f"chat.template = model: this model has several chat templates and none is called default: "
                f"{', '.join(sorted(own))}; keep the one you mean as chat_template.jinja in a copy of the model's "
                "folder and name that as model.path (model.source: local), or set chat.template: plain",
            )
        own = own["default"]
    if not own:
        raise UserError(
            "M103", "chat.template = model: this model's tokenizer has no chat template; set chat.template: plain"
        )
    return own


def dated(template: str) -> str:
    """Return the template with one fixed day in the place of today, else each day would have prompts of its own.

    Raises:
        UserError: it writes the date in a form that only its run tells.
    """
    fixed = DATE.sub(lambda call: repr(TODAY.strftime(call[2])), template)
    if re.search(r"\bstrftime_now\s*\(", fixed):
        raise UserError(
            "M119",
            "chat.template = model: this model's chat template writes today's date in a form that cannot be told "
            "beforehand, so each day would have prompts of its own; set chat.template: plain",
        )
    return fixed


def closing(prompt: str) -> str:
    """Return what ends the block of thoughts that a prompt opens; empty where it opens none."""
    found = ENDS_OPEN.search(prompt)
    return f"{'' if found[4] else chr(10)}\n{found[1]}/{found[2]}{found[3]}\n\n" if found else ""


def without_thoughts(answer: str) -> str:
    """Return an answer without the thoughts that it begins with; where they never end, nothing is left."""
    rest = answer.strip()
    while True:
        opened, closed = OPENS.search(rest), CLOSES.search(rest)
        if closed and (not opened or opened.start() == 0 or closed.start() < opened.start()):
            rest = rest[closed.end() :].strip()
        elif opened and opened.start() == 0:
            return ""
        else:
            return rest
