# The base model and the corpus. What the study keeps of them is a copy of the manifest. The files and their own manifest
# lie under resources and are declared nowhere: partial downloads survive a kill, and several studies may share them.
# An `update` output is not deleted before its job: while the same thing is fetched from elsewhere, results stay valid.


rule fetch_model:
    output:
        kept=update(SOURCES["model"].copy),
    log:
        f"{LOGS}/fetch_model.log",
    benchmark:
        f"{LOGS}/fetch_model.benchmark.tsv"
    # Nodes of a cluster often reach no network.
    localrule: CONFIG["model"]["source"] in HUBS
    conda:
        "../envs/fetch.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        code=code("fetch_model.py"),
        script=script("fetch_model.py"),
        request=as_json(SOURCES["model"].fetch_params()),
        fetches=lambda wildcards: SOURCES["model"].fetches(is_needed("model")),
        options=fetch_options("model"),
    message:
        "Fetching the base model"
    shell:
        "python {params.script:q} --threads {threads} {params.options} --fetches {params.fetches} --copy {output.kept:q}"
        " > {log:q} 2>&1"


rule fetch_data:
    output:
        kept=update(SOURCES["data"].copy),
    log:
        f"{LOGS}/fetch_data.log",
    benchmark:
        f"{LOGS}/fetch_data.benchmark.tsv"
    localrule: CONFIG["data"]["source"] in HUBS
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        code=code("fetch_data.py"),
        script=script("fetch_data.py"),
        request=as_json(SOURCES["data"].fetch_params()),
        fetches=lambda wildcards: SOURCES["data"].fetches(is_needed("data")),
        options=fetch_options("data"),
    message:
        "Fetching the question-answer corpus"
    shell:
        "python {params.script:q} {params.options} --fetches {params.fetches} --copy {output.kept:q} > {log:q} 2>&1"
