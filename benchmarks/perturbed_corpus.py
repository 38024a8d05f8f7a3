"""A corpus of any size made from a small one: clauses of its rows put together anew, with the dirt of scraped text.

Rows are written as they are made, and what a copy is made of is drawn from the latest 20,000 rows, so that a file of
two million rows takes no more memory than one of ten thousand, and has the same shares of everything.
"""

import csv
import random
import re
from collections.abc import Iterator
from pathlib import Path

COLUMNS = ("department", "title", "ask", "answer")
# Of all rows. The 3,854 real rows that we have hold 5 % exact duplicates and 0.3 % near ones; 2 % of their questions
# have a second answer. Here are more of the kinds that cost time.
SHARES = {
    "exact_duplicate": 0.05,
    "near_duplicate": 0.03,
    "another_answer": 0.03,
    "similar_question": 0.03,
    "html": 0.02,
    "personal_data": 0.01,
    "placeholder": 0.005,
    "control": 0.005,
    "full_width": 0.005,
}
RECENT = 20_000
# Share of characters replaced in a new row. It keeps rows from the same clauses from being near-duplicates by chance.
EDITS_IN_NEW, EDITS_IN_COPY = 0.06, 0.015

_CLAUSE = re.compile(r"[^，,。.？?！!；;\n]+[，,。.？?！!；;\n]*")
_SENTENCE = re.compile(r"[^。！；\n]+[。！；\n]*")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


class Perturbed:
    """Rows made from ``base`` rows (maps with department, title, ask and answer); a function of ``seed`` alone."""

    def __init__(self, base: list[dict[str, str]], seed: int) -> None:
        self._rng = random.Random(f"perturbed/{seed}")
        self._base = base
        self._clauses = [clause for row in base for clause in _CLAUSE.findall(row["ask"])]
        self._sentences = [sentence for row in base for sentence in _SENTENCE.findall(row["answer"])]
        self._characters = "".join(re.findall(r"[\u4e00-\u9fff]", "".join(row["ask"] for row in base)))
        self._per_ask = max(1, round(len(self._clauses) / len(base)))
        self._per_answer = max(1, round(len(self._sentences) / len(base)))

    def rows(self, count: int) -> Iterator[dict[str, str]]:
        """Yield ``count`` rows."""
        kinds, weights = [*SHARES, "new"], [*SHARES.values(), 1 - sum(SHARES.values())]
        recent: list[dict[str, str]] = []
        for number in range(count):
            kind = self._rng.choices(kinds, weights)[0] if recent else "new"
            row = self._copy(kind, self._rng.choice(recent)) if kind in _COPIES else self._spoil(kind, self._new())
            if kind == "new":
                if len(recent) < RECENT:
                    recent.append(row)
                else:
                    recent[number % RECENT] = row
            yield row

    def _new(self) -> dict[str, str]:
        rng = self._rng
        topic = rng.choice(self._base)
        ask = "".join(rng.choices(self._clauses, k=max(1, self._per_ask + rng.randint(-1, 2))))
        return {
            "department": topic["department"],
            "title": self._edited(topic["title"], EDITS_IN_NEW),
            "ask": self._edited(ask, EDITS_IN_NEW),
            "answer": self._new_answer(),
        }

    def _new_answer(self) -> str:
        count = max(2, self._per_answer + self._rng.randint(-1, 1))
        return self._edited("".join(self._rng.choices(self._sentences, k=count)), EDITS_IN_NEW)

    def _copy(self, kind: str, row: dict[str, str]) -> dict[str, str]:
        if kind == "exact_duplicate":
            return row
        changed = dict(row)
        if kind != "another_answer":
            changed["ask"] = self._edited(row["ask"], EDITS_IN_COPY)
        changed["answer"] = (
            self._edited(row["answer"], EDITS_IN_COPY) if kind == "near_duplicate" else self._new_answer()
        )
        return changed

    def _spoil(self, kind: str, row: dict[str, str]) -> dict[str, str]:
        rng = self._rng
        if kind == "html":
            row["ask"] = f"<p class='ask'>{row['ask']}</p>&nbsp;<br/>"
            row["answer"] = row["answer"].replace("，", "，<b>谢谢</b>", 1) + "&lt;完&gt;"
        elif kind == "personal_data":
            row["ask"] += f"我的电话13{rng.randrange(10**9):09d}，微信doctor_{rng.randrange(10**5)}"
        elif kind == "placeholder":
            row["answer"] = rng.choice(("无", "暂无", "谢谢！", "null"))
        elif kind == "control":
            row["ask"] = row["ask"][:5] + "\u200b\x07" + row["ask"][5:] + "\ufeff \u3000"
        elif kind == "full_width":
            row["ask"] = row["ask"].translate(_WIDE)
        return row

    def _edited(self, text: str, share: float) -> str:
        characters = list(text)
        for _ in range(max(1, round(len(text) * share)) if text else 0):
            characters[int(self._rng.random() * len(characters))] = self._rng.choice(self._characters)
        return "".join(characters)


_COPIES = frozenset({"exact_duplicate", "near_duplicate", "another_answer", "similar_question"})


def write_corpus(path: Path, base: list[dict[str, str]], rows: int, seed: int) -> None:
    """Write so many rows as CSV in GB18030, the form of the Toyhom files, which is the slowest one to read."""
    with open(path, "w", encoding="gb18030", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(Perturbed(base, seed).rows(rows))
