"""What makes a run the run it is: one fingerprint for its plan, its training and its predictions.

A fingerprint is of content: settings, code, and the bytes of model and data. No path, no source and no endpoint is part
of it, and neither is the micro-batch. The same fingerprint stands in the params of finetune, predict and evaluate. So a
training that is stale makes all three stale, and an eval.json of before counts as done no longer, even if the new
training fails.
"""

from typing import Any

from medscale.base.digest import code_digest
from medscale.base.files import sha256_json
from medscale.base.pilots import DECIDES, chosen_by, fixed_rate, is_auto, piloted, piloted_settings, rates_of
from medscale.base.settings import mix_settings, reading_settings, training_settings
from medscale.base.study import Run, runs_of

MADE_BY = ("clean.py", "split.py", "subset.py", "encode.py", "finetune.py")
"""The scripts between the fetched files and the adapter. What fetches is not among them: its result is content."""
MIXED_BY = ("mix_rows.py", "mixed_subset.py")
"""What is between them for a run with general rows besides."""
SPLIT = ("split_seed", "similarity_threshold", "test_size", "validation_size")


def planned_fingerprint(
    config: dict, name: str, model: str, data: str, mix: str | None = None, choice: bool = True
) -> str:
    """Return what a row of the study is planned to be made from.

    Args:
        config: the resolved configuration.
        name: a run, ``base``, or a floor.
        model, data: what the bytes of the model and of the corpus are, see `fetch.sources`.
        mix: what those of the general rows are; they are part of the runs that are trained on such, and of no others.
        choice: whether what decides a pilot's choice counts, for a run whose learning rate is `auto`. Without it, the
            training knows the run by the rate that was chosen: another grid with the same choice trains nothing again.

    Returns:
        16 hexadecimal digits.
    """
    facts = _facts(config, model, data)
    if name.startswith("floor_"):
        return sha256_json([*facts[:-2], max(config["study"]["sizes"]), code_digest("floor.py")])[:16]
    run = {run.name: run for run in runs_of(config)}.get(name)
    if run is not None:
        facts += [run.method, run.size, run.seed, training_settings(config, run), [code_digest(s) for s in MADE_BY]]
        if run.mix is not None:
            facts += [run.mix, mix, mix_settings(config), [code_digest(s) for s in MIXED_BY]]
        if choice and is_auto(config, run):
            facts += [chosen_by(config, run), code_digest("pilot.py")]
    return sha256_json(facts)[:16]


def pilot_fingerprint(config: dict, run: Run, model: str, data: str) -> str:
    """Return what a pilot of ``run`` is made from but for the rate: what it has trained is kept under this name."""
    facts = [*_facts(config, model, data), run.method, run.size, run.seed, piloted_settings(config, run)]
    pilot = {key: config["pilot"][key] for key in ("share", "least_steps", "validations")}
    return sha256_json([*facts, pilot, [code_digest(script) for script in (*MADE_BY[:-1], "pilot.py")]])[:16]


def pilot_settings(config: dict, method: str, model: str, data: str) -> dict[str, Any]:
    """Return what pilot.py is told of a method: the section `pilot`, and of each size what is tried."""
    sizes = {
        run.size_label: {
            "size": run.size,
            "fixed": fixed_rate(config, run),
            "rates": rates_of(config, run),
            "settings": piloted_settings(config, run),
            "fingerprint": pilot_fingerprint(config, run, model, data),
        }
        for run in piloted(config, method)
    }
    return {key: config["pilot"][key] for key in DECIDES} | {"sizes": sizes}


def _facts(config: dict, model: str, data: str) -> list[Any]:
    """Return what every row with a model depends on, the model and how it is asked last."""
    study = {key: config["study"][key] for key in SPLIT}
    kept = {
        key: value for key, value in config["cleaning"].items() if key != "max_dropped_share"
    }  # which changes no row
    return [data, reading_settings(config), kept, study, model, config["chat"]]


def trained_fingerprint(
    planned: str,
    name: str,
    train_sha256: str,
    validation_sha256: str,
    model_sha256: str,
    chosen_rate: float | None = None,
) -> str:
    """Return the fingerprint of a training: what was planned, and what data and model turned out to be.

    Checkpoints lie in a folder of this name, so that a run resumes its own and never another's. Where a pilot chose the
    learning rate, the rate is part of it.
    """
    facts = [planned, name, [train_sha256, validation_sha256, model_sha256]]
    return sha256_json(facts if chosen_rate is None else [*facts, chosen_rate])[:16]


def predicted_fingerprint(planned: str, training: dict | None, model_sha256: str) -> str:
    """Return the fingerprint of predictions: that of the training in ``training.json``, or the base model's own."""
    if training is not None:
        return training["provenance"]["fingerprint"]
    return sha256_json([planned, model_sha256])[:16]
