"""Blind pairs of a made-up study and judges of known habits, for tests and simulations of judging."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medscale.judge.pairs import ASKED, Shown, draw, key_of
from medscale.judge.verdict_files import EQUAL, read_verdicts
from medscale.judge.verdicts import verdicts_of

PAIRS = [("base", "lora_100k"), ("lora_20k", "lora_100k")]


def predictions(
    items: int, names: Sequence[str] = ("base", "lora_20k", "lora_100k")
) -> dict[str, list[dict[str, Any]]]:
    """Make predictions in which each configuration says something of its own."""
    return {
        name: [
            {
                "id": f"r{n:07d}",
                "prompt": f"头痛怎么办？第{n}问",
                "predict": f"{name[::-1]} 的第{n}个答案",
                "label": f"参考{n}",
            }
            for n in range(items)
        ]
        for name in names
    }


def shown_and_key(
    answers: Mapping[str, Sequence[Mapping[str, Any]]],
    pairs: Sequence[tuple[str, str]] = PAIRS,
    items: int = 20,
    repeated: float = 0.1,
    seed: int = 42,
) -> tuple[list[Shown], dict[str, Any]]:
    """Draw pairs and return them with their key, as the file holds it."""
    shown, compared = draw(pairs, answers, items, repeated, seed)
    key = key_of(shown, compared, dict.fromkeys(answers, "0" * 64), seed=seed, items=items, repeated=repeated)
    return shown, json.loads(json.dumps(key))


def line(pair: str, judge: str | None = "LW", **said: Any) -> str:
    """Return a line of a file of verdicts."""
    return json.dumps({"pair": pair, **({} if judge is None else {"judge": judge}), **said}, ensure_ascii=False)


def judge_all(shown: Sequence[Shown], judge: str, says: Callable[[Shown], str]) -> list[str]:
    """Return the lines of a judge who says the same by each criterion."""
    return [line(pair.id, judge, **dict.fromkeys(ASKED, says(pair))) for pair in shown]


def prefers(name: str, chance: float = 1.0, seed: int = 0) -> Callable[[Shown], str]:
    """Return a judge who prefers one configuration so often, and otherwise says anything."""
    generator = random.Random(seed)

    def says(pair: Shown) -> str:
        role = pair.roles[0]
        if generator.random() >= chance or name not in (role.a, role.b):
            return generator.choice(["1", "2", EQUAL])
        return "1" if role.first == name else "2"

    return says


def verdicts_file(folder: Path, answers: Mapping, digests: Mapping[str, str], pairs: Sequence[tuple[str, str]]) -> dict:
    """Let two judges judge all pairs, and return verdicts.json."""
    shown, key = shown_and_key(answers, pairs)
    key["predictions"] = dict(digests)
    paths = []
    for number, judge in enumerate(("LW", "模型")):
        paths.append(folder / f"{number}.jsonl")
        text = "\n".join([*judge_all(shown, judge, prefers(pairs[0][1], 0.7, number)), "no JSON"])
        paths[-1].write_text(text + "\n", encoding="utf-8")
    return verdicts_of(read_verdicts(paths, key["pairs"]), key, resamples=200, seed=0, alpha=0.05)
