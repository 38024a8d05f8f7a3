"""What the licence of a base model asks of who passes on what was made from it.

Known are the models that the documentation names; of any other one the card says that its licence must be looked up.
Sources: the model cards of the Qwen team, and the agreements that lie beside the weights.
"""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from medscale.fetch.model_files import licence_of

AGREEMENTS = ("LICENSE*", "LICENCE*", "NOTICE*")
UNKNOWN = "unknown"


class Licence(NamedTuple):
    """A licence, and what it asks.

    Attributes:
        id: as the hubs write it; ``unknown`` where nobody says it.
        hub: what stands under ``license`` in the head of a card: the id, or ``other`` where the hub has no such id.
        commercial: whether it allows commercial use; None where that is not known.
        display: a sentence that must stand where people see it; None where none is asked for.
        notice: what must stand in a file NOTICE; None where none is asked for.
        source: where that is known from.
    """

    id: str
    hub: str
    commercial: bool | None = None
    display: str | None = None
    notice: str | None = None
    source: str = ""


def _qwen(id: str, name: str, commercial: bool | None) -> Licence:
    return Licence(
        id,
        "other",
        commercial,
        "Built with Qwen",
        f"Qwen is licensed under the {name}, Copyright (c) Alibaba Cloud. All Rights Reserved.",
        "the agreement beside the weights",
    )


KNOWN = {
    "qwen-research": _qwen("qwen-research", "Qwen RESEARCH LICENSE AGREEMENT", False),
    "qwen": _qwen("qwen", "Qwen LICENSE AGREEMENT", None),
    "apache-2.0": Licence("apache-2.0", "apache-2.0", True, source="apache.org/licenses/LICENSE-2.0"),
    "mit": Licence("mit", "mit", True, source="opensource.org/license/mit"),
}
QWEN25 = {
    "0.5B": "apache-2.0",
    "1.5B": "apache-2.0",
    "3B": "qwen-research",
    "7B": "apache-2.0",
    "14B": "apache-2.0",
    "32B": "apache-2.0",
    "72B": "qwen",
}
"""The licences of Qwen2.5 and Qwen2.5-Instruct by size, as their model cards state them."""


def licence_for(manifest: dict[str, Any], folder: Path) -> Licence:
    """Return the licence of a base model: what its own files or the hub state, else what is known of its id.

    Args:
        manifest: of the model.
        folder: with its files.
    """
    stated = licence_of(folder) or manifest["licence"]
    source = "the model's own card" if licence_of(folder) else "the hub" if stated else ""
    if not stated and (manifest["id"] or "").startswith("Qwen/Qwen2.5-"):
        size = manifest["id"].removeprefix("Qwen/Qwen2.5-").removesuffix("-Instruct")
        stated, source = QWEN25.get(size), "the model card of this id"
    if not stated:
        return Licence(UNKNOWN, "other")
    known = KNOWN.get(stated.lower())
    return known._replace(source=source) if known else Licence(stated, "other", source=source)


def copy_agreements(folder: Path, target: Path, licence: Licence) -> list[str]:
    """Copy the licence files of a base model into an export, write the NOTICE that it asks for, and name them."""
    for pattern in AGREEMENTS:
        for path in sorted(folder.glob(pattern)):
            if path.is_file():
                shutil.copyfile(path, target / path.name)
    if licence.notice and not any(target.glob("NOTICE*")):
        (target / "NOTICE").write_text(licence.notice + "\n", encoding="utf-8")
    return sorted(path.name for pattern in AGREEMENTS for path in target.glob(pattern))
