# The names that the rules use. Each is bound to a function of the resolved configuration in workflow/scripts/medscale,
# where its tests are. Every call of snakemake pays for what is imported here: never torch, never pandas.
from medscale.base import export_settings, judge_settings, settings
from medscale.base.config import resolve
from medscale.base.credentials import take_credentials
from medscale.base.digest import code_digest as code
from medscale.base.digest import folder_digest
from medscale.base.environment import prepare_environment, require_utf8
from medscale.base.holders import hold_folder
from medscale.base.identity import planned_fingerprint
from medscale.base.settings import as_json, option
from medscale.base.study import files_of, floors_of, runs_of, size_label, sizes_of, wildcard_patterns
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
    BERTSCORE = sources.folder_content(CONFIG, settings.bertscore_model(CONFIG))
    if (
        workflow.is_main_process and not workflow.deployment_settings.deployment_method
    ):  # else a job's Python is another
        require_installed(settings.trackers(CONFIG))
    if workflow.is_main_process:
        sources.follow(*SOURCES.values())
except UserError as error:
    raise WorkflowError(str(error)) from None

RUNS = {run.name: run for run in runs_of(CONFIG)}
MODELS = [*RUNS, "base"]
ROWS = [*MODELS, *floors_of(CONFIG)]
SIZES = sizes_of(CONFIG)
LARGEST = size_label(max(SIZES.values()))

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
fingerprint = lambda name: planned_fingerprint(CONFIG, name, *(source.expected() for source in SOURCES.values()))

# A file of every row, and a file of the run's training: nothing for the base model and the floors.
of_every = lambda name, rows: files_of(RESULTS, rows, name)
tuned_input = lambda name: (lambda wildcards: files_of(RESULTS, RUNS.keys() & {wildcards[0]}, name))


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
