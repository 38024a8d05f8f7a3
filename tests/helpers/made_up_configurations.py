"""The table of configurations that aggregate.py would make of made-up evaluations, without their scores."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from medscale.compare.configurations import ITEMS, ITEMS_AND_SEEDS, columns_of
from medscale.compare.resampling import configurations_of
from medscale.report.summary import METRICS

WIDER = 1.75
"""How much wider than that of a run the interval over items and seeds is made."""


def made_up_configurations(evaluations: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return configurations.csv: a mean over seeds has an interval of its own, a single run that of its eval.json."""
    by_run = {evaluation["run"]: evaluation for evaluation in evaluations}
    rows = []
    for each in configurations_of(by_run.values()):
        over = ITEMS_AND_SEEDS if len(each.runs) > 1 else ITEMS
        row = [each.name, each.kind, each.method, each.size, len(each.runs), " ".join(each.runs), over]
        for metric in METRICS:
            entries = [by_run[run]["metrics"][metric] for run in each.runs]
            values = [entry.get("f", entry.get("value")) for entry in entries]
            ends = entries[0]["ci95"]
            if len(each.runs) > 1 and ends:
                middle = sum(values) / len(values)
                half = round(WIDER * (ends[1] - ends[0]) / 2, 6)
                row += [round(middle, 6), round(middle - half, 6), round(middle + half, 6)]
            else:
                row += [values[0], *(ends or (None, None))]
        rows.append(row)
    table = pd.DataFrame(rows, columns=list(columns_of(METRICS)))
    numbers = [column for column in table.columns if column.startswith(METRICS)]
    return table.astype({**dict.fromkeys(numbers, "float64"), "train_size": "Int64", "seeds": "Int64"})
