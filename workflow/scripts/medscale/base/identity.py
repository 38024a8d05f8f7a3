"""What makes a run the run it is: one fingerprint for its plan, its training and its predictions.

A fingerprint is of content: settings, code, and the bytes of model and data. No path, no source and no endpoint is part
of it, and neither is the micro-batch. The same fingerprint stands in the params of finetune, predict and evaluate. So a
training that is stale makes all three stale, and an eval.json of before counts as done no longer, even if the new
training fails.
"""

from typing import Any

from medscale.base.digest import code_digest
from medscale.base.files import sha256_json
from medscale.base.settings import mix_settings, reading_settings, training_settings
from medscale.base.study import runs_of

MADE_BY = ("clean.py", "split.py", "subset.py", "encode.py", "finetune.py")
"""The scripts between the fetched files and the adapter. What fetches is not among them: its result is content."""
MIXED_BY = ("mix_rows.py", "mixed_subset.py")
"""What is between them for a run with general rows besides."""
SPLIT = ("split_seed", "similarity_threshold", "test_size", "validation_size")


def planned_fingerprint(config: dict, name: str, model: str, data: str, mix: str | None = None) -> str:
    """Return what a row of the study is planned to be made from.

    Args:
        config: the resolved configuration.
        name: a run, ``base``, or a floor.
        model, data: what the bytes of the model and of the corpus are, see `fetch.sources`.
        mix: what those of the general rows are; they are part of the runs that are trained on such, and of no others.

    Returns:
        16 hexadecimal digits.
    """
    study = {key: config["study"][key] for key in SPLIT}
    kept = {
        key: value for key, value in config["cleaning"].items() if key != "max_dropped_share"
    }  # which changes no row
    facts: list[Any] = [data, reading_settings(config), kept, study]
    if name.startswith("floor_"):
        return sha256_json([*facts, max(config["study"]["sizes"]), code_digest("floor.py")])[:16]
    facts += [model, config["chat"]]
    run = {run.name: run for run in runs_of(config)}.get(name)
    if run is not None:
        facts += [run.method, run.size, run.seed, training_settings(config, run), [code_digest(s) for s in MADE_BY]]
        if run.mix is not None:
            facts += [run.mix, mix, mix_settings(config), [code_digest(s) for s in MIXED_BY]]
    return sha256_json(facts)[:16]


def trained_fingerprint(planned: str, name: str, train_sha256: str, validation_sha256: str, model_sha256: str) -> str:
    """Return the fingerprint of a training: what was planned, and what data and model turned out to be.

    Checkpoints lie in a folder of this name, so that a run resumes its own and never another's.
    """
    return sha256_json([planned, name, [train_sha256, validation_sha256, model_sha256]])[:16]


def predicted_fingerprint(planned: str, training: dict | None, model_sha256: str) -> str:
    """Return the fingerprint of predictions: that of the training in ``training.json``, or the base model's own."""
    if training is not None:
        return training["provenance"]["fingerprint"]
    return sha256_json([planned, model_sha256])[:16]
