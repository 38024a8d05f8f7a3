# All runs compared: tables, plots, recommendation and report, and a record of each run.
PLOTS = ("data_scale_comparison", "method_comparison", "loss_curves", "scaling", "pareto")
EXAMINED_PLOTS = ["knowledge"] * bool(EXAMINED)
# The same pictures in other formats, beside the PNG files.
vector_files = lambda start, *names: [f"{start}{name}.{kind}" for name in names for kind in CONFIG["plots"]["vector"]]


rule aggregate:
    input:
        evals=of_every("eval.json", ROWS),
        scores=of_every("scores.parquet", ROWS),
        training_logs=of_every("train_log.csv", RUNS),
        leak_report=f"{DATA}/leak_report.json",
        exams=of_every("exams.parquet", EXAMINED),
        retention=of_every("retention.parquet", EXAMINED),
        pilots=[f"{RESULTS}/pilot/{method}.json" for method in PILOTS],
    output:
        table=report(
            f"{SUMMARY}/results_summary.csv",
            caption="../workflow/report/results_summary.rst",
            category="Results",
        ),
        configurations=report(
            f"{SUMMARY}/configurations.csv",
            caption="../workflow/report/configurations.rst",
            category="Results",
        ),
        comparisons=report(
            f"{SUMMARY}/comparisons.csv",
            caption="../workflow/report/comparisons.rst",
            category="Results",
        ),
        power=f"{SUMMARY}/power.csv",
        scaling_fit=f"{SUMMARY}/scaling_fit.json",
        recommendation=report(
            f"{SUMMARY}/recommendation.json",
            caption="../workflow/report/recommendation.rst",
            category="Results",
        ),
        scale=report(
            f"{SUMMARY}/data_scale_comparison.png",
            caption="../workflow/report/data_scale_comparison.rst",
            category="Results",
        ),
        methods=report(
            f"{SUMMARY}/method_comparison.png",
            caption="../workflow/report/method_comparison.rst",
            category="Results",
        ),
        losses=report(
            f"{SUMMARY}/loss_curves.png",
            caption="../workflow/report/loss_curves.rst",
            category="Results",
        ),
        scaling=report(
            f"{SUMMARY}/scaling.png",
            caption="../workflow/report/scaling.rst",
            category="Results",
        ),
        pareto=report(
            f"{SUMMARY}/pareto.png",
            caption="../workflow/report/pareto.rst",
            category="Results",
        ),
        # What exams and general texts tell, in a study that has some.
        knowledge=[f"{SUMMARY}/{name}.csv" for name in ("knowledge", "knowledge_comparisons") if EXAMINED],
        known=report(
            [f"{SUMMARY}/{name}.png" for name in EXAMINED_PLOTS],
            caption="../workflow/report/knowledge.rst",
            category="Results",
        ),
        rates=[f"{SUMMARY}/learning_rates.{kind}" for kind in ("json", "png") if PILOTS],
        vector=vector_files(f"{SUMMARY}/", *PLOTS, *EXAMINED_PLOTS, *(["learning_rates"] if PILOTS else [])),
    log:
        f"{LOGS}/aggregate.log",
    benchmark:
        f"{LOGS}/aggregate.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("aggregate.py"),
        script=script("aggregate.py"),
        statistics=as_json(CONFIG["statistics"]),
        recommendation=as_typed(as_json(CONFIG["recommendation"])),
        scaling=as_json(CONFIG["scaling"]),
        leakage=as_json(CONFIG["leakage"]),
        plots=as_json(CONFIG["plots"]),
        examined="--examined" if EXAMINED else "",
    message:
        "Comparing all runs"
    shell:
        "python {params.script:q} --evals {input.evals:q} --training-logs {input.training_logs:q}"
        " --leak-report {input.leak_report:q} --statistics {params.statistics:q} --scaling {params.scaling:q}"
        " --recommendation {params.recommendation:q} --leakage {params.leakage:q} --plots {params.plots:q} --pilots {input.pilots:q}"
        ' {params.examined} --output-folder "$(dirname {output.table:q})" > {log:q} 2>&1'


rule report:
    input:
        rules.aggregate.output,
        evals=of_every("eval.json", ROWS),
        predictions=of_every("predictions.jsonl", ROWS),
        scores=of_every("scores.parquet", ROWS),
        training_logs=of_every("train_log.csv", RUNS),
        test=f"{DATA}/test.jsonl",
        clean_report=f"{DATA}/clean_report.json",
        split_report=f"{DATA}/split_report.json",
        leak_report=f"{DATA}/leak_report.json",
        mix=[f"{DATA}/mix.json"] if "mix" in SETS else [],
        model=SOURCES["model"].copy,
        corpus=SOURCES["data"].copy,
        exams=[f"{DATA}/exams/{exam}.json" for exam in CONFIG["evaluation"]["exams"]],
        safety=of_every("safety.json", ROWS),
        reference_safety=REFERENCE_SAFETY,
    output:
        page=report(
            f"{SUMMARY}/report.html",
            caption="../workflow/report/report.rst",
            category="Report",
        ),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{LOGS}/report.benchmark.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        code=code("report.py"),
        script=script("report.py"),
        pilots="--pilots" if PILOTS else "",
        template=folder_digest(BASE / "workflow" / "report" / "template"),
        examined="--examined" if EXAMINED else "",
        config=as_typed(as_json(settings.shared_config(export_settings.without_export(CONFIG)))),
        # No input: who asks for the report asks for no judge. What judges said counts where it is there.
        verdicts_content=lambda wildcards: judge_settings.digest_where_there(VERDICTS),
        verdicts=lambda wildcards, input: option("--verdicts", VERDICTS if Path(VERDICTS).is_file() else None),
        mix=lambda wildcards, input: option("--mix-report", input.mix),
    message:
        "Writing the report"
    shell:
        'python {params.script:q} --summary "$(dirname {output.page:q})" --evals {input.evals:q}'
        " --predictions {input.predictions:q} --scores {input.scores:q} --training-logs {input.training_logs:q}"
        " --test {input.test:q} --clean-report {input.clean_report:q} --split-report {input.split_report:q}"
        " --leak-report {input.leak_report:q}{params.mix} --model-manifest {input.model:q} --data-manifest {input.corpus:q}"
        " --safety {input.safety:q} {input.reference_safety:q} {params.verdicts} --exams {input.exams:q}"
        " --config {params.config:q} {params.pilots} {params.examined} --output {output.page:q} > {log:q} 2>&1"


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
        vector=vector_files(f"{RESULTS}/{{tuned}}/", "loss_curve"),
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
        script=script("record.py"),
        plots=as_json(CONFIG["plots"]),
        seeds=lambda wildcards: settings.record_options(CONFIG, RUNS[wildcards.tuned]),
    message:
        "Writing the record of {wildcards.tuned}"
    shell:
        "python {params.script:q} --eval {input.eval:q} --training {input.training:q} --train-log {input.train_log:q}"
        " --inference {input.inference:q} --output {output.record:q} --plot {output.plot:q} --plots {params.plots:q}{params.seeds} > {log:q} 2>&1"
