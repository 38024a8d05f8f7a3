# One fine-tuning a run, one GPU job at a time. Checkpoints are not declared: they must outlive a job that was killed.


rule finetune:
    input:
        SOURCES["model"].copy,
        train=lambda wildcards: f"{DATA}/encoded/{RUNS[wildcards.tuned].part}.parquet",
        train_report=lambda wildcards: f"{DATA}/encoded/{RUNS[wildcards.tuned].part}.json",
        validation=f"{DATA}/encoded/validation.parquet",
        test=f"{DATA}/test.jsonl",
        pilot=lambda wildcards: pilot_of(RUNS[wildcards.tuned]),
    output:
        adapter=directory(f"{RESULTS}/{{tuned}}/adapter"),
        training=f"{RESULTS}/{{tuned}}/training.json",
        train_log=f"{RESULTS}/{{tuned}}/train_log.csv",
        tensorboard=directory(f"{RESULTS}/{{tuned}}/tensorboard"),
    log:
        f"{LOGS}/finetune_{{tuned}}.log",
    benchmark:
        f"{LOGS}/finetune_{{tuned}}.benchmark.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        gpu=lambda wildcards: settings.gpus(CONFIG, RUNS[wildcards.tuned]),
        mem_mb=16000,
        runtime=1440,
        micro_batch=lambda wildcards: settings.micro_batch(CONFIG, RUNS[wildcards.tuned]),
        gpus_asked=lambda wildcards: settings.gpus(CONFIG, RUNS[wildcards.tuned]),
        largest=settings.largest_method(CONFIG),
    params:
        code=code("finetune.py"),
        script=script("finetune.py"),
        fingerprint=lambda wildcards: fingerprint(wildcards.tuned),
        # Of a run that takes a pilot's rate, the training is known by the rate and not by the grid.
        trained=lambda wildcards: fingerprint(wildcards.tuned, choice=False),
        pilot=lambda wildcards, input: (
            option("--pilot", input.pilot) + option("--size", input.pilot and RUNS[wildcards.tuned].size)
        ),
        settings=lambda wildcards: as_json(settings.training_settings(CONFIG, RUNS[wildcards.tuned])),
        method=lambda wildcards: RUNS[wildcards.tuned].method,
        seed=lambda wildcards: RUNS[wildcards.tuned].seed,
        # Where the losses go makes no training another one, so this is not watched.
        trackers=lambda wildcards, input: settings.tracker_options(CONFIG, RUNS[wildcards.tuned]),
        manifest=untracked(SOURCES["model"].manifest),
        content=content("model"),
    message:
        "Fine-tuning {wildcards.tuned}"
    shell:
        "python {params.script:q} --run {wildcards.tuned} --method {params.method} --seed {params.seed}"
        " --settings {params.settings:q} --micro-batch {resources.micro_batch} --largest {resources.largest} --gpus {resources.gpus_asked} --granted {resources.gpu} --fingerprint {params.trained}{params.pilot}"
        " --threads {threads} --model {params.manifest:q} --content {params.content} --train {input.train:q} --train-report {input.train_report:q}"
        " --validation {input.validation:q} --test {input.test:q} --adapter {output.adapter:q}"
        " --training {output.training:q} --train-log {output.train_log:q} --tensorboard {output.tensorboard:q}"
        " {params.trackers}"
        ' 2>&1 | if [ -n "${{MEDSCALE_VIEW:-}}" ]; then cat > {log:q}; else tee {log:q}; fi'
