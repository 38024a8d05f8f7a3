# Prediction needs the GPU; scoring and evaluation do not, so a new metric never costs a GPU hour.


rule predict:
    input:
        SOURCES["model"].copy,
        test=f"{DATA}/test.jsonl",
        adapter=tuned_input("adapter"),
        training=tuned_input("training.json"),
    output:
        predictions=f"{RESULTS}/{{model}}/predictions.jsonl",
        inference=f"{RESULTS}/{{model}}/inference.json",
    log:
        f"{LOGS}/predict_{{model}}.log",
    benchmark:
        f"{LOGS}/predict_{{model}}.benchmark.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=720,
    params:
        code=code("predict.py"),
        script=script("predict.py"),
        fingerprint=lambda wildcards: fingerprint(wildcards.model),
        settings=lambda wildcards: as_json(settings.prediction_settings(CONFIG, RUNS.get(wildcards.model))),
        method=lambda wildcards: (RUNS[wildcards.model].method if wildcards.model in RUNS else "base"),
        manifest=untracked(SOURCES["model"].manifest),
        content=content("model"),
        adapter=lambda wildcards, input: (option("--adapter", input.adapter) + option("--training", input.training)),
    message:
        "Predicting with {wildcards.model}"
    shell:
        "python {params.script:q} --run {wildcards.model} --method {params.method} --settings {params.settings:q}"
        " --fingerprint {params.fingerprint} --threads {threads} --model {params.manifest:q} --content {params.content} {params.adapter}"
        " --test {input.test:q} --output {output.predictions:q} --inference {output.inference:q}"
        ' 2>&1 | if [ -n "${{MEDSCALE_VIEW:-}}" ]; then cat > {log:q}; else tee {log:q}; fi'


rule floor:
    input:
        train=f"{DATA}/train_{LARGEST}.jsonl",
        test=f"{DATA}/test.jsonl",
    output:
        predictions=f"{RESULTS}/floor_{{floor}}/predictions.jsonl",
        inference=f"{RESULTS}/floor_{{floor}}/inference.json",
    log:
        f"{LOGS}/floor_{{floor}}.log",
    benchmark:
        f"{LOGS}/floor_{{floor}}.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("floor.py"),
        script=script("floor.py"),
        seed=CONFIG["study"]["split_seed"],
        max_samples=as_json(CONFIG["evaluation"]["max_samples"]),
    message:
        "Answering without a model: {wildcards.floor}"
    shell:
        "python {params.script:q} --floor {wildcards.floor} --run floor_{wildcards.floor} --train {input.train:q}"
        " --test {input.test:q} --max-samples {params.max_samples} --seed {params.seed}"
        " --output {output.predictions:q} --inference {output.inference:q} > {log:q} 2>&1"


rule score:
    input:
        predictions=f"{RESULTS}/{{run}}/predictions.jsonl",
    output:
        scores=f"{RESULTS}/{{run}}/scores.parquet",
    log:
        f"{LOGS}/score_{{run}}.log",
    benchmark:
        f"{LOGS}/score_{{run}}.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code("score.py"),
        script=script("score.py"),
        extra_metrics=as_json(CONFIG["evaluation"]["extra_metrics"]),
        bertscore_content=BERTSCORE,
        bertscore=lambda wildcards, input: option("--bertscore-model", settings.bertscore_model(CONFIG)),
    message:
        "Scoring {wildcards.run}"
    shell:
        "python {params.script:q} --predictions {input.predictions:q} --extra-metrics {params.extra_metrics:q}"
        " {params.bertscore}"
        " --workers {threads} --output {output.scores:q} > {log:q} 2>&1"


rule evaluate:
    input:
        scores=f"{RESULTS}/{{run}}/scores.parquet",
        predictions=f"{RESULTS}/{{run}}/predictions.jsonl",
        inference=f"{RESULTS}/{{run}}/inference.json",
        training=tuned_input("training.json"),
        exams=examined_input("exams.parquet"),
        retention=examined_input("retention.parquet"),
        examination=examined_input("examination.json"),
        leaks=leaks_input,
    output:
        eval=f"{RESULTS}/{{run}}/eval.json",
    log:
        f"{LOGS}/evaluate_{{run}}.log",
    benchmark:
        f"{LOGS}/evaluate_{{run}}.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("evaluate.py"),
        script=script("evaluate.py"),
        fingerprint=lambda wildcards: fingerprint(wildcards.run),
        run=lambda wildcards: settings.run_options(RUNS.get(wildcards.run), wildcards.run),
        resamples=CONFIG["evaluation"]["bootstrap_resamples"],
        training=lambda wildcards, input: option("--training", input.training),
        examined=lambda wildcards, input: settings.examined_options(input),
    message:
        "Evaluating {wildcards.run}"
    shell:
        "python {params.script:q} --run {wildcards.run} {params.run} --scores {input.scores:q}"
        " --predictions {input.predictions:q} --inference {input.inference:q} {params.training} {params.examined}"
        " --resamples {params.resamples} --output {output.eval:q} > {log:q} 2>&1"
