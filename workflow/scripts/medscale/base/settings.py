"""What each rule is told of the configuration: all that decides its result, and no more, or it were stale in vain."""

import json
import os
import re
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from medscale.base.study import Run, mix_percent, mixed_arms, mixed_rows, runs_of

PRIVATE = {
    "training": ("micro_batch", "gpus_per_run", "report_to", "offline"),
    "model": ("path", "endpoint"),
    "data": ("path", "endpoint"),
    "evaluation": ("bertscore_model",),
    "judging": ("path",),
}
"""What differs between machines and changes no result; `paths` and `backup` are private as a whole."""


class AskedSet(NamedTuple):
    """A set that a study has besides its corpus.

    ``kind`` is exam, retention or mix; ``key`` is where it stands in the configuration, ``settings`` what stands there,
    for an exam of the demo with what its corpus is made from.
    """

    kind: str
    key: str
    settings: dict[str, Any]


def sets_of(config: dict) -> dict[str, AskedSet]:
    """Return the sets of a study by name: ``exam_{name}`` for each exam, ``retention``, ``mix``."""
    data, evaluation = config["data"], config["evaluation"]
    corpus = {"condition_count": data["condition_count"], "data_seed": data["seed"]}
    found = {
        f"exam_{name}": AskedSet("exam", f"evaluation.exams.{name}", settings | corpus)
        for name, settings in evaluation["exams"].items()
    }
    if evaluation["retention"]:
        found["retention"] = AskedSet("retention", "evaluation.retention", evaluation["retention"])
    if config["study"]["mix"]:
        found["mix"] = AskedSet("mix", "study.mix", config["study"]["mix"])
    return found


def exam_settings(config: dict, name: str) -> dict[str, Any]:
    """Return what decides which questions an exam has, beside the bytes of its files."""
    keys = ("format", "columns", "answer_as", "split", "subjects", "measures", "max_questions", "seed", "files")
    exam = config["evaluation"]["exams"][name]
    made = exam["rows"] if exam["source"] == "demo" else None
    return {key: exam[key] for key in keys} | {"max_questions": exam["max_questions"] or made}


def exam_training(config: dict, name: str, rows: str) -> list[str]:
    """Return the file of training rows that an exam is made with: that of the demo, and of no other."""
    return [rows] if config["evaluation"]["exams"][name]["source"] == "demo" else []


def with_sets(config: dict, change: Callable[[str, dict], dict]) -> dict:
    """Return a configuration in which ``change``, of name and section, has replaced the section of each set."""
    evaluation, study = config["evaluation"], config["study"]
    exams = {name: change(f"exam_{name}", section) for name, section in evaluation["exams"].items()}
    retention = evaluation["retention"] and change("retention", evaluation["retention"])
    mix = study["mix"] and change("mix", study["mix"])
    return config | {
        "evaluation": evaluation | {"exams": exams, "retention": retention},
        "study": study | {"mix": mix},
    }


def as_json(value: Any) -> str:
    """Return a parameter as JSON text: the same text for the same value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def option(name: str, value: Any) -> str:
    """Return an option for the shell, such as `` --adapter 'a b'``; nothing where there is no value."""
    return f" {name} {shlex.quote(str(value))}" if value else ""


def with_configfiles(paths: Iterable[str | os.PathLike]) -> str:
    """Return the option of snakemake that names a study's files, for a command that is told; nothing without any.

    >>> with_configfiles(["/a/b c.yaml", "/a/d.yaml"])
    " --configfile '/a/b c.yaml' /a/d.yaml"
    """
    here = Path.cwd()
    shown = [path.relative_to(here) if path.is_relative_to(here) else path for path in map(Path, paths)]
    return " --configfile " + shlex.join(map(str, shown)) if shown else ""


def settings_for(config: dict, run: Run) -> dict:
    """Return the `training` and `lora` sections of ``run``: defaults, then its method's, its size's and its own."""
    settings = {name: dict(config[name]) for name in ("training", "lora")}
    for key in override_keys(run):
        for section, values in config["overrides"].get(key, {}).items():
            settings[section] |= values
    if run.epochs is not None:
        settings["training"]["epochs"] = run.epochs
    return settings


def override_keys(run: Run) -> tuple[str, ...]:
    """Return the names under which a run's values may be overridden, the least exact first."""
    return run.method, run.size_label, f"{run.method}_{run.size_label}", run.name


