# Answers screened by the patterns of workflow/safety: a new pattern costs no prediction. The reference answers are a row of
# their own, for a corpus names doses, too.
SAFETY_PATTERNS = BASE / "workflow" / "safety"


rule safety:
    input:
        predictions=f"{RESULTS}/{{run}}/predictions.jsonl",
    output:
        safety=f"{RESULTS}/{{run}}/safety.json",
    log:
        f"{LOGS}/safety_{{run}}.log",
    benchmark:
        f"{LOGS}/safety_{{run}}.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("safety.py"),
        script=script("safety.py"),
        patterns=folder_digest(SAFETY_PATTERNS),
    message:
        "Screening the answers of {wildcards.run}"
    shell:
        "python {params.script:q} --run {wildcards.run} --predictions {input.predictions:q} --output {output.safety:q}"
        " > {log:q} 2>&1"


rule reference_safety:
    input:
        predictions=f"{RESULTS}/base/predictions.jsonl",
    output:
        safety=REFERENCE_SAFETY,
    log:
        f"{LOGS}/safety_reference.log",
    benchmark:
        f"{LOGS}/safety_reference.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("safety.py"),
        script=script("safety.py"),
        patterns=folder_digest(SAFETY_PATTERNS),
    message:
        "Screening the reference answers"
    shell:
        "python {params.script:q} --references --run reference --predictions {input.predictions:q}"
        " --output {output.safety:q} > {log:q} 2>&1"
