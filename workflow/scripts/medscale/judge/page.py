"""judge.html: blind pairs for people, one file that needs no network, for a phone as for a desk."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medscale.judge.pairs import ASKED
from medscale.report.embedding import embedded, policy, writable

TEMPLATE = Path(__file__).parents[3] / "judge"


def judge_html(pairs: Sequence[dict[str, Any]], name: str) -> str:
    """Return the page.

    Whatever the answers hold is data to it: they stand as JSON in which no character means anything to HTML, the page
    shows them as text, and its content security policy runs the scripts written here and loads nothing.

    Parameters
    ----------
    pairs : rows of pairs.jsonl, in the order in which they are shown.
    name : of the set of pairs; progress is kept under it, and files are called by it.
    """
    texts = yaml.safe_load((TEMPLATE / "texts.yaml").read_text(encoding="utf-8"))
    style = (TEMPLATE / "judge.css").read_text(encoding="utf-8")
    script = (TEMPLATE / "judge.js").read_text(encoding="utf-8")
    environment = Environment(loader=FileSystemLoader(TEMPLATE), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template("judge.html.j2").render(
        policy=policy([script], style),
        title=texts["title"],
        style=Markup(style),
        script=Markup(script),
        texts=embedded(texts),
        data=embedded({"set": name, "asked": list(ASKED), "pairs": list(pairs)}),
    )
    return writable(page)
