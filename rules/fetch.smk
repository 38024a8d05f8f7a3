# The base model, the corpus and the sets. What the study keeps of them is a copy of the manifest. The files and their own manifest
# lie under resources and are declared nowhere: partial downloads survive a kill, and several studies may share them.
# The code that fetches is no param: what it fetched is content, and its digest stands in the params of what is made of it.


rule fetch_model:
    output:
        kept=SOURCES["model"].copy,
    log:
        f"{LOGS}/fetch_model.log",
    benchmark:
        f"{LOGS}/fetch_model.benchmark.tsv"
    # Nodes of a cluster often reach no network.
    localrule: CONFIG["model"]["source"] in sources.HUBS
    conda:
        "../envs/fetch.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        script=script("fetch_model.py"),
        fetches=lambda wildcards: SOURCES["model"].fetches(sources.is_needed(CONFIG, "model")),
        options=untracked(sources.fetch_options(CONFIG, SOURCES["model"], CONDITIONS)),
        targets=untracked(as_json(sources.targets_of(CONFIG))),
    message:
        "Fetching the base model"
    shell:
        "python {params.script:q} --threads {threads} {params.options} --targets {params.targets:q}"
        " --fetches {params.fetches} --copy {output.kept:q} > {log:q} 2>&1"


rule fetch_data:
    output:
        kept=SOURCES["data"].copy,
    log:
        f"{LOGS}/fetch_data.log",
    benchmark:
        f"{LOGS}/fetch_data.benchmark.tsv"
    localrule: CONFIG["data"]["source"] in sources.HUBS
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        script=script("fetch_data.py"),
        fetches=lambda wildcards: SOURCES["data"].fetches(sources.is_needed(CONFIG, "data")),
        options=untracked(sources.fetch_options(CONFIG, SOURCES["data"], CONDITIONS)),
    message:
        "Fetching the question-answer corpus"
    shell:
        "python {params.script:q} {params.options} --fetches {params.fetches} --copy {output.kept:q} > {log:q} 2>&1"


rule fetch_set:
    output:
        kept=f"{DATA}/sets/{{set}}.json",
    log:
        f"{LOGS}/fetch_{{set}}.log",
    benchmark:
        f"{LOGS}/fetch_{{set}}.benchmark.tsv"
    localrule: any(source.request["source"] in sources.HUBS for source in SETS.values())
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        script=script("fetch_set.py"),
        fetches=lambda wildcards: SETS[wildcards.set].fetches(sources.is_set_needed(CONFIG, wildcards.set)),
        options=lambda wildcards, input: sources.set_options(CONFIG, wildcards.set, SETS[wildcards.set], CONDITIONS),
    message:
        "Fetching {wildcards.set}"
    shell:
        "python {params.script:q} {params.options} --fetches {params.fetches} --copy {output.kept:q} > {log:q} 2>&1"
