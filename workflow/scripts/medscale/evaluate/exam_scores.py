"""What a model's answers to exams sum up to in eval.json: accuracies with intervals, and how letters bias them."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from medscale.evaluate.exam_answers import chosen, normalised
from medscale.evaluate.wilson import wilson_interval

DIGITS = 6
FEWEST_CALIBRATED = 30
"""Questions of a set of letters that are enough to calibrate it.

A question is part of the mean that its own probability is divided by. In sets of 5 that costs a model without a bias 6
to 15 points of 100, in sets of 30 under 2, less than a bias of half a nat costs. docs/exams-scoring.md has the
simulation.
"""


def summarise_exams(
    rows: list[dict[str, Any]], settings: dict[str, dict[str, Any]], leaks: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Return the ``exams`` of eval.json; one of which no question was answered is left out.

    Args:
        rows: of exams.parquet.
        settings: by exam, as `exam_prompts.asked` takes them.
        leaks: by exam, what the leak check found; exams without one are left out.
    """
    by_exam: dict[str, list[dict[str, Any]]] = {name: [] for name in settings}
    for row in rows:
        by_exam[row["exam"]].append(row)
    return {name: summarise_exam(found, settings[name], leaks.get(name)) for name, found in by_exam.items() if found}


def summarise_exam(rows: list[dict[str, Any]], settings: dict[str, Any], leak: dict[str, Any] | None) -> dict[str, Any]:
    """Return what one exam's answers sum up to.

    ``accuracy`` is of the questions as they stand in the file, so that it means the same with permutations and without.
    """
    items = [row for row in rows if row["permutation"] == 0]
    orders: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        orders[row["id"]].append(row)
    summary: dict[str, Any] = {
        **accuracy(items),
        "scored_by": settings["scored_by"],
        "normalised": normalised(settings),
        "chance": points(math.fsum(1 / len(row["choices"]) for row in items) / len(items)),
        "measures": "mixed" if len({row["measures"] for row in items}) > 1 else items[0]["measures"],
        "by_subject": groups(items, lambda row: row["subject"]),
        "by_measure": groups(items, lambda row: row["measures"]),
        "by_answers": groups(items, lambda row: "several" if row["multiple"] else "one"),
        "by_seen": groups(items, lambda row: None if row["seen"] is None else "seen" if row["seen"] else "unseen"),
        "accuracy_sum": accuracy(items, right_by(False)),
        "accuracy_normalised": accuracy(items, right_by(True)),
        "letter_prior": None,
        "accuracy_calibrated": None,
        "accuracy_permuted": None,
        "consistent": None,
        "accuracy_without_leaks": None,
    }
    single = [row for row in items if not row["multiple"]]
    if settings["scored_by"] == "letter" and single:
        summary["letter_prior"] = mean_prior(single)
        if priors := letter_priors(single):
            summary["accuracy_calibrated"] = accuracy(
                items, lambda row: row["correct"] if row["multiple"] else calibrated_right(row, priors)
            )
    if settings["permutations"] == "all" and settings["scored_by"] == "letter":
        summary["accuracy_permuted"] = accuracy(items, lambda row: permuted_right(orders[row["id"]]))
        summary["consistent"] = accuracy(items, lambda row: all(order["correct"] for order in orders[row["id"]]))
    if leak is not None:
        leaked = set(leak["ids"])
        summary["accuracy_without_leaks"] = accuracy([row for row in items if row["id"] not in leaked])
        summary["contaminated"] = sum(row["id"] in leaked for row in items)
    return summary


def points(share: float) -> float:
    """Return a share in points of 100, as metrics of eval.json are given."""
    return round(100 * share, DIGITS)


