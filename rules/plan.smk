# The forecast, on request: `snakemake plan`. It uses what is there and makes nothing of the study, so it has neither
# inputs nor outputs for Snakemake: a call measures anew. (A benchmark file would count as an output.)


rule plan:
    log:
        f"{LOGS}/plan.log",
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=60,
    params:
        code=code("plan.py"),
        script=script("plan.py"),
        config=as_typed(as_json(CONFIG)),
        corpus=as_typed(SOURCES["data"].manifest),
        model=as_typed(SOURCES["model"].manifest),
        sets=as_typed(as_json({name: SETS[name].manifest for name in SETS})),
        # " --configfile my.yaml" of this call: without it the commands that the plan tells are of another study.
        options=as_typed(settings.with_configfiles(workflow.config_settings.configfiles)),
        output=f"{RESULTS}/plan",
    message:
        "Forecasting what the study will take"
    shell:
        "python {params.script:q} --config {params.config:q} --corpus {params.corpus:q} --model {params.model:q} --sets {params.sets:q}"
        " --options={params.options:q} --threads {threads} --output {params.output:q} 2>&1 | tee {log:q}"
