# The names that the rules use. Each is bound to a function of the resolved configuration in workflow/scripts/medscale,
# where its tests are. Every call of snakemake pays for what is imported here: never torch, never pandas.
from medscale.base import export_settings, judge_settings, settings
from medscale.base.config import resolve
from medscale.base.credentials import take_credentials
from medscale.base.digest import code_digest as code
from medscale.base.digest import folder_digest
from medscale.base.environment import prepare_environment, require_utf8
from medscale.base.holders import hold_folder
from medscale.base.identity import pilot_settings, planned_fingerprint
from medscale.base.pilots import is_auto, piloted, pilots_of
from medscale.base.settings import as_json, option
from medscale.base.study import (
    files_of,
    floors_of,
    mix_percent,
    mixed_rows,
    runs_of,
    size_label,
    sizes_of,
    wildcard_patterns,
)
from medscale.fetch import sources
from medscale.train.trackers.asked import require_installed
from medscale.watch import ending

BASE = Path(str(workflow.current_basedir)).parent
CONDITIONS = BASE / "resources" / "demo" / "conditions.json"
if workflow.is_main_process:
    require_utf8(workflow.rundir)
prepare_environment()
try:
    hold_folder(workflow)
    CONFIG = take_credentials(resolve(config))
    SOURCES = {section: sources.source_of(CONFIG, section, CONDITIONS) for section in ("model", "data")}
    SETS = sources.sets_sources(CONFIG, CONDITIONS)
    BERTSCORE = sources.folder_content(CONFIG, settings.bertscore_model(CONFIG))
    if (
        workflow.is_main_process and not workflow.deployment_settings.deployment_method
    ):  # else a job's Python is another
        require_installed(settings.trackers(CONFIG))
    if workflow.is_main_process:
        sources.follow(*SOURCES.values(), *SETS.values())
except UserError as error:
    raise WorkflowError(str(error)) from None

RUNS = {run.name: run for run in runs_of(CONFIG)}
MODELS = [*RUNS, "base"]
ROWS = [*MODELS, *floors_of(CONFIG)]
SIZES = sizes_of(CONFIG)
LARGEST = size_label(max(SIZES.values()))
PILOTS = {method: piloted(CONFIG, method) for method in pilots_of(CONFIG)}

RESULTS = CONFIG["paths"]["results"]
DATA = f"{RESULTS}/data"
SUMMARY = f"{RESULTS}/summary"
LOGS = f"logs/{RESULTS.lstrip('/')}"
VERDICTS = f"{RESULTS}/judging/verdicts.json"
REFERENCE_SAFETY = f"{DATA}/safety.json"
if workflow.is_main_process:
    ending.begin(RESULTS, LOGS)


wildcard_constraints:
    **wildcard_patterns(CONFIG),


# A parameter that makes nothing stale: where something lies on this machine. Snakemake does not watch what depends on
# `input`, and results depend on content alone.
untracked = lambda value: (lambda wildcards, input: str(value))
# A text as it was typed: as a plain parameter, {words} in it would be taken for wildcards.
as_typed = lambda text: (lambda wildcards: text)
script = lambda name: untracked(BASE / "workflow" / "scripts" / name)

# What the bytes of the model and of the corpus are, and what a row of the study is made from.
content = lambda section: (lambda wildcards: SOURCES[section].expected())
set_content = lambda name: (lambda wildcards: SETS[name.format(**wildcards)].expected())
fingerprint = lambda name, **kept: planned_fingerprint(
    CONFIG,
    name,
    *(source.expected() for source in SOURCES.values()),
    mix=SETS["mix"].expected() if "mix" in SETS else None,
    **kept,
)

# What the pilot of a method tries, and its file, for a run that takes its rate from there.
pilot_plan = lambda method: pilot_settings(CONFIG, method, *(source.expected() for source in SOURCES.values()))
pilot_of = lambda run: [f"{RESULTS}/pilot/{run.method}.json"] if is_auto(CONFIG, run) else []

# A file of every row, and a file of the run's training: nothing for the base model and the floors.
of_every = lambda name, rows: files_of(RESULTS, rows, name)
tuned_input = lambda name: (lambda wildcards: files_of(RESULTS, RUNS.keys() & {wildcards[0]}, name))
# A file of a model's examination: nothing where the study has neither exams nor general texts, and of the floors.
EXAMINED = MODELS if CONFIG["evaluation"]["exams"] or CONFIG["evaluation"]["retention"] else []
examined_input = lambda name: (lambda wildcards: files_of(RESULTS, {*EXAMINED} & {wildcards[0]}, name))
leaks_input = lambda wildcards: [
    f"{DATA}/exams/{exam}.leak.json" for exam in CONFIG["evaluation"]["exams"] if wildcards[0] in EXAMINED
]


# What a call says last: the table, the answer and where the report is, or what failed and why.
onsuccess:
    ending.tell()


onerror:
    ending.tell_failures()


def exported(wildcards):
    """Return the run that is meant; the base model and the floors have nothing to export."""
    try:
        return export_settings.exported_run(RUNS, wildcards.run)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def asked_verdicts(wildcards):
    """Return the files of verdicts, which are asked for before any run is trained for them."""
    try:
        return judge_settings.required_verdicts(CONFIG)
    except UserError as error:
        raise WorkflowError(str(error)) from None
