# MedScale: how much data, and LoRA or QLoRA, for Chinese medical question answering?
#
#   snakemake --cores 4 --resources gpu=1                                    the whole study
#   snakemake results/qlora_100k/eval.json --cores 4 --resources gpu=1      one result, and what it needs
#   snakemake plan --cores 4 --resources gpu=1                               what it will take, measured in minutes
#   snakemake results/qlora_100k/export --cores 4 --resources gpu=1         a run to take away, measured again
#   snakemake backup --cores 1                                              what is finished, to backup.path
#   snakemake judge_export --cores 1                                        blind pairs for judges; judge_import reads them
#   make demo                                                               the same in minutes, without GPU
from snakemake.utils import min_version

min_version("9.0")


include: "rules/configuration.smk"


configfile: CONFIGURATION


report: "workflow/report/workflow.rst"


include: "rules/common.smk"


# The first rule is what a call without a target makes.
rule all:
    input:
        f"{SUMMARY}/report.html",
        of_every("eval.json", ROWS),
        of_every("record.md", RUNS),


include: "rules/fetch.smk"
include: "rules/data.smk"
include: "rules/exams.smk"
include: "rules/mix.smk"
include: "rules/pilot.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/examine.smk"
include: "rules/safety.smk"
include: "rules/aggregate.smk"
include: "rules/plan.smk"
include: "rules/backup.smk"
include: "rules/export.smk"
include: "rules/judge.smk"
