# The backup of what is finished, and its way back, on request: `snakemake backup`, `snakemake restore`. Neither has
# inputs or outputs for Snakemake: they take what is there. (A benchmark file would count as an output.)


rule backup:
    log:
        f"{LOGS}/backup.log",
    localrule: True
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        code=code("backup.py"),
        script=script("backup.py"),
        path=as_typed(CONFIG["backup"]["path"] or ""),
        checkpoints=as_json(CONFIG["backup"]["checkpoints"]),
        results=RESULTS,
        logs=LOGS,
        rows=ROWS,
        configuration=as_typed(as_json(settings.portable_config(export_settings.without_private(CONFIG)))),
    message:
        "Backing up what is finished"
    shell:
        "python {params.script:q} backup --results={params.results:q} --logs={params.logs:q} --path={params.path:q}"
        " --rows {params.rows:q} --checkpoints {params.checkpoints} --configuration {params.configuration:q}"
        " 2>&1 | tee {log:q}"


rule restore:
    log:
        f"{LOGS}/restore.log",
    localrule: True
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=1000,
        runtime=240,
    params:
        code=code("backup.py"),
        script=script("backup.py"),
        path=as_typed(CONFIG["backup"]["path"] or ""),
        results=RESULTS,
        logs=LOGS,
        configuration=as_typed(as_json(settings.portable_config(export_settings.without_private(CONFIG)))),
    message:
        "Restoring a backup"
    shell:
        "python {params.script:q} restore --results={params.results:q} --logs={params.logs:q} --path={params.path:q}"
        " --configuration {params.configuration:q} 2>&1 | tee {log:q}"
