"""Dividing rows into test, validation and pool: exact sizes, whole families, departments in proportion."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medscale.errors import UserError

POOL, TEST, VALIDATION = 0, 1, 2

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Family:
    """Rows that must lie in one part: their numbers, and how many of them each department has."""

    rows: np.ndarray
    departments: Counter


def assign_parts(
    labels: np.ndarray, departments: Sequence[str], ranks: np.ndarray, test_size: int, validation_size: int
) -> np.ndarray:
    """Give each row to test, validation or the pool; families stay whole, and both sizes are met exactly.

    Families are taken in the order of their random rank as long as they fit into what their departments may still
    give to the part. Those of more than 1 % of the part (and more than five rows) come only after all smaller ones,
    so that no single family weighs much in a score, and one that does not fit goes to the pool. What whole families
    leave open is filled regardless of departments.

    Parameters
    ----------
    labels : the family of each row, as `medscale.components.Components.labels` returns them.
    departments : the department of each row.
    ranks : a random number for each row, see `row_ranks`.
    test_size, validation_size : rows.

    Returns int8 of shape ``(rows,)``: `POOL`, `TEST` or `VALIDATION`.

    Raises `UserError` where no set of whole families has exactly the wanted size.
    """
    shares = Counter(departments)
    waiting = families(labels, departments, ranks)
    parts = np.full(len(labels), POOL, np.int8)
    for part, name, size in ((TEST, "test_size", test_size), (VALIDATION, "validation_size", validation_size)):
        chosen = _fill(waiting, size, shares)
        if chosen is None:
            raise UserError(
                f"study.{name}: no set of whole families of near-duplicate questions has exactly {size} rows; "
                "change it by one or two, or raise the similarity from which questions count as near-duplicates"
            )
        for index in chosen:
            parts[waiting[index].rows] = part
        taken = set(chosen)
        waiting = [family for index, family in enumerate(waiting) if index not in taken]
    return parts


def families(labels: np.ndarray, departments: Sequence[str], ranks: np.ndarray) -> list[Family]:
    """Return the families in the order of the rank of their first rows."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else []
    groups.sort(key=lambda rows: int(ranks[rows[0]]))
    return [Family(rows, Counter(departments[row] for row in rows)) for rows in groups]


def _fill(waiting: Sequence[Family], size: int, shares: Counter) -> list[int] | None:
    """Return the indices of families that have ``size`` rows together, or None where there are none such."""
    left = quotas(shares, size)
    small = max(5, size // 100)
    chosen: list[int] = []
    for is_small in (True, False):
        for index, family in enumerate(waiting):
            if not any(left.values()):
                break
            if (len(family.rows) <= small) == is_small and all(
                count <= left[name] for name, count in family.departments.items()
            ):
                chosen.append(index)
                left -= family.departments
    taken = set(chosen)
    rest = [index for index in range(len(waiting)) if index not in taken]
    extra = exact_subset([len(waiting[index].rows) for index in rest], left.total())
    if extra is not None:
        return chosen + [rest[index] for index in extra]
    return exact_subset([len(family.rows) for family in waiting], size)


def quotas(shares: Counter, size: int) -> Counter:
    """Divide ``size`` in proportion to ``shares`` by the method of largest remainders; ties go by name."""
    total = shares.total()
    result = Counter({name: size * count // total for name, count in shares.items()})
    by_remainder = sorted(shares, key=lambda name: (-(size * shares[name] % total), name))
    result.update(by_remainder[: size - result.total()])
    return result


def exact_subset(sizes: Sequence[int], target: int) -> list[int] | None:
    """Return indices of ``sizes`` whose sum is ``target``, small and early ones first, or None if there are none.

    Bounded subset sum by dynamic programming over the distinct sizes.
    """
    places: dict[int, list[int]] = {}
    for index, size in enumerate(sizes):
        places.setdefault(size, []).append(index)
    distinct = sorted(size for size in places if size <= target)
    reached = [True] + [False] * target
    used_by_size = []
    for size in distinct:
        # How many of this size are needed at least to make each total, given the smaller sizes.
        used = [0 if total_reached else len(sizes) + 1 for total_reached in reached]
        for total in range(size, target + 1):
            if not reached[total] and used[total - size] < len(places[size]):
                used[total] = used[total - size] + 1
        reached = [count <= len(places[size]) for count in used]
        used_by_size.append(used)
    if not reached[target]:
        return None
    chosen: list[int] = []
    for size, used in zip(reversed(distinct), reversed(used_by_size), strict=True):
        chosen += places[size][: used[target]]
        target -= used[target] * size
    return sorted(chosen)


def row_ranks(ids: Sequence[str], seed: int) -> np.ndarray:
    """Return a random 64-bit number for each row, a function of the seed and the row's id alone.

    A keyed hash rather than a random generator: it is the same on every machine and with every library version, and a
    row keeps its number when others come or go.
    """
    key = str(seed).encode()
    digests = (hashlib.blake2b(name.encode(), digest_size=8, key=key).digest() for name in ids)
    return np.fromiter((int.from_bytes(digest, "big") for digest in digests), np.uint64, len(ids))


def stratified_order(rows: np.ndarray, departments: Sequence[str], ranks: np.ndarray) -> np.ndarray:
    """Order rows so that every prefix has the departments nearly in proportion.

    Within a department the order is random. The k-th of its n rows stands at (k + ½) / n on a line from 0 to 1, and
    rows are taken from left to right, so that a department is never more than about a row away from its share.

    Parameters
    ----------
    rows : numbers of the rows to be ordered.
    departments, ranks : of all rows.
    """
    members: dict[str, list[int]] = {}
    for row in sorted(rows.tolist(), key=lambda row: int(ranks[row])):
        members.setdefault(departments[row], []).append(row)
    # Integers instead of fractions, so that ties are ties.
    placed = [
        ((2 * k + 1) * (1 << 40) // (2 * len(group)), name, row)
        for name, group in members.items()
        for k, row in enumerate(group)
    ]
    return np.array([row for _, _, row in sorted(placed)], dtype=np.int64)
