"""A run's train_log.csv: the losses by step, and their moving average."""

import csv
import os
from typing import NamedTuple

import numpy as np

from medscale.base.errors import UserError


class TrainingLog(NamedTuple):
    """Columns of a log, each of shape (rows,); NaN where nothing was measured. Losses are nats per answer token."""

    step: np.ndarray
    loss: np.ndarray
    eval_loss: np.ndarray

    def measured(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the steps at which ``loss`` or ``eval_loss`` is a finite number, and these numbers."""
        values = getattr(self, column)
        kept = np.isfinite(values)
        return self.step[kept], values[kept]


def read_log(path: str | os.PathLike) -> TrainingLog:
    """Read a train_log.csv; columns other than those of `TrainingLog` are left out.

    Raises:
        UserError: the file is not such a table.
    """
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            missing = [name for name in TrainingLog._fields if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"no column {missing[0]}")
            rows = [[float(row[name] or "nan") for name in TrainingLog._fields] for row in reader]
    except (OSError, ValueError) as error:
        raise UserError(
            "B104", f"{path}: not a training log ({error}); delete it and let the workflow make it again"
        ) from error
    return TrainingLog(*np.array(rows, dtype=float).reshape(-1, len(TrainingLog._fields)).T)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Return an exponential moving average over about a tenth of the values, at least eight, without start bias."""
    kept = 1 - 1 / (1 + (max(8.0, len(values) / 10) - 1) / 2)
    averages, average, weight = np.empty(len(values)), 0.0, 0.0
    for place, value in enumerate(np.asarray(values, float).tolist()):
        weight *= kept
        if value != average:  # so that a constant stays what it is
            average = (weight * average + value) / (weight + 1)
        weight += 1
        averages[place] = average
    return averages
