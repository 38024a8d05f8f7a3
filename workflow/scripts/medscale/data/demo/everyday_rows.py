"""General questions and answers for the demo: daily life, small sums and lists, made of invented words and no fact.

Nothing in them is of medicine. Mixed into the training rows of a run (`study.mix`), they are what a user would take
from a set of general instructions.
"""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from medscale.base.errors import UserError
from medscale.base.files import atomic_path
from medscale.data.demo.invented import EVERYDAY
from medscale.data.demo.phrasings import phrases

CAPACITY = 4000
"""How many rows there are; so many are made where no number is asked for."""
TIMES, PEOPLE, PLACES, DOINGS, ENDS = EVERYDAY
GOODS = phrases("苹果 铅笔 橘子 邮票 鸡蛋 本子 气球 鱼 花盆 贺卡 积木 书签")
UNITS = dict(zip(GOODS, "个支个枚个本个条个张块枚", strict=True))
NAMES = phrases("小明 小红 阿强 丽丽 大刘 老张 小雨 阿梅")


def write(path: Path, conditions: Path | None, settings: dict[str, Any]) -> None:
    """Write the rows as JSON lines with ``instruction``, ``input`` and ``output``, as an Alpaca set has them.

    Args:
        path: where to.
        conditions: the table of medical facts, of which nothing is used.
        settings: ``rows`` (None for all there are) and ``seed``.

    Raises:
        UserError: more rows are asked for than there are.
    """
    count = settings["rows"] or CAPACITY
    if count > CAPACITY:
        raise UserError("C104", f"study.mix.rows is {count}; the demo has {CAPACITY} general rows")
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as handle:
        for question, answer in itertools.islice(rows(settings["seed"]), count):
            row = {"instruction": question, "input": "", "output": answer}
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")


def rows(seed: int) -> Iterator[tuple[str, str]]:
    """Yield different questions with their answers without end, the same ones for one seed."""
    rng = Random(f"everyday/{seed}")
    seen: set[str] = set()
    while True:
        question, answer = rng.choice((_told, _told, _written, _sum, _list))(rng)
        if question not in seen:
            seen.add(question)
            yield question, answer


def _told(rng: Random) -> tuple[str, str]:
    """A sentence is told, and a part of it asked for."""
    when, who, where, what, end = (rng.choice(part) for part in EVERYDAY)
    told = f"{when}{who}{where}{what}{end}"
    asked, answer = rng.choice(
        (
            ("这句话里说的是谁？", f"这句话里说的是{who}，当时{where}{what}。"),
            ("这件事发生在什么时候？", f"这件事发生在{when}，{who}正{where}{what}。"),
            ("这件事发生在哪里？", f"事情是{where}发生的，{when}{who}在那里{what}。"),
            ("他们在做什么？", f"{who}{where}{what}，时间是{when}。"),
        )
    )
    return f"阅读这句话：{told}{asked}", answer


def _written(rng: Random) -> tuple[str, str]:
    """A sentence is asked for, of given words."""
    when, who, where, what, end = (rng.choice(part) for part in EVERYDAY)
    words = rng.sample([when, who, where, what], 3)
    return f"请用这几个词语写一句话：{'、'.join(words)}。", f"{when}{who}{where}{what}{end}"


def _sum(rng: Random) -> tuple[str, str]:
    name, thing = rng.choice(NAMES), rng.choice(GOODS)
    unit, first, second = UNITS[thing], rng.randint(2, 60), rng.randint(2, 40)
    if first > second and rng.random() < 0.5:
        asked = f"{name}有{first}{unit}{thing}，送给别人{second}{unit}，还剩多少？"
        return asked, f"{first}减{second}等于{first - second}，所以还剩{first - second}{unit}{thing}。"
    asked = f"{name}有{first}{unit}{thing}，又买了{second}{unit}，一共有多少？"
    return asked, f"{first}加{second}等于{first + second}，所以一共有{first + second}{unit}{thing}。"


def _list(rng: Random) -> tuple[str, str]:
    place, doings = rng.choice(PLACES), rng.sample(DOINGS, 3)
    when = rng.choice(TIMES)
    return (
        f"{when}想{place}做点事，除了{doings[0]}还可以做什么？请列出两样。",
        f"除了{doings[0]}，{place}还可以：1. {doings[1]}；2. {doings[2]}。",
    )
