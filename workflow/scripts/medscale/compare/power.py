"""How small a difference a test set of a given size can detect, from the spread of this study's differences.

The standard error of a paired difference is its standard deviation over items divided by √n (Miller 2024,
arXiv:2411.00640), so the smallest detectable effect at another n follows from the standard deviation measured here.
Items alone are counted: more items take away none of the variance between seeds.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medscale.compare.comparisons import among_tuned, detectable
from medscale.compare.paired_differences import item_standard_errors
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
    """
    rows = []
    for metric, table in among_tuned(comparisons).groupby("metric", sort=False):
        pairs = [(resampled.index(a), resampled.index(b)) for a, b in zip(table["a"], table["b"], strict=True)]
        deviations = item_standard_errors(resampled, str(metric), pairs) * np.sqrt(resampled.n_items)
        deviation = float(np.median(deviations))
        rows += [
            (metric, count, deviation, detectable(deviation / np.sqrt(count), alpha, power))
            for count in sorted({*items, resampled.n_items})
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
