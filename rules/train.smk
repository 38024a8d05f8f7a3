# One fine-tuning a run, one GPU job at a time. Checkpoints are not declared: they must outlive a job that was killed.


rule finetune:
    input:
        model=MODEL,
        train=lambda wildcards: f"{DATA}/encoded/train_{RUNS[wildcards.tuned].size_label}.parquet",
        train_report=lambda wildcards: f"{DATA}/encoded/train_{RUNS[wildcards.tuned].size_label}.json",
        validation=f"{DATA}/encoded/validation.parquet",
        test=f"{DATA}/test.jsonl",
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
        gpu=1,
        mem_mb=16000,
        runtime=1440,
        micro_batch=micro_batch,
    params:
        code=code("finetune.py"),
        fingerprint=lambda wildcards: fingerprint(wildcards.tuned),
        settings=lambda wildcards: as_json(training_settings(wildcards)),
        method=lambda wildcards: RUNS[wildcards.tuned].method,
        seed=lambda wildcards: RUNS[wildcards.tuned].seed,
    message:
        "Fine-tuning {wildcards.tuned}"
    shell:
        "python workflow/scripts/finetune.py --run {wildcards.tuned} --method {params.method} --seed {params.seed}"
        " --settings {params.settings:q} --micro-batch {resources.micro_batch} --fingerprint {params.fingerprint}"
        " --threads {threads} --model {input.model:q} --train {input.train:q} --train-report {input.train_report:q}"
        " --validation {input.validation:q} --test {input.test:q} --adapter {output.adapter:q}"
        " --training {output.training:q} --train-log {output.train_log:q} --tensorboard {output.tensorboard:q}"
        " 2>&1 | tee {log:q}"
