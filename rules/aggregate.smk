# All runs in one table and three pictures, and a record of each run.


rule aggregate:
    input:
        evals=expand(f"{RESULTS}/{{run}}/eval.json", run=MODELS),
        training_logs=expand(f"{RESULTS}/{{run}}/train_log.csv", run=RUNS),
    output:
        table=report(
            f"{RESULTS}/summary/results_summary.csv",
            caption="../workflow/report/results_summary.rst",
            category="Results",
        ),
        scale=report(
            f"{RESULTS}/summary/data_scale_comparison.png",
            caption="../workflow/report/data_scale_comparison.rst",
            category="Results",
        ),
        methods=report(
            f"{RESULTS}/summary/method_comparison.png",
            caption="../workflow/report/method_comparison.rst",
            category="Results",
        ),
        losses=report(
            f"{RESULTS}/summary/loss_curves.png",
            caption="../workflow/report/loss_curves.rst",
            category="Results",
        ),
    log:
        f"{LOGS}/aggregate.log",
    benchmark:
        f"{LOGS}/aggregate.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("aggregate.py"),
    message:
        "Drawing table and plots"
    shell:
        "python workflow/scripts/aggregate.py --evals {input.evals:q} --training-logs {input.training_logs:q}"
        " --output-folder $(dirname {output.table:q}) 2>&1 | tee {log:q}"


rule record:
    input:
        eval=f"{RESULTS}/{{tuned}}/eval.json",
        training=f"{RESULTS}/{{tuned}}/training.json",
        train_log=f"{RESULTS}/{{tuned}}/train_log.csv",
        inference=f"{RESULTS}/{{tuned}}/inference.json",
    output:
        record=report(
            f"{RESULTS}/{{tuned}}/record.md",
            caption="../workflow/report/record.rst",
            category="Runs",
            labels={"run": "{tuned}"},
        ),
        plot=report(
            f"{RESULTS}/{{tuned}}/loss_curve.png",
            caption="../workflow/report/record.rst",
            category="Runs",
            labels={"run": "{tuned}"},
        ),
    log:
        f"{LOGS}/record_{{tuned}}.log",
    benchmark:
        f"{LOGS}/record_{{tuned}}.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("record.py"),
    message:
        "Writing the record of {wildcards.tuned}"
    shell:
        "python workflow/scripts/record.py --eval {input.eval:q} --training {input.training:q} --train-log {input.train_log:q}"
        " --inference {input.inference:q} --output {output.record:q} --plot {output.plot:q} > {log:q} 2>&1"
