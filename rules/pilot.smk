# Which learning rate suits a method: a short training at each of a few rates, one GPU job a method, judged on validation
# rows. What is finished of it is not declared: it must outlive a job that was killed.


rule pilot:
    input:
        SOURCES["model"].copy,
        train=lambda wildcards: [f"{DATA}/encoded/train_{end.size_label}.parquet" for end in PILOTS[wildcards.method]],
        validation=f"{DATA}/encoded/validation.parquet",
    output:
        pilot=f"{RESULTS}/pilot/{{method}}.json",
    log:
        f"{LOGS}/pilot_{{method}}.log",
    benchmark:
        f"{LOGS}/pilot_{{method}}.benchmark.tsv"
    wildcard_constraints:
        method="|".join(PILOTS) or "none",
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=720,
        largest=settings.largest_method(CONFIG),
    params:
        code=code("pilot.py"),
        script=script("pilot.py"),
        settings=lambda wildcards: as_json(pilot_plan(wildcards.method)),
        seed=lambda wildcards: PILOTS[wildcards.method][0].seed,
        # Who computes which rows makes no training another one, so this is not watched.
        micro_batch=lambda wildcards, input: as_json(
            {end.size_label: settings.micro_batch(CONFIG, end) for end in PILOTS[wildcards.method]}
        ),
        train=lambda wildcards, input: [
            f"{end.size_label}={path}" for end, path in zip(PILOTS[wildcards.method], input.train)
        ],
        kept=lambda wildcards, input: f"{RESULTS}/pilot/checkpoints/{wildcards.method}",
        manifest=untracked(SOURCES["model"].manifest),
        content=content("model"),
    message:
        "Trying learning rates for {wildcards.method}"
    shell:
        "python {params.script:q} --method {wildcards.method} --seed {params.seed} --settings {params.settings:q}"
        " --micro-batch {params.micro_batch:q} --largest {resources.largest} --threads {threads}"
        " --model {params.manifest:q} --content {params.content} --train {params.train:q}"
        " --validation {input.validation:q} --kept {params.kept:q} --output {output.pilot:q}"
        ' 2>&1 | if [ -n "${{MEDSCALE_VIEW:-}}" ]; then cat > {log:q}; else tee {log:q}; fi'
