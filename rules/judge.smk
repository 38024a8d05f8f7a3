# Answers judged by people or models, on request: `snakemake judge_export`, then `snakemake judge_import`. No part of
# `all`: the report takes the verdicts that are there when it is planned, and asks for none.
JUDGING = f"{RESULTS}/judging"


rule judge_export:
    input:
        predictions=of_every("predictions.jsonl", judge_settings.judged_rows(CONFIG)),
        # Pairs that nobody named follow from the recommendation, and no result follows from them.
        recommendation=[f"{SUMMARY}/recommendation.json"] * (judge_settings.named_pairs(CONFIG) is None),
    output:
        pairs=f"{JUDGING}/pairs.jsonl",
        key=f"{JUDGING}/key.json",
        page=f"{JUDGING}/judge.html",
    log:
        f"{LOGS}/judge_export.log",
    benchmark:
        f"{LOGS}/judge_export.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("judge_export.py"),
        script=script("judge_export.py"),
        page=folder_digest(BASE / "workflow" / "judge"),
        drawing=as_typed(as_json(judge_settings.drawing(CONFIG))),
        recommendation=lambda wildcards, input: option("--recommendation", input.recommendation),
    message:
        "Writing blind pairs of answers for judges"
    shell:
        "python {params.script:q} --predictions {input.predictions:q} --drawing {params.drawing:q}{params.recommendation}"
        " --pairs {output.pairs:q} --key {output.key:q} --page {output.page:q} 2>&1 | tee {log:q}"


rule judge_import:
    input:
        key=f"{JUDGING}/key.json",
        verdicts=asked_verdicts,
    output:
        verdicts=VERDICTS,
    log:
        f"{LOGS}/judge_import.log",
    benchmark:
        f"{LOGS}/judge_import.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("judge_import.py"),
        script=script("judge_import.py"),
        folder=untracked(judge_settings.verdict_folder(CONFIG)),
        statistics=as_json(judge_settings.judging_statistics(CONFIG)),
    message:
        "Reading what the judges said"
    shell:
        "python {params.script:q} --key {input.key:q} --verdicts {input.verdicts:q} --folder {params.folder:q}"
        " --statistics {params.statistics:q} --output {output.verdicts:q} 2>&1 | tee {log:q}"
