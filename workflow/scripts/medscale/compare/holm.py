"""Holm's correction of p-values for being many."""

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Return Holm's adjusted p-values, which control the family-wise error under any dependence.

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted
