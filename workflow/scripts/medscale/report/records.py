"""The record of one run in Markdown: what it reached, what it took, and what happened on the way."""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import quote

from medscale.base.errors import UserError
from medscale.report.evaluations import duration, value_at

USUAL = ("started", "finished")
NOT_MEASURED = "–"
METRICS = {"rouge_1": "ROUGE-1", "rouge_2": "ROUGE-2", "rouge_l": "ROUGE-L", "bleu_4": "BLEU-4"}
TRAINING = {
    "epochs": "Epochs",
    "steps": "Optimiser steps",
    "samples_per_second": "Samples per second",
    "tokens_per_second": "Tokens per second",
    "final_train_loss": "Final training loss, nats per answer token",
    "best_validation_loss": "Best validation loss, nats per answer token",
    "best_step": "Step of the best validation loss, whose adapter is kept",
    "resumed_from_step": "Resumed from step",
    "micro_batch": "Micro-batch",
    "effective_batch": "Effective batch",
    "learning_rate": "Learning rate",
    "learning_rate_from": "Learning rate told by",
    "trainable_parameters": "Trainable parameters",
    "energy_kwh": "Energy of the GPU, kWh",
    "precision": "Precision",
    "gradient_checkpointing": "Gradient checkpointing",
}
INFERENCE = {
    "samples_per_second": "Answers per second",
    "output_tokens_per_second": "Output tokens per second",
    "mean_output_tokens": "Mean length of an answer, tokens",
    "engine": "Engine",
    "batch_size": "Batch size",
    "precision": "Precision",
}
DIGESTS = {
    "fingerprint": "Fingerprint of the run",
    "config_sha256": "Settings, SHA-256",
    "train_sha256": "Training rows, SHA-256",
    "test_sha256": "Test rows, SHA-256",
    "model_manifest_sha256": "Manifest of the base model, SHA-256",
}


def record_text(evaluation: dict, training: dict, inference: dict, plot: str, seeds: int = 1) -> str:
    """Return the record of a run as Markdown.

    Args:
        evaluation: content of the run's eval.json.
        training: content of its training.json.
        inference: content of its inference.json.
        plot: path of the loss curve, relative to the record.
        seeds: number of seeds that its method and size were trained with.

    Raises:
        UserError: the three do not come from the same run.
    """
    _same_run(evaluation, training, inference)
    run = str(value_at(evaluation, "run"))
    sections = [
        f"# Record of run {escape(run)}",
        _table(("", ""), _identity(evaluation, training)),
        "## Result",
        f"On {value_at(evaluation, 'n_test'):,} test questions.{_one_of(seeds)}",
        _table(("Metric", "Value", "95 % interval", "Precision", "Recall"), _metrics(evaluation)),
        _table(("", ""), _answers(evaluation)),
        *_knowledge(evaluation),
        "## Training",
        f"![Loss by optimiser step]({quote(plot)})",
        _table(("", ""), _named(training["training"], TRAINING, skip=("started_at", "finished_at", "peak_memory_gib"))),
        "## Inference",
        _table(("", ""), _named(inference["inference"], INFERENCE, skip=("peak_memory_gib",))),
        "## Peak memory",
        *_memory(training["training"], inference["inference"]),
        "## What happened on the way",
        _events([*value_at(training, "events", "training.json"), *inference.get("events", [])]),
        "## Settings",
        _table(
            ("Setting", "Value"),
            [(key, json.dumps(value, ensure_ascii=False)) for key, value in _flat(training["settings"])],
        ),
        "## Data and provenance",
        _table(("", ""), _data(evaluation, training)),
        "## Hardware and software",
        *_machine(training, inference),
    ]
    return "\n\n".join(sections) + "\n"


def _one_of(seeds: int) -> str:
    """Return what a reader must know of a run that is one of several seeds."""
    if seeds == 1:
        return ""
    return (
        f" This run is one of {seeds} seeds: its intervals are over the test questions alone. The mean over the seeds, "
        "with the interval over questions and seeds, stands in summary/configurations.csv."
    )


