"""What is written into the guides from other parts: the table of contents of docs/en and docs/zh, the table of cards.

`make docs` puts each between its two comments, such as ``<!-- contents -->`` and ``<!-- end of contents -->``.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
LANGUAGES = ("en", "zh")
ORDER = ("steps", "four-weeks", "cards", "data", "configuration", "report-writing", "extending")
"""The guides in the order of reading; others follow by name, troubleshooting last."""
PLANS = DOCS / "plans"
OFFERED = {"t4": ("colab", "kaggle"), "p100": ("kaggle",), "4090": ()}
"""Which of the plans' services lends which card."""
HEADS = {
    "en": ("run", "training, h", "answers, min", "peak memory, GiB", "fits", "precision", "layers checkpointed"),
    "zh": ("运行", "训练（小时）", "回答（分钟）", "显存峰值（GiB）", "放得下", "精度", "做检查点的层数"),
}
SESSION_HEADS = {
    "en": ("service", "hours a session", "sessions for the whole study", "weeks", "sessions for the longest run"),
    "zh": ("平台", "每次会话的小时数", "整个研究要几次会话", "几周", "最长的一次运行要几次会话"),
}
WORDS = {"en": {True: "yes", False: "no", "all": "all"}, "zh": {True: "是", False: "否", "all": "合计"}}
NOTHING = "–"
COUNTED = (("study", "sessions"), ("study", "weeks"), ("longest_run", "sessions"))


def pages(others: dict[Path, str]) -> dict[Path, str]:
    """Return the text of every guide that has a generated part; ``others`` are pages that are generated as a whole."""
    made = {}
    for language in LANGUAGES:
        index = DOCS / language / "README.md"
        made[index] = _between(index.read_text(encoding="utf-8"), "contents", "\n".join(contents(language, others)))
        cards = DOCS / language / "cards.md"
        text = cards.read_text(encoding="utf-8")
        for path in sorted(PLANS.glob("*.json")):
            plan = json.loads(path.read_text(encoding="utf-8"))
            text = _between(text, path.stem, "\n".join(card_tables(path.stem, plan, language)))
        made[cards] = text
    return made


def contents(language: str, others: dict[Path, str]) -> Iterator[str]:
    """Yield a line for each guide, and one with its sections beneath."""
    for path in guides(language, others):
        link = path.name if path.parent.name == language else "../../config/README.md"
        (_, title), *sections = headings(others.get(path) or path.read_text(encoding="utf-8"))
        yield f"* **[{title}]({link})**  "
        yield "  " + " · ".join(f"[{name}]({link}#{slug(name)})" for level, name in sections if level == 2)


def guides(language: str, others: dict[Path, str]) -> list[Path]:
    """Return the guides of a language in the order of reading. The English list of keys lies beside config.yaml."""
    there = {*(DOCS / language).glob("*.md"), *(path for path in others if path.parent == DOCS / language)}
    found = {path.stem: path for path in there if path.stem != "README"}
    if language == "en":
        found["configuration"] = DOCS.parent / "config" / "README.md"
    rest = sorted(found.keys() - {*ORDER, "troubleshooting"})
    return [found[name] for name in (*ORDER, *rest, "troubleshooting")]


def headings(text: str) -> list[tuple[int, str]]:
    """Return level and text of each heading, without those in blocks of code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [(len(marks), name.strip()) for marks, name in re.findall(r"^(#{1,6}) (.+)$", text, re.MULTILINE)]


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading.

    >>> slug("2 Download the model: `model.source`"), slug("三、下载（模型）")
    ('2-download-the-model-modelsource', '三下载模型')
    """
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")


def card_tables(name: str, plan: dict[str, Any], language: str) -> Iterator[str]:
    """Yield the tables of a computed plan: its runs, and the sessions of the services that lend the card."""
    words = WORDS[language]
    lines = []
    for run in [*plan.get("pilots", []), *plan["runs"]]:
        peak, settings = run["peak_memory_gib"]["allocated"], run["settings"]
        cells = [f"`{run['run']}`", *_times([run]), f"{peak:.1f}", words[run["fits"]]]
        lines.append([*cells, settings["precision"], str(settings.get("checkpointed_layers", NOTHING))])
    lines.append([words["all"], *_times([*plan.get("pilots", []), *plan["runs"]]), *[""] * 4])
    yield from _table(HEADS[language], lines)
    sessions = {service: plan["sessions"][service] for service in OFFERED[name]}
    if sessions:
        yield ""
        lines = [
            [service, f"{found['hours']:g}", *(_count(found, *what) for what in COUNTED)]
            for service, found in sessions.items()
        ]
        yield from _table(SESSION_HEADS[language], lines)


def _times(runs: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the hours of training and the minutes of answering, each from the least to the most."""
    for key, unit in (("train_seconds", 3600), ("predict_seconds", 60)):
        ranges = [run["ranges"][key] for run in runs if run["ranges"][key]]
        low, high = (sum(ends) / unit for ends in zip(*ranges, strict=True)) if ranges else (None, None)
        yield NOTHING if low is None else f"{low:.{1 if unit == 3600 else 0}f} – {high:.{1 if unit == 3600 else 0}f}"


def _count(sessions: dict[str, Any], what: str, unit: str) -> str:
    """Return how many sessions or weeks something takes, from the least to the most."""
    if unit == "weeks" and sessions["hours_per_week"] is None:
        return NOTHING
    ends = dict.fromkeys(sessions[part][unit] for part in (what, f"{what}_at_most"))
    return " – ".join(NOTHING if end is None else str(end) for end in ends)


def _table(heads: Iterable[str], lines: Iterable[list[str]]) -> Iterator[str]:
    for line in (heads, ["---"] * len(tuple(heads)), *lines):
        yield f"| {' | '.join(line)} |"


def _between(text: str, name: str, made: str) -> str:
    """Return ``text`` with ``made`` between the two comments of that name; `ValueError` if they are not there."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no <!-- {name} --> … <!-- end of {name} -->")
    return pattern.sub(lambda found: f"{found[1]}\n{made}\n\n{found[2]}", text)
