"""Dividing rows into test, validation and pool: exact sizes, whole families, departments in proportion."""

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from medscale.base.errors import UserError

POOL, TEST, VALIDATION = 0, 1, 2


class Families:
    """Rows that must lie in one part, family by family, in the order of the ranks of their first rows.

    Attributes
    ----------
    sizes : how many rows each family has, int64.
    """

    def __init__(self, labels: np.ndarray, departments: Sequence[str], ranks: np.ndarray) -> None:
        by_label = np.argsort(labels, kind="stable")
        starts = np.flatnonzero(np.diff(labels[by_label], prepend=-1))
        order = np.argsort(ranks[by_label[starts]], kind="stable")
        self._rows, self._departments = by_label, departments
        self._starts = starts[order]
        self.sizes = np.diff(starts, append=len(labels))[order]

    def __len__(self) -> int:
        return len(self.sizes)

    def rows(self, family: int) -> np.ndarray:
        """Return the numbers of the family's rows."""
        return self._rows[self._starts[family] : self._starts[family] + self.sizes[family]]

    def departments(self, family: int) -> Counter:
        """Return how many of the family's rows each department has."""
        return Counter(self._departments[row] for row in self.rows(family).tolist())


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
    labels : the family of each row, as `medscale.data.near.components.Components.labels` returns them.
    departments : the department of each row.
    ranks : a random number for each row, see `row_ranks`.
    test_size, validation_size : rows.

    Returns int8 of shape ``(rows,)``: `POOL`, `TEST` or `VALIDATION`.

    Raises `UserError` where no set of whole families has exactly the wanted size.
    """
    shares = Counter(departments)
    families = Families(labels, departments, ranks)
    waiting = np.arange(len(families))
    parts = np.full(len(labels), POOL, np.int8)
    for part, name, size in ((TEST, "test_size", test_size), (VALIDATION, "validation_size", validation_size)):
        chosen = _fill(families, waiting, size, shares)
        if chosen is None:
            raise UserError(
                "D114",
                f"study.{name}: no set of whole families of near-duplicate questions and dialogues has exactly {size} "
                "rows; change it by one or two, or raise study.similarity_threshold, so that fewer are near-duplicates",
            )
        for index in chosen:
            parts[families.rows(waiting[index])] = part
        waiting = np.delete(waiting, chosen)
    return parts


def _fill(families: Families, waiting: np.ndarray, size: int, shares: Counter) -> list[int] | None:
    """Return places in ``waiting`` of families that have ``size`` rows together, or None where there are none such."""
    left = quotas(shares, size)
    missing = left.total()
    sizes = families.sizes[waiting]
    small = max(5, size // 100)
    chosen: list[int] = []
    for is_small in (True, False):
        for index in np.flatnonzero((sizes <= small) == is_small):
            if not missing:
                break
            if sizes[index] > missing:
                continue
            wanted = families.departments(waiting[index])
            if all(count <= left[name] for name, count in wanted.items()):
                chosen.append(int(index))
                left.subtract(wanted)
                missing -= int(sizes[index])
    rest = np.delete(np.arange(len(waiting)), chosen)
    extra = exact_subset(sizes[rest], missing)
    if extra is not None:
        return chosen + rest[extra].tolist()
    return exact_subset(sizes, size)


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
    if target == 0:
        return []
    sizes = np.asarray(sizes, np.int64)
    places = {size: np.flatnonzero(sizes == size).tolist() for size in np.unique(sizes).tolist()}
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
    rows = rows[np.argsort(ranks[rows], kind="stable")]
    named = [departments[row] for row in rows.tolist()]
    code_of = {name: code for code, name in enumerate(sorted(set(named)))}
    codes = np.fromiter(map(code_of.__getitem__, named), np.int64, len(named))
    places = np.empty(len(rows), np.uint64)
    for code in range(len(code_of)):
        members = np.flatnonzero(codes == code)
        k = np.arange(len(members), dtype=np.uint64)
        # Integers instead of fractions, so that ties are ties; 64 bits are enough for eight million rows.
        places[members] = ((2 * k + 1) << np.uint64(40)) // np.uint64(2 * len(members))
    return rows[np.lexsort((rows, codes, places))]
