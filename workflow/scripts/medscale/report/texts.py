"""The words and numbers of report.html, each in English and Chinese, and the HTML that holds both."""

import math
import re
import string
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from markupsafe import Markup

from medscale.base.errors import UserError

TEMPLATE = Path(__file__).parents[3] / "report" / "template"
NOT_MEASURED = "–"
METHODS = {"lora": "LoRA", "qlora": "QLoRA"}
NAMES = {
    "nll": "NLL",
    "rouge_1": "ROUGE-1",
    "rouge_2": "ROUGE-2",
    "rouge_l": "ROUGE-L",
    "bleu_4": "BLEU-4",
    "chrf": "chrF",
    "sacrebleu_zh": "sacreBLEU (zh)",
    "bertscore": "BERTScore",
}


class Text(NamedTuple):
    """One text in both languages."""

    en: str
    zh: str


class _Filled(string.Formatter):
    """Texts with ``{n:verdict|verdicts}``: the first word where n is 1, the second elsewhere."""

    def format_field(self, value: Any, format_spec: str) -> str:
        one, bar, many = format_spec.partition("|")
        return (one if str(value) == "1" else many) if bar else super().format_field(value, format_spec)


class _FilledChinese(_Filled):
    """The same with marks around what was filled in, for `_tight`."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return _MARK + super().format_field(value, format_spec) + _MARK


_FILLED, _FILLED_CHINESE = _Filled(), _FilledChinese()
_MARK = "\0"
_WIDE = "[\u2014-\u201d\u3001-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
"""Chinese characters and their punctuation."""
_LOOSE = re.compile(f"(?<={_WIDE})(?:\0+ \0*|\0* \0+)(?={_WIDE})")


def _tight(text: str) -> str:
    r"""Return a filled text without the spaces that its gaps have for names and numbers, where Chinese was filled in.

    >>> _tight("\0基座模型\0 更好"), _tight("\0lora_64\0 更好"), _tight("差 \x000.02\0 \0奈特\0 以上")
    ('基座模型更好', 'lora_64 更好', '差 0.02 奈特以上')
    """
    return _LOOSE.sub("", text).replace(_MARK, "")


class Metric(NamedTuple):
    """How a metric is called and written."""

    key: str
    name: str | Text
    unit: Text
    lower_is_better: bool
    digits: int


@lru_cache(maxsize=1)
def all_texts() -> dict[str, dict[str, Text]]:
    """Return the texts of texts.yaml, by section and key."""
    sections = yaml.safe_load((TEMPLATE / "texts.yaml").read_text(encoding="utf-8"))
    return {section: {key: Text(**text) for key, text in texts.items()} for section, texts in sections.items()}


def say(key: str, **values: Any) -> Text:
    """Return the text at ``section.key``, filled with ``values``, which may be `Text` themselves."""
    section, name = key.split(".")
    text = all_texts()[section][name]
    if not values:
        return text
    sides = [
        {key: value[side] if isinstance(value, Text) else value for key, value in values.items()} for side in (0, 1)
    ]
    return Text(_FILLED.vformat(text.en, (), sides[0]), _tight(_FILLED_CHINESE.vformat(text.zh, (), sides[1])))


def known(key: str) -> bool:
    """Return whether there is a text at ``section.key``."""
    section, _, name = key.partition(".")
    return name in all_texts().get(section, {})


def both(value: Any) -> Text:
    """Return a sentence of a summary file, ``{"en": …, "zh": …}``, or any other value, as a text."""
    if isinstance(value, Text):
        return value
    if isinstance(value, dict):
        try:
            return Text(str(value["en"]), str(value["zh"]))
        except KeyError as error:
            raise UserError(
                "B104", f"a sentence of the summary has no {error.args[0]!r}: make the summary again"
            ) from error
    return Text(str(value), str(value))


def html(value: Any) -> Markup:
    """Return a text as HTML in both languages, of which the page shows one; equal ones are written once."""
    text = both(value)
    if text.en == text.zh:
        return Markup("{}").format(text.en)
    return Markup('<span class="t-en" lang="en">{}</span><span class="t-zh" lang="zh-CN">{}</span>').format(*text)


def labelled(attribute: str, value: Any) -> Markup:
    """Return an attribute in English, with both languages beside it for the switch."""
    text = both(value)
    return Markup('{0}="{1}" data-{0}-en="{1}" data-{0}-zh="{2}"').format(attribute, *text)


def metric(key: str) -> Metric:
    """Return how a metric is written; one without a name here stands under its key."""
    if key == "nll":
        return Metric(key, NAMES[key], say("metric.nll_unit"), True, 3)
    return Metric(key, NAMES.get(key, key), say("metric.points_unit"), False, 2)


def joined(texts: Iterable[Any]) -> Text:
    """Return a list in words: ``a, b`` and ``a、b``."""
    found = [both(text) for text in texts]
    return Text(", ".join(text.en for text in found), "、".join(text.zh for text in found))


def sentences(*texts: Any) -> Text:
    """Return sentences as one text, those that there are: Chinese ones follow each other without a space."""
    found = [both(text) for text in texts if text]
    return Text(" ".join(text.en for text in found), "".join(text.zh for text in found))


def against(one: Any, other: Any) -> Text:
    """Return the name of a comparison of two."""
    return say("comparisons.one_against_other", one=both(one), other=both(other))


def run_title(evaluation: dict[str, Any]) -> Text:
    """Return a run's name for people: method, size, and what sets it apart from the plain run of that size."""
    run, method, size = str(evaluation["run"]), evaluation.get("method"), evaluation.get("size_label")
    if run == "base":
        return say("run.base")
    if run.startswith("floor"):
        return say(f"run.{run}") if known(f"run.{run}") else say("run.floor", name=run.removeprefix("floor_"))
    plain = f"{method}_{size}"
    if not run.startswith(plain):
        return both(run)
    parts = [both(f"{METHODS.get(method, method)}\u00a0·\u00a0{size}")]
    parts += [_suffix(part) for part in run.removeprefix(plain).split("_") if part]
    return Text(" · ".join(part.en for part in parts), " · ".join(part.zh for part in parts))


