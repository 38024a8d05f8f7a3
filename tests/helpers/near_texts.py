"""Two questions that are like nothing else, the same with some characters changed, and signatures that agree."""

import numpy as np

from medscale.data.near.pairs import PERMUTATIONS

LONG = "孩子昨天晚上开始发烧到三十九度吃了布洛芬退下去了今天早上又烧起来请问医生需要去医院验血吗"
OTHER = "老人血压一直很高平时吃两种药最近头晕走路不稳血糖也不太好想问问该挂哪个科室做什么检查"


def changed(text: str, *places: int) -> str:
    return "".join("改" if place in places else character for place, character in enumerate(text))


def agreeing(count: int, rows: int = 2) -> np.ndarray:
    """Signatures that agree in their first ``count`` values."""
    found = np.repeat(np.arange(rows, dtype=np.uint8)[:, None], PERMUTATIONS, axis=1)
    found[:, :count] = np.arange(count)
    return found