def training_settings(config: dict, run: Run) -> dict[str, Any]:
    """Return all that decides the weights of a run, except its data. Who computes which rows does not."""
    settings = settings_for(config, run)
    for name in PRIVATE["training"]:
        settings["training"].pop(name)
    return settings | {"quantization": config["quantization"], "chat": config["chat"]}


def micro_batch(config: dict, run: Run) -> int | str:
    """Return how many samples a forward pass of a run takes: a number, or ``auto``."""
    return settings_for(config, run)["training"]["micro_batch"]


def gpus(config: dict, run: Run) -> int:
    """Return how many cards a run is trained on at once."""
    return settings_for(config, run)["training"]["gpus_per_run"]


def tracker_options(config: dict, run: Run) -> str:
    """Return what finetune.py is told of trackers as its options: which ones, and the project that they call it.

    The project is named after the folder of the results; what the trackers' clients write lies in a folder there.
    """
    training, results = settings_for(config, run)["training"], config["paths"]["results"]
    names = [word for word in re.split(r"[^\w-]+", results, flags=re.ASCII) if word and word != "results"]
    told = f"--report-to {' '.join(training['report_to'])}" + " --offline" * training["offline"]
    return (
        f"{told}{option('--project', '-'.join(['medscale', *names[-1:]]))}{option('--trackers', f'{results}/trackers')}"
    )


def trackers(config: dict) -> list[str]:
    """Return the trackers that any run of the study asks for."""
    return sorted({name for run in runs_of(config) for name in settings_for(config, run)["training"]["report_to"]})


def largest_method(config: dict) -> str:
    """Return that of the study's methods which needs most memory: for it all runs are given the same settings."""
    return max(config["study"]["methods"], key=("qlora", "lora").index)


def prediction_settings(config: dict, run: Run | None) -> dict[str, Any]:
    """Return all that decides the answers of a run, or of the base model, except weights and questions."""
    training = settings_for(config, run)["training"] if run else config["training"]
    evaluation = {key: config["evaluation"][key] for key in ("engine", "max_samples", "max_new_tokens", "batch_size")}
    if run and run.method == "qlora":  # vLLM cannot run the 4-bit model that was trained
        evaluation["engine"] = "transformers"
    return {
        "evaluation": evaluation,
        "chat": config["chat"],
        "quantization": config["quantization"],
        "precision": training["precision"],
        "max_length": config["training"]["max_length"],
    }


def examination_settings(config: dict, run: Run | None) -> dict[str, Any]:
    """Return all that decides what a run, or the base model, makes of exams and texts, except weights and texts."""
    training = settings_for(config, run)["training"] if run else config["training"]
    evaluation = config["evaluation"]
    asked = ("prompt", "scored_by", "normalise", "permutations", "description")
    exams = {name: {key: exam[key] for key in asked} for name, exam in evaluation["exams"].items()}
    return {
        "exams": exams,
        "chat": config["chat"] if any(exam["prompt"] == "chat" for exam in exams.values()) else None,
        "retention": evaluation["retention"] and {"window": evaluation["retention"]["window"]},
        "quantization": config["quantization"],
        "precision": training["precision"],
    }


def retention_settings(config: dict) -> dict[str, Any]:
    """Return what decides which general texts are drawn, beside the files that they are drawn from."""
    retention = config["evaluation"]["retention"] or {}
    return {key: retention[key] for key in ("column", "max_texts", "seed", "files") if key in retention}


def examined_options(files: Any) -> str:
    """Return what evaluate.py is told of an examination: nothing where there was none.

    ``files`` has the attributes exams, retention, examination and leaks, each empty or with names of files.
    """
    if not files.examination:
        return ""
    single = ("exams", "retention", "examination")
    told = "".join(option(f"--{name}", getattr(files, name)) for name in single)
    return told + (" --leaks " + " ".join(shlex.quote(str(path)) for path in files.leaks) if files.leaks else "")