def seed_title(evaluation: dict[str, Any]) -> Text:
    """Return a run's name for people where its configuration has several seeds: with its seed, the first's too."""
    title, seed = run_title(evaluation), evaluation.get("seed")
    if str(evaluation["run"]).endswith(f"_seed{seed}"):
        return title
    added = say("run.seed", n=seed)
    return Text(f"{title.en} · {added.en}", f"{title.zh} · {added.zh}")


def _suffix(part: str) -> Text:
    if part.removeprefix("seed").isdigit():
        return say("run.seed", n=part.removeprefix("seed"))
    if part.removesuffix("epochs").isdigit():
        return say("run.epochs", n=part.removesuffix("epochs"))
    if part.removeprefix("mix").isdigit():
        return say("run.mix", n=part.removeprefix("mix"))
    return both(part)


def number(value: float | None, digits: int = 0, sign: bool = False) -> str:
    """Return a number with separators; a dash where there is none. What is written as zero has no sign.

    >>> number(1234.5, 1), number(-0.5, 2, sign=True), number(-0.0004, 3, sign=True), number(None)
    ('1,234.5', '−0.50', '0.000', '–')
    """
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    text = f"{value:{'+' if sign else ''}z,.{digits}f}"
    return text.replace("-", "−") if text.strip("+0.") else text.removeprefix("+")


def significant(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits, for values of any size.

    >>> significant(123456.0), significant(0.000123456), significant(1.5)
    ('123,456', '0.000123', '1.5')
    """
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    if abs(value) >= 10 ** (digits - 1):
        return number(value)
    return f"{value:.{digits}g}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int, sign: bool = False) -> str:
    """Return an interval, empty where it was not measured."""
    if low is None or high is None:
        return ""
    return f"[{number(low, digits, sign)}, {number(high, digits, sign)}]"


def p_value(value: float | None) -> str:
    """Return a p-value with three digits.

    >>> p_value(0.00004), p_value(0.0312)
    ('< 0.001', '0.031')
    """
    return "< 0.001" if value is not None and value < 0.001 else number(value, 3)


def percent(level: float) -> str:
    """Return a level in percent, without the sign.

    >>> percent(0.95), percent(1 - 0.005)
    ('95', '99.5')
    """
    return f"{100 * level:.4g}"


def share(value: float | None) -> Text:
    """Return a share as percentage.

    >>> share(0.0512), share(0.00004).en, share(0).zh
    (Text(en='5.12 %', zh='5.12%'), '< 0.01 %', '0%')
    """
    if value is None:
        return both(NOT_MEASURED)
    if value == 0:
        return in_percent("0")
    return in_percent("< 0.01" if value < 0.0001 else f"{100 * value:.3g}")


def in_percent(value: str) -> Text:
    """Return a number with the sign of percent, which Chinese writes without a space."""
    return Text(f"{value} %", f"{value}%")


def duration(seconds: float | None) -> Text:
    """Return a time as people say it.

    >>> duration(5400)
    Text(en='1 h 30 min', zh='1 小时 30 分')
    """
    if seconds is None:
        return both(NOT_MEASURED)
    if seconds < 59.95:
        return say("duration.seconds", s=f"{seconds:.1f}")
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return say("duration.minutes", m=minutes, s=f"{rest:02d}")
    hours, minutes = divmod(round(seconds / 60), 60)
    return say("duration.hours", h=f"{hours:,}", m=f"{minutes:02d}")
