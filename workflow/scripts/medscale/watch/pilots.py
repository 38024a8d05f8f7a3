"""What the pilot of a method found, in one line: the best rate of each size, and what should be known of it."""

from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.watch.words import word


def read_pilot(path: Path) -> dict[str, Any] | None:
    """Return the sizes of a pilot's file by their labels; None where it is not there, or holds none."""
    try:
        sizes = read_json(path)["sizes"]
        return sizes if all(isinstance(size["chosen"], float | int) for size in sizes.values()) else None
    except (UserError, OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def found(sizes: dict[str, Any], tongue: str) -> str:
    """Return the best rate of each size: whether a further one may be better, and what the runs take instead."""
    told = (_of_size(label, size, tongue) for label, size in sizes.items())
    return word("best rate", tongue, word("and", tongue).join(told))


def warns(sizes: dict[str, Any]) -> bool:
    """Return whether the best rate of a size lies at an end of those that were tried."""
    return any(size.get("at_edge") for size in sizes.values())


def _of_size(label: str, size: dict[str, Any], tongue: str) -> str:
    beside = []
    if size.get("at_edge"):
        beside.append(word(f"{size['at_edge']} edge", tongue))
    if size.get("fixed") is not None and size["fixed"] != size["chosen"]:
        beside.append(_lost(size, tongue))
    best = word("rate on", tongue, f"{size['chosen']:g}", label)
    return best + (word("beside", tongue, word("and", tongue).join(beside)) if beside else "")


def _lost(size: dict[str, Any], tongue: str) -> str:
    """Return what the fixed rate of a size loses to the best."""
    losses = {rate["rate"]: rate["nll"] for rate in size["rates"]}
    best, fixed = losses.get(size["chosen"]), losses.get(size["fixed"])
    if best is None or fixed is None:
        return word("fixed diverged", tongue, f"{size['fixed']:g}")
    return word("fixed loses", tongue, f"{size['fixed']:g}", f"{fixed - best:.3f}")