def shared_config(config: dict) -> dict[str, Any]:
    """Return the configuration as the report shows it: without what `PRIVATE` lists and this machine's folders."""
    private = PRIVATE | {"paths": tuple(config["paths"])}
    config = with_sets(config, lambda name, section: section | {"path": None, "endpoint": None})
    sections = {name: section for name, section in config.items() if name != "backup"}
    return {name: section | dict.fromkeys(private.get(name, ())) for name, section in sections.items()}


def portable_config(config: dict) -> dict[str, Any]:
    """Return the configuration as a file for another machine: `shared_config` without the keys that it empties."""
    shared = {name: section for name, section in shared_config(config).items() if name != "paths"}
    shared = with_sets(shared, lambda name, section: _without(section, "path", "endpoint"))
    return {
        name: {key: value for key, value in section.items() if key not in PRIVATE.get(name, ())}
        for name, section in shared.items()
    }


def _without(section: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in keys}


def file_settings(config: dict) -> dict[str, Any]:
    """Return what is said of the corpus's files that they do not tell themselves, as `data.files.records` reads it."""
    data = config["data"]
    names = ("encoding", "department_folder")
    return {name: data[name] for name in names} | data["csv"] | data["json"]


def cleaning_options(config: dict) -> str:
    """Return the section `cleaning` as options of clean.py."""
    return " ".join(f"--{key.replace('_', '-')} {as_json(value)}" for key, value in config["cleaning"].items())


def mix_settings(config: dict) -> dict[str, Any]:
    """Return what decides the general rows of `study.mix`, except the bytes of its set."""
    mix, leakage = config["study"]["mix"], config["leakage"]
    threshold = min(config["study"]["similarity_threshold"], leakage["similarity_threshold"])
    return {
        "columns": mix["columns"],
        "files": mix["files"],
        "seed": mix["seed"],
        "system_prompt": mix["system_prompt"],
        "similarity_threshold": threshold,
        "ngram": leakage["ngram"],
        "containment_threshold": leakage["containment_threshold"],
    }


def mix_options(config: dict) -> str:
    """Return how general rows are made as options of mix_rows.py."""
    told = {key: value for key, value in mix_settings(config).items() if value is not None}
    return " ".join(
        f"--{key.replace('_', '-')} {shlex.quote(value if isinstance(value, str) else as_json(value))}"
        for key, value in told.items()
    )


def mix_needed(config: dict) -> int:
    """Return how many general rows the study's largest mix takes."""
    percent = mix_percent(config)
    return max((mixed_rows(size, percent) for _, size in mixed_arms(config)), default=0) if percent else 0


def reading_options(config: dict) -> str:
    """Return how the records of the corpus are read as options of clean.py."""
    texts = {
        key: value if isinstance(value, str) else as_json(value) for key, value in reading_settings(config).items()
    }
    return " ".join(f"--{key} {shlex.quote(text)}" for key, text in texts.items())


def reading_settings(config: dict) -> dict[str, Any]:
    """Return what decides how the records of the corpus are read."""
    read = {key: config["data"][key] for key in ("columns", "layout", "turns", "system", "lists", "ignore")}
    return read | {"files": file_settings(config)}


def run_options(run: Run | None, name: str) -> str:
    """Return what evaluate.py is told of a run; ``run`` is None for the base model and the floors."""
    if run is None:
        return f"--method {name}"
    told = f"--method {run.method} --size-label {run.size_label} --train-size {run.size} --seed {run.seed}"
    return f"{told} --arm {run.arm}"


def record_options(config: dict, run: Run) -> str:
    """Return what record.py is told of a run: the number of seeds of its configuration, where there are several."""
    alike = [each for each in runs_of(config) if each._replace(name="", seed=0) == run._replace(name="", seed=0)]
    return f" --seeds {len(alike)}" if len(alike) > 1 else ""


def bertscore_model(config: dict) -> str | None:
    """Return the folder of the encoder for BERTScore, or None where BERTScore is not asked for."""
    evaluation = config["evaluation"]
    return os.path.expanduser(evaluation["bertscore_model"]) if "bertscore" in evaluation["extra_metrics"] else None
