# Exams and general texts cost one more loading of each model and no training. What was computed of an exam lies in files
# that are not declared, named by what decides it: a new or a changed exam costs its own questions only.


rule retention_texts:
    input:
        [SETS[name].copy for name in SETS.keys() & {"retention"}],
    output:
        texts=f"{DATA}/retention.jsonl",
    log:
        f"{LOGS}/retention_texts.log",
    benchmark:
        f"{LOGS}/retention_texts.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("retention_texts.py"),
        script=script("retention_texts.py"),
        settings=lambda wildcards: as_json(settings.retention_settings(CONFIG)),
        manifest=lambda wildcards, input: SETS["retention"].manifest,
        content=set_content("retention"),
    message:
        "Drawing the general texts"
    shell:
        "python {params.script:q} --manifest {params.manifest:q} --content {params.content} --settings {params.settings:q}"
        " --output {output.texts:q} > {log:q} 2>&1"


rule examine:
    input:
        SOURCES["model"].copy,
        adapter=tuned_input("adapter"),
        training=tuned_input("training.json"),
        exams=[f"{DATA}/exams/{exam}.jsonl" for exam in CONFIG["evaluation"]["exams"]],
        retention=[f"{DATA}/retention.jsonl"] * ("retention" in SETS),
    output:
        exams=f"{RESULTS}/{{model}}/exams.parquet",
        retention=f"{RESULTS}/{{model}}/retention.parquet",
        examination=f"{RESULTS}/{{model}}/examination.json",
    log:
        f"{LOGS}/examine_{{model}}.log",
    benchmark:
        f"{LOGS}/examine_{{model}}.benchmark.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=720,
    params:
        code=code("examine.py"),
        script=script("examine.py"),
        fingerprint=lambda wildcards: fingerprint(wildcards.model),
        settings=lambda wildcards: as_json(settings.examination_settings(CONFIG, RUNS.get(wildcards.model))),
        method=lambda wildcards: (RUNS[wildcards.model].method if wildcards.model in RUNS else "base"),
        manifest=untracked(SOURCES["model"].manifest),
        content=content("model"),
        adapter=lambda wildcards, input: (option("--adapter", input.adapter) + option("--training", input.training)),
        retention=lambda wildcards, input: option("--retention", input.retention),
    message:
        "Examining {wildcards.model}"
    shell:
        "python {params.script:q} --run {wildcards.model} --method {params.method} --settings {params.settings:q}"
        " --fingerprint {params.fingerprint} --threads {threads} --model {params.manifest:q} --content {params.content} {params.adapter}"
        " --exams {input.exams:q} {params.retention} --answers {output.exams:q} --texts {output.retention:q}"
        " --examination {output.examination:q}"
        ' 2>&1 | if [ -n "${{MEDSCALE_VIEW:-}}" ]; then cat > {log:q}; else tee {log:q}; fi'
