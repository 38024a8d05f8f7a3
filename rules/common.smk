# The names that the rules use, each bound to a function of the resolved configuration in workflow/scripts/medscale. Every
# call of snakemake pays for what is imported here: never torch, never pandas.
import os
import shlex
import sys
from pathlib import Path

BASE = Path(str(workflow.current_basedir)).parent
sys.path.insert(0, str(BASE / "workflow" / "scripts"))
from snakemake.exceptions import WorkflowError
from medscale.base import settings
from medscale.base.config import resolve
from medscale.base.digest import code_digest, folder_digest
from medscale.base.environment import prepare_environment, require_utf8
from medscale.base.errors import UserError
from medscale.base.files import sha256_file
from medscale.base.identity import planned_fingerprint
from medscale.base.settings import as_json
from medscale.base.study import floors_of, runs_of, size_label, sizes_of, wildcard_patterns
from medscale.fetch.sources import HUBS, follow, folder_content, source_of

if workflow.is_main_process:
    require_utf8(workflow.rundir)
CONDITIONS = BASE / "resources" / "demo" / "conditions.json"
try:
    CONFIG = resolve(config)
    SOURCES = {section: source_of(CONFIG, section, CONDITIONS) for section in ("model", "data")}
    BERTSCORE = folder_content(CONFIG, settings.bertscore_model(CONFIG))
    if workflow.is_main_process:
        for source in SOURCES.values():
            follow(source)
except UserError as error:
    raise WorkflowError(str(error)) from None
prepare_environment()

RUNS = {run.name: run for run in runs_of(CONFIG)}
MODELS = [*RUNS, "base"]
ROWS = [*MODELS, *floors_of(CONFIG)]
SIZES = sizes_of(CONFIG)
LARGEST = size_label(max(SIZES.values()))

RESULTS = CONFIG["paths"]["results"]
DATA = f"{RESULTS}/data"
SUMMARY = f"{RESULTS}/summary"
LOGS = f"logs/{RESULTS.lstrip('/')}"


wildcard_constraints:
    **wildcard_patterns(CONFIG),


code = code_digest


def untracked(value):
    """Return a parameter that makes nothing stale: where something lies on this machine."""
    return lambda wildcards, input: str(value)


def script(name):
    return untracked(BASE / "workflow" / "scripts" / name)


def content(section):
    return lambda wildcards: SOURCES[section].expected()


def fingerprint(name):
    return planned_fingerprint(CONFIG, name, SOURCES["model"].expected(), SOURCES["data"].expected())


def tuned_input(name):
    """Return an input function: a file of the run's training, nothing for the base model and the floors."""
    return lambda wildcards: (f"{RESULTS}/{wildcards[0]}/{name}" if wildcards[0] in RUNS else [])


def of_every(name, rows):
    """Return a file of every run, base model or floor."""
    return expand(f"{RESULTS}/{{row}}/{name}", row=rows)


def option(name, value):
    """Return an option for the shell; nothing where there is no value."""
    return f" {name} {shlex.quote(str(value))}" if value else ""


def is_needed(section):
    """Say whether a job may still ask for the fetched files: the corpus until it is clean, the model until all answered."""
    made = of_every("predictions.jsonl", MODELS) if section == "model" else [f"{DATA}/clean.parquet"]
    return not all(map(os.path.isfile, made))


def fetch_options(section):
    """Return what the fetching program is told. Whether it is due says `Source.fetches`, and nothing else."""
    told = {section: as_json(CONFIG[section]), "endpoint": CONFIG[section]["endpoint"] or ""}
    told |= {"conditions": CONDITIONS, "output": SOURCES[section].manifest}
    return untracked(" ".join(f"--{name}={shlex.quote(str(value))}" for name, value in told.items()))
