# The run matrix and light helpers. Every call of snakemake pays for what is imported here: never torch, never pandas.
import json
import shlex
import sys
from pathlib import Path

SCRIPTS = Path(workflow.basedir) / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))
from snakemake.exceptions import WorkflowError
from medscale.base.config import ConfigError, resolve, settings_for
from medscale.base.digest import code_digest
from medscale.base.environment import prepare_environment
from medscale.base.files import sha256_file, sha256_json
from medscale.base.holders import hold_folder
from medscale.base.study import folder_name, runs_of, size_label

try:
    CONFIG = resolve(config)
except ConfigError as error:
    raise WorkflowError(str(error)) from None
prepare_environment(CONFIG)
hold_folder(workflow)

RUNS = {run.name: run for run in runs_of(CONFIG)}
MODELS = [*RUNS, "base"]
FLOORS = [f"floor_{name}" for name in CONFIG["evaluation"]["floors"]]
ROWS = [*MODELS, *FLOORS]
SIZES = {size_label(size): size for size in CONFIG["study"]["sizes"]}
LARGEST = size_label(max(SIZES.values()))

RESULTS = CONFIG["paths"]["results"].rstrip("/")
RESOURCES = CONFIG["paths"]["resources"].rstrip("/")
HUBS = ("modelscope", "huggingface")
DATA = f"{RESULTS}/data"
SUMMARY = f"{RESULTS}/summary"
LOGS = f"logs/{RESULTS.lstrip('/')}"
CONDITIONS = Path(workflow.basedir) / "resources" / "demo" / "conditions.json"


def source_name(section):
    """Return the folder of the model or of the corpus under resources/."""
    source = CONFIG[section]["source"]
    if source in ("tiny", "demo"):
        return source
    return folder_name(CONFIG[section]["path" if source in ("local", "file") else "id"])


MODEL = f"{RESOURCES}/models/{source_name('model')}/manifest.json"
CORPUS = f"{RESOURCES}/data/{source_name('data')}/manifest.json"


wildcard_constraints:
    run="|".join(ROWS),
    model="|".join(MODELS),
    floor="|".join(CONFIG["evaluation"]["floors"]) or "none",
    tuned="|".join(RUNS),
    size="|".join(SIZES),
    part="validation|" + "|".join(f"train_{size}" for size in SIZES),


def as_json(value):
    """Return a parameter as JSON text: the same text for the same value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def code(script):
    """Return the digest of what a script does; in a rule's params it makes the rule stale when that changes."""
    return code_digest(script)


def without_endpoint(section):
    """Return a section without its endpoint: where a file was fetched from does not change what it is."""
    return {key: value for key, value in CONFIG[section].items() if key != "endpoint"}


def training_settings(wildcards):
    """Return all that decides the weights of a run, except the data itself. The micro-batch does not."""
    settings = settings_for(CONFIG, RUNS[wildcards.tuned])
    settings["training"].pop("micro_batch")
    return settings | {"quantization": CONFIG["quantization"], "chat": CONFIG["chat"]}


def micro_batch(wildcards):
    return settings_for(CONFIG, RUNS[wildcards.tuned])["training"]["micro_batch"]


def prediction_settings(wildcards):
    run = RUNS.get(wildcards.model)
    training = settings_for(CONFIG, run)["training"] if run else CONFIG["training"]
    evaluation = {key: CONFIG["evaluation"][key] for key in ("engine", "max_samples", "max_new_tokens", "batch_size")}
    if run and run.method == "qlora":  # vLLM cannot run the 4-bit model that was trained
        evaluation["engine"] = "transformers"
    return {
        "evaluation": evaluation,
        "chat": CONFIG["chat"],
        "quantization": CONFIG["quantization"],
        "precision": training["precision"],
        "max_length": CONFIG["training"]["max_length"],
    }


UPSTREAM = (
    "fetch_model.py",
    "fetch_data.py",
    "clean.py",
    "split.py",
    "subset.py",
    "encode.py",
    "finetune.py",
)


def fingerprint(name):
    """Return the fingerprint of a run: data, model, method, hyper-parameters and code, but not the micro-batch.

    It stands in the params of finetune, predict and evaluate alike. So a training that is stale makes all three stale,
    and an eval.json of before counts as done no longer, even if the new training fails.
    """
    study = {
        key: CONFIG["study"][key] for key in ("split_seed", "similarity_threshold", "test_size", "validation_size")
    }
    facts = [
        without_endpoint("model"),
        without_endpoint("data"),
        CONFIG["cleaning"],
        CONFIG["chat"],
        study,
    ]
    if name in RUNS:
        run = RUNS[name]
        settings = settings_for(CONFIG, run)
        settings["training"].pop("micro_batch")
        facts += [
            run.method,
            run.size,
            run.seed,
            settings,
            CONFIG["quantization"],
            [code(s) for s in UPSTREAM],
        ]
    if name in FLOORS:
        facts += [max(CONFIG["study"]["sizes"]), code("floor.py")]
    return sha256_json(facts)[:16]


def local_input(section, kind):
    """Return the user's own file or directory as an input, so that a change of it is noticed."""
    if CONFIG[section]["source"] != kind:
        return []
    path = Path(CONFIG[section]["path"]).expanduser()
    if not path.exists():
        raise WorkflowError(f"{section}.path = {path}: there is no such {'directory' if kind == 'local' else 'file'}")
    if path.is_dir():
        return sorted(str(file) for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    return str(path)


def tuned_input(name):
    """Return an input function: a file of the run's training, nothing for the base model and the floors."""
    return lambda wildcards: (f"{RESULTS}/{wildcards[0]}/{name}" if wildcards[0] in RUNS else [])


def of_every(name, rows):
    """Return a file of every run, base model or floor."""
    return expand(f"{RESULTS}/{{row}}/{name}", row=rows)


def template_files():
    """Return the files that the report is written with, its texts included."""
    folder = Path(workflow.basedir) / "workflow" / "report" / "template"
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


def shared_config():
    """Return the configuration as the report shows it: without this machine's folders and without the micro-batch."""
    private = {
        "training": ("micro_batch",),
        "model": ("path",),
        "data": ("path",),
        "evaluation": ("bertscore_model",),
        "paths": tuple(CONFIG["paths"]),
    }
    hidden = {name: dict.fromkeys(keys) for name, keys in private.items()}
    return {name: section | hidden.get(name, {}) for name, section in CONFIG.items()}


def option(name, value):
    """Return an option for the shell; nothing where there is no value."""
    return f" {name} {shlex.quote(str(value))}" if value else ""


def bertscore_option():
    """Return what score is told of the encoder for BERTScore."""
    asked = "bertscore" in CONFIG["evaluation"]["extra_metrics"]
    return option("--bertscore-model", CONFIG["evaluation"]["bertscore_model"] if asked else None)


def run_options(name):
    """Return what evaluate is told of a run."""
    if name not in RUNS:
        return f"--method {name}"
    run = RUNS[name]
    told = f"--method {run.method} --size-label {run.size_label} --train-size {run.size} --seed {run.seed}"
    return f"{told} --arm {run.arm}"
