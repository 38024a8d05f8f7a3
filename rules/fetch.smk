# The base model and the corpus. The manifest is the only declared output: partial downloads survive a kill beside it.


rule fetch_model:
    input:
        local_input("model", "local"),
    output:
        manifest=MODEL,
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
        model=as_json(without_endpoint("model")),
        conditions_sha256=(sha256_file(CONDITIONS) if CONFIG["model"]["source"] == "tiny" else ""),
    message:
        "Fetching the base model"
    shell:
        'python workflow/scripts/fetch_model.py --model {params.model:q} --endpoint="$MEDSCALE_MODEL_ENDPOINT"'
        " --conditions resources/demo/conditions.json --threads {threads} --output {output.manifest:q} > {log:q} 2>&1"


rule fetch_data:
    input:
        local_input("data", "file"),
    output:
        manifest=CORPUS,
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
        data=as_json(without_endpoint("data")),
        conditions_sha256=(sha256_file(CONDITIONS) if CONFIG["data"]["source"] == "demo" else ""),
    message:
        "Fetching the question-answer corpus"
    shell:
        'python workflow/scripts/fetch_data.py --data {params.data:q} --endpoint="$MEDSCALE_DATA_ENDPOINT"'
        " --conditions resources/demo/conditions.json --output {output.manifest:q} > {log:q} 2>&1"