def escape(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, in one line and inside one cell of a table."""
    text = re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()
    text = re.sub(r"([\\`*\[\]<>|&~$])", r"\\\1", text)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # inside a word an underscore is only itself


def _same_run(evaluation: dict, training: dict, inference: dict) -> None:
    prints = {value_at(part, "provenance.fingerprint") for part in (evaluation, training, inference)}
    if len(prints) > 1:
        raise UserError(
            "E116",
            f"run {value_at(evaluation, 'run')}: eval.json, training.json and inference.json carry different "
            "fingerprints, so they do not belong together; delete them and let the workflow make them again",
        )


def _identity(evaluation: dict, training: dict) -> list[tuple[str, Any]]:
    started, finished = (value_at(training, f"training.{name}") for name in ("started_at", "finished_at"))
    seconds = value_at(training, "training.seconds")
    elapsed = None
    if started and finished:
        elapsed = (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()
    return [
        ("Method", value_at(evaluation, "method")),
        ("Training rows", value_at(evaluation, "train_size")),
        ("Seed", str(value_at(evaluation, "seed"))),
        ("Started (UTC)", started),
        ("Finished (UTC)", finished),
        ("From start to end, pauses included", elapsed if elapsed is None else duration(elapsed)),
        ("Training time, validation included", seconds if seconds is None else duration(seconds)),
    ]


def _metrics(evaluation: dict) -> Iterable[tuple]:
    """Yield the rows of the table of metrics; one that has no name here stands under its key."""
    metrics = value_at(evaluation, "metrics")
    others = {key: key for key, value in metrics.items() if isinstance(value, dict) and key not in (*METRICS, "nll")}
    nll = value_at(evaluation, "metrics.nll") or {}
    yield "NLL, nats per answer token (lower is better)", _round(nll.get("value"), 4), _interval(nll, 4), "", ""
    for key, name in {**METRICS, **others}.items():
        metric = value_at(evaluation, f"metrics.{key}") or {}
        sides = [_round(metric[side], 2) if side in metric else "" for side in ("p", "r")]
        value = metric["f"] if "f" in metric else metric.get("value")
        yield f"{name}, points of 100", _round(value, 2), _interval(metric, 2), *sides


def _knowledge(evaluation: dict) -> list[str]:
    """Return the section of exams and general texts; nothing where the study has none."""
    rows = []
    for name, exam in (evaluation.get("exams") or {}).items():
        clean, count = exam.get("accuracy_without_leaks") or {}, exam.get("contaminated")
        right = _round(clean.get("accuracy"), 2)
        leaks = "" if not count else f"all {count} leaked" if right is None else f"{right} without {count}"
        about = (f"{name}, right answers in points of 100", _round(exam["accuracy"], 2), _interval(exam, 2))
        rows.append((*about, exam["n"], _round(exam["chance"], 1), leaks))
    if retention := evaluation.get("retention"):
        told = ("General texts, NLL in nats a token", _round(retention["value"], 4), _interval(retention, 4))
        rows.append((*told, retention["n"], "", ""))
    if not rows:
        return []
    columns = ("Set", "Value", "95 % interval", "Questions or texts", "Guessing", "Without leaks")
    return ["## Exams and general texts", _table(columns, rows)]


def _answers(evaluation: dict) -> list[tuple[str, Any]]:
    return [
        ("Length of the answers by that of the references", value_at(evaluation, "metrics.length_ratio")),
        ("Empty answers", value_at(evaluation, "metrics.empty_predictions")),
    ]


def _memory(training: dict, inference: dict) -> list[str]:
    peaks = value_at(training, "peak_memory_gib", "training.json") or {}
    rows = [
        ("Loading the model", peaks.get("load")),
        ("Training, allocated", peaks.get("train_allocated")),
        ("Training, reserved by the allocator", peaks.get("train_reserved")),
        ("Inference", value_at(inference, "peak_memory_gib", "inference.json")),
    ]
    kind = peaks.get("kind")
    return [_table(("Phase", "GiB"), rows), *([f"Measured as: {escape(str(kind))}."] if kind else [])]


def _events(events: list[dict]) -> str:
    """Return a table of all events; where each is a usual one, a sentence says so."""
    kinds = [event["kind"] for event in events]
    if all(kind in USUAL for kind in kinds) and len(set(kinds)) == len(kinds):
        return "Nothing unusual."
    rows = [(event["time"], event["kind"], event["message"], event["action"] or NOT_MEASURED) for event in events]
    return _table(
        ("Time (UTC)", "Kind", "What happened", "What was done about it"), sorted(rows, key=lambda row: row[0])
    )


def _data(evaluation: dict, training: dict) -> list[tuple[str, Any]]:
    rows = [("Training rows", value_at(evaluation, "train_size")), ("Test rows", value_at(evaluation, "n_test"))]
    return rows + _named(training["provenance"], DIGESTS)


def _machine(training: dict, inference: dict) -> list[str]:
    """Return the tables of hardware and software; those of prediction too where it ran elsewhere."""
    parts = []
    for part, title in (("hardware", "Hardware"), ("software", "Software")):
        trained, predicted = dict(_flat(training[part])), dict(_flat(inference[part]))
        if trained == predicted:
            parts.append(_table((title, ""), trained.items()))
        else:
            rows = [(key, trained.get(key), predicted.get(key)) for key in {**trained, **predicted}]
            parts.append(_table((title, "Training", "Prediction"), rows))
    return parts


def _named(part: dict, names: dict[str, str], skip: tuple[str, ...] = ()) -> list[tuple[str, Any]]:
    """Return the values of ``part`` under their names, in the order of ``names``; other keys follow under their own."""
    known = [(name, part[key]) for key, name in names.items() if key in part]
    others = {key: value for key, value in part.items() if key not in names and key not in skip and key != "seconds"}
    seconds = [("Time", duration(part["seconds"]))] if part.get("seconds") is not None else []
    return seconds + known + list(_flat(others))


def _flat(value: dict, start: str = "") -> Iterable[tuple[str, Any]]:
    """Yield the values of nested sections under dotted keys."""
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flat(item, f"{start}{key}.")
        else:
            yield f"{start}{key}", item


def _table(header: tuple[str, ...], rows: Iterable[tuple]) -> str:
    lines = [header, ("---",) * len(header), *(tuple(escape(_show(cell)) for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _show(value: Any) -> str:
    if value is None:
        return NOT_MEASURED
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e5 else f"{value:z.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _round(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:z.{digits}f}"


def _interval(metric: dict, digits: int) -> str | None:
    bounds = metric.get("ci95")
    return None if bounds is None else f"{bounds[0]:z.{digits}f} … {bounds[1]:z.{digits}f}"
