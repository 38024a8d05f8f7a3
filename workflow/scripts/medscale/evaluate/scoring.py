"""Scoring many predictions, on several cores where that pays, and the table of scores."""

import json
import multiprocessing
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medscale.base.files import atomic_path, sha256_file
from medscale.base.progress import counted
from medscale.evaluate.metrics import METRICS, NO_OPTIONS, Options, Pair, columns, score, score_at_once, signature
from medscale.evaluate.segmentation import segmenter

LEAST_PER_WORKER = 1000
"""Fewer predictions than this are scored sooner than another process is started."""
TYPES = {"nll_sum": pa.float64(), "n_answer_tokens": pa.int64(), "n_output_tokens": pa.int64()}


def score_texts(
    texts: Iterable[tuple[str, str]], names: list[str], workers: int = 1, options: Options = NO_OPTIONS
) -> list[dict[str, float]]:
    """Score pairs of a prediction and a label, in their order.

    Parameters
    ----------
    texts : iterable of (str, str)
        Predictions and labels.
    names : list of str
        Metrics from `metrics.metric_names`.
    workers : int
        Processes to use at most; few pairs stay in this process.
    options : Options
        What metrics that score all pairs at once need.

    Returns
    -------
    list of dict
        See `metrics.score`.
    """
    texts = list(texts)
    scores = _score_one_by_one(texts, [name for name in names if not METRICS[name].at_once], workers)
    for name in names:
        if METRICS[name].at_once:
            together = score_at_once([Pair(*text) for text in texts], name, options)
            scores = [values | more for values, more in zip(scores, together, strict=True)]
    return scores


def _score_one_by_one(texts: list[tuple[str, str]], names: list[str], workers: int) -> list[dict[str, float]]:
    """Score each pair by itself, in several processes where there are enough pairs."""
    workers = min(workers, len(texts) // LEAST_PER_WORKER)
    one = partial(_score_text, names=names)
    if workers < 2:
        return list(counted(map(one, texts), "scoring", "predictions", len(texts)))
    segmenter()  # loaded here once, so that forked workers share it
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(method)) as pool:
        scores = pool.map(one, texts, chunksize=LEAST_PER_WORKER // 4)
        return list(counted(scores, "scoring", "predictions", len(texts)))


def _score_text(text: tuple[str, str], names: list[str]) -> dict[str, float]:
    return score(Pair(*text), names)


def score_table(
    rows: list[dict[str, Any]], names: list[str], workers: int = 1, options: Options = NO_OPTIONS
) -> pa.Table:
    """Return the table of scores: one row a prediction, in the order of ``rows``.

    Columns: ``id``; those of each metric, in points of 100; ``nll_sum`` in nats; ``n_answer_tokens``;
    ``predict_chars`` and ``label_chars``, the characters without white space around the text, so that 0 is an empty
    prediction; ``n_output_tokens``.
    """
    scores = score_texts([(row["predict"], row["label"]) for row in rows], names, workers, options)
    table = {"id": pa.array([row["id"] for row in rows], pa.string())}
    for name in names:
        for column in columns(name):
            table[column] = pa.array([item[column] for item in scores], pa.float64())
    for key in ("nll_sum", "n_answer_tokens"):
        table[key] = pa.array([row[key] for row in rows], TYPES[key])
    for key, text in (("predict_chars", "predict"), ("label_chars", "label")):
        table[key] = pa.array([len(row[text].strip()) for row in rows], pa.int64())
    table["n_output_tokens"] = pa.array([row["n_output_tokens"] for row in rows], TYPES["n_output_tokens"])
    return pa.table(table)


def write_scores(
    table: pa.Table, names: list[str], predictions: str | Path, path: str | Path, options: Options = NO_OPTIONS
) -> None:
    """Write scores.parquet, with what its reader must know as metadata under the key ``medscale``.

    The metadata is JSON: the predictions' sha256, and for each metric its columns by part, the headline first, and its
    signature.
    """
    facts = {
        "schema_version": 1,
        "predictions_sha256": sha256_file(predictions),
        "metrics": {
            name: {
                "columns": dict(zip(METRICS[name].parts, columns(name), strict=True)),
                "signature": signature(name, options),
            }
            for name in names
        },
    }
    with atomic_path(path) as temporary:
        pq.write_table(table.replace_schema_metadata({"medscale": json.dumps(facts, ensure_ascii=False)}), temporary)