def accuracy(
    items: list[dict[str, Any]], is_right: Callable[[dict[str, Any]], bool] = lambda row: row["correct"]
) -> dict[str, Any]:
    """Return the share of right answers in points of 100, its Wilson interval of 95 %, and n; null where n is 0."""
    n, right = len(items), sum(map(is_right, items))
    interval = wilson_interval(right, n)
    return {
        "accuracy": points(right / n) if n else None,
        "ci95": [points(end) for end in interval] if interval else None,
        "n": n,
    }


def groups(items: list[dict[str, Any]], key: Callable[[dict[str, Any]], str | None]) -> dict[str, Any]:
    """Return the accuracy by a property of the items, in the order of its values; those without it are left out."""
    divided: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in items:
        if key(row) is not None:
            divided[key(row)].append(row)
    return {name: accuracy(divided[name]) for name in sorted(divided)}


def right_by(by_characters: bool) -> Callable[[dict[str, Any]], bool]:
    """Return what tells whether an item is right by the sum of the log-likelihood, or by that a character."""
    return lambda row: row["choices"][chosen(row["loglikelihoods"], row["characters"], by_characters)] == row["answer"]


def probabilities(row: dict[str, Any]) -> list[float]:
    """Return the probabilities of the choices among each other."""
    top = max(row["loglikelihoods"])
    weights = [math.exp(value - top) for value in row["loglikelihoods"]]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def letter_priors(items: Iterable[dict[str, Any]]) -> dict[tuple[str, ...], list[float]]:
    """Return the mean probability of each letter over the items, for each set of letters that enough items have."""
    divided: dict[tuple[str, ...], list[list[float]]] = defaultdict(list)
    for row in items:
        divided[tuple(row["choices"])].append(probabilities(row))
    return {
        letters: [math.fsum(column) / len(found) for column in zip(*found, strict=True)]
        for letters, found in divided.items()
        if len(found) >= FEWEST_CALIBRATED
    }


def mean_prior(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return by letter the mean probability that a model gives it, how often it is chosen, and how often right.

    Each in points of 100, over the items that have the letter.
    """
    given: dict[str, list[float]] = defaultdict(list)
    for row in items:
        for letter, probability in zip(row["choices"], probabilities(row), strict=True):
            given[letter].append(probability)
    picked, right = Counter(row["chosen"] for row in items), Counter(row["answer"] for row in items)
    return {
        letter: {
            "probability": points(math.fsum(found) / len(found)),
            "chosen": points(picked[letter] / len(found)),
            "right": points(right[letter] / len(found)),
        }
        for letter, found in sorted(given.items())
    }


def calibrated_right(row: dict[str, Any], priors: dict[tuple[str, ...], list[float]]) -> bool:
    """Return whether an item is right once each letter's probability is divided by its mean over the items.

    This is batch calibration (Zhou et al. 2024, "Batch Calibration", ICLR, arXiv:2309.17249): what a model gives a
    letter whatever the question says of the letter and not of the answer. It supposes that the letters are right about
    equally often, which ``right`` in ``letter_prior`` shows. An item of a set of letters without priors is right as it
    is.
    """
    prior = priors.get(tuple(row["choices"]))
    if prior is None:
        return row["correct"]
    # a letter that never has any probability has none here
    scores = [found / usual if usual else 0.0 for found, usual in zip(probabilities(row), prior, strict=True)]
    return row["choices"][max(range(len(scores)), key=scores.__getitem__)] == row["answer"]


def permuted_right(orders: list[dict[str, Any]]) -> bool:
    """Return whether an item is right by the mean of each option's probability over the cyclic permutations.

    Each option stands once at each letter, so what a letter has of its own falls on all options alike (Zheng et al.
    2024, "Large Language Models Are Not Robust Multiple Choice Selectors", ICLR, arXiv:2309.03882, section 4.1).
    """
    total: dict[str, float] = {}
    for row in orders:
        for option, probability in zip(row["original"], probabilities(row), strict=True):
            total[option] = total.get(option, 0.0) + probability
    first = next(row for row in orders if row["permutation"] == 0)
    return max(first["choices"], key=total.__getitem__) == first["answer"]
