"""General texts for the demo: sentences about daily life, such as its base model has learned to read.

They are made of the same parts with another seed. The parts give 98,000 sentences, some of which the base model has
met; the paragraphs made of them here, it has not.
"""

from pathlib import Path
from random import Random
from typing import Any

from medscale.base.files import write_jsonl
from medscale.data.demo.invented import EVERYDAY

ROWS = 200


def write(path: str | Path, conditions: Path, settings: dict[str, Any]) -> None:
    """Write the texts as JSON lines with the column ``text``.

    Parameters
    ----------
    path : the file.
    conditions : the table of medical facts; nothing of it is used.
    settings : ``rows``, how many, None for `ROWS`; ``seed``.
    """
    rng = Random(f"everyday texts/{settings['seed']}")
    write_jsonl(path, ({"text": paragraph(rng)} for _ in range(settings["rows"] or ROWS)))


def paragraph(rng: Random) -> str:
    """Return three to six sentences about daily life."""
    return "".join("".join(map(rng.choice, EVERYDAY)) for _ in range(rng.randint(3, 6)))
