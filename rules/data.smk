# From the raw file to token ids: clean, split, subset, encode.


rule clean:
    input:
        SOURCES["data"].copy,
    output:
        clean=f"{DATA}/clean.parquet",
        rejected=f"{DATA}/rejected.parquet",
        report=f"{DATA}/clean_report.json",
    log:
        f"{LOGS}/clean.log",
    benchmark:
        f"{LOGS}/clean.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=code("clean.py"),
        script=script("clean.py"),
        reading=as_typed(settings.reading_options(CONFIG)),
        cleaning=settings.cleaning_options(CONFIG),
        manifest=untracked(SOURCES["data"].manifest),
        content=content("data"),
    message:
        "Cleaning the corpus"
    shell:
        "python {params.script:q} --threads {threads} --manifest {params.manifest:q} --content {params.content}"
        " {params.reading} {params.cleaning}"
        " --output-clean {output.clean:q} --output-rejected {output.rejected:q} --output-report {output.report:q}"
        " > {log:q} 2>&1"


rule split:
    input:
        clean=f"{DATA}/clean.parquet",
    output:
        test=f"{DATA}/test.jsonl",
        validation=f"{DATA}/validation.jsonl",
        pool=f"{DATA}/pool.jsonl",
        report=f"{DATA}/split_report.json",
    log:
        f"{LOGS}/split.log",
    benchmark:
        f"{LOGS}/split.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=code("split.py"),
        script=script("split.py"),
        test_size=CONFIG["study"]["test_size"],
        validation_size=CONFIG["study"]["validation_size"],
        # A function of input is not watched: one more size must not split again, which would retrain everything.
        sizes=lambda wildcards, input: as_json(CONFIG["study"]["sizes"]),
        seed=CONFIG["study"]["split_seed"],
        threshold=CONFIG["study"]["similarity_threshold"],
    message:
        "Splitting into test, validation and pool"
    shell:
        "python {params.script:q} --threads {threads} --clean {input.clean:q} --test-size {params.test_size}"
        " --validation-size {params.validation_size} --sizes {params.sizes:q} --seed {params.seed}"
        " --similarity-threshold {params.threshold} --test {output.test:q} --validation {output.validation:q}"
        " --pool {output.pool:q} --report {output.report:q} > {log:q} 2>&1"


rule subset:
    input:
        pool=f"{DATA}/pool.jsonl",
    output:
        rows=f"{DATA}/train_{{size}}.jsonl",
        manifest=f"{DATA}/train_{{size}}.manifest.json",
    log:
        f"{LOGS}/subset_{{size}}.log",
    benchmark:
        f"{LOGS}/subset_{{size}}.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code("subset.py"),
        script=script("subset.py"),
        size=lambda wildcards: SIZES[wildcards.size],
    message:
        "Drawing the subset of {wildcards.size} rows"
    shell:
        "python {params.script:q} --pool {input.pool:q} --size {params.size} --output {output.rows:q}"
        " --manifest {output.manifest:q} > {log:q} 2>&1"


rule leak_check:
    input:
        test=f"{DATA}/test.jsonl",
        train=f"{DATA}/train_{LARGEST}.jsonl",
        split_report=f"{DATA}/split_report.json",
        general=[f"{DATA}/mix.jsonl"] if "mix" in SETS else [],
    output:
        report=f"{DATA}/leak_report.json",
    log:
        f"{LOGS}/leak_check.log",
    benchmark:
        f"{LOGS}/leak_check.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=code("leak_check.py"),
        script=script("leak_check.py"),
        similarity=CONFIG["leakage"]["similarity_threshold"],
        ngram=CONFIG["leakage"]["ngram"],
        containment=CONFIG["leakage"]["containment_threshold"],
        general=lambda wildcards, input: option("--general", input.general),
    message:
        "Looking for test questions among the training questions"
    shell:
        "python {params.script:q} --test {input.test:q} --train {input.train:q}"
        " --split-report {input.split_report:q}{params.general}"
        " --similarity-threshold {params.similarity} --ngram {params.ngram}"
        " --containment-threshold {params.containment} --output {output.report:q} > {log:q} 2>&1"


rule encode:
    input:
        SOURCES["model"].copy,
        rows=f"{DATA}/{{part}}.jsonl",
    output:
        encoded=f"{DATA}/encoded/{{part}}.parquet",
        report=f"{DATA}/encoded/{{part}}.json",
    log:
        f"{LOGS}/encode_{{part}}.log",
    benchmark:
        f"{LOGS}/encode_{{part}}.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("encode.py"),
        script=script("encode.py"),
        chat=as_typed(as_json(CONFIG["chat"])),
        max_length=CONFIG["training"]["max_length"],
        manifest=untracked(SOURCES["model"].manifest),
        content=content("model"),
    message:
        "Encoding {wildcards.part}"
    shell:
        "python {params.script:q} --model {params.manifest:q} --content {params.content} --rows {input.rows:q}"
        " --chat {params.chat:q}"
        " --max-length {params.max_length} --output {output.encoded:q} --report {output.report:q} > {log:q} 2>&1"
