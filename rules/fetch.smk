# The base model and the corpus. The manifest is the only declared output: partial downloads survive a kill beside it.


def local_input(section, kind):
    """Return the user's own file or directory as an input, so that a change of it is noticed."""
    if CONFIG[section]["source"] != kind:
        return []
    path = Path(CONFIG[section]["path"])
    if not path.exists():
        raise WorkflowError(
            f"{section}.path = {path}: there is no such {'directory' if kind == 'local' else 'file'}"
        )
    if path.is_dir():
        return sorted(
            str(file)
            for file in path.iterdir()
            if file.suffix in (".json", ".safetensors", ".model")
        )
    return str(path)


rule fetch_model:
    input:
        local_input("model", "local"),
    output:
        manifest=MODEL,
    log:
        f"{LOGS}/fetch_model.log",
    benchmark:
        f"{LOGS}/fetch_model.benchmark.tsv"
    conda:
        "../envs/fetch.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        code=code("fetch_model.py"),
        model=as_json(without_endpoint("model")),
        conditions_sha256=(
            sha256_file(CONDITIONS) if CONFIG["model"]["source"] == "tiny" else ""
        ),
    message:
        "Fetching the base model"
    shell:
        "python {SCRIPTS}/fetch_model.py --model {params.model:q} --endpoint={MODEL_ENDPOINT:q}"
        " --conditions {CONDITIONS:q} --threads {threads} --output {output.manifest:q} > {log:q} 2>&1"


rule fetch_data:
    input:
        local_input("data", "file"),
    output:
        manifest=CORPUS,
    log:
        f"{LOGS}/fetch_data.log",
    benchmark:
        f"{LOGS}/fetch_data.benchmark.tsv"
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        code=code("fetch_data.py"),
        data=as_json(without_endpoint("data")),
        conditions_sha256=(
            sha256_file(CONDITIONS) if CONFIG["data"]["source"] == "demo" else ""
        ),
    message:
        "Fetching the question-answer corpus"
    shell:
        "python {SCRIPTS}/fetch_data.py --data {params.data:q} --endpoint={DATA_ENDPOINT:q}"
        " --conditions {CONDITIONS:q} --output {output.manifest:q} > {log:q} 2>&1"
