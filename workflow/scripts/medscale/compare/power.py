"""How small a difference a test set of a given size can detect, from the spread of this study's differences.

The standard error of a paired difference is its standard deviation over items divided by √n (Miller 2024,
arXiv:2411.00640), so the smallest detectable difference at another n follows from the standard deviation measured here.
What seeds add stays, for more items take away none of it. At the study's own n it is that of its comparisons, and a
larger set is said to detect no less, a smaller one no more: where seeds make up nearly all of the variance, there are
fewer degrees of freedom, and the formula alone would have more items detect less.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medscale.compare.comparisons import among_tuned
from medscale.compare.detectable import detectable_of_error, typical
from medscale.compare.paired_differences import errors_with_items
from medscale.compare.resampling import Resampled

COLUMNS = ("metric", "n_items", "paired_sd", "smallest_detectable")
ITEMS = (500, 1000, 2000, 5000)


def power_table(
    resampled: Resampled,
    comparisons: pd.DataFrame,
    alpha: float = 0.05,
    power: float = 0.8,
    items: Sequence[int] = ITEMS,
) -> pd.DataFrame:
    """Return power.csv.

    Parameters
    ----------
    resampled : Resampled
    comparisons : pandas.DataFrame
        From `comparisons.comparison_table`: the median is taken over its pairs of fine-tuned runs.
    alpha, power : float
        Of a two-sided test of one difference, uncorrected.
    items : sequence of int
        Sizes of test sets; the study's own is added.

    Returns
    -------
    pandas.DataFrame
        The columns `COLUMNS`. ``paired_sd`` is the median, over the pairs of fine-tuned runs, of the standard
        deviation of an item's difference, in the metric's unit; for NLL, of its part in the difference per token.
        Pairs that are alike on all items are left out of both medians.
    """
    rows = []
    for metric, table in among_tuned(comparisons).groupby("metric", sort=False):
        pairs = [(resampled.index(a), resampled.index(b)) for a, b in zip(table["a"], table["b"], strict=True)]
        own = resampled.n_items
        item_errors, _, _ = errors_with_items(resampled, str(metric), pairs, own)
        deviation = typical(item_errors * np.sqrt(own))
        sizes = sorted({*items, own})
        found = {own: typical(table["smallest_detectable"])}
        for count in [size for size in sizes if size > own] + [size for size in reversed(sizes) if size < own]:
            _, se, freedom = errors_with_items(resampled, str(metric), pairs, count)
            here = typical(detectable_of_error(se, freedom, alpha, power))
            bound, last = (min, max(found)) if count > own else (max, min(found))
            known = [each for each in (here, found[last]) if each is not None]
            found[count] = bound(known, default=None)
        rows += [(metric, count, deviation, found[count]) for count in sizes]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"paired_sd": float, "smallest_detectable": float})
