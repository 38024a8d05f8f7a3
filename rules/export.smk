# A run to take away, on request: `snakemake results/qlora_100k/export`. No part of `all`: it takes the room of the model.


rule export:
    input:
        SOURCES["model"].copy,
        corpus=SOURCES["data"].copy,
        adapter=lambda wildcards: f"{RESULTS}/{exported(wildcards).name}/adapter",
        training=f"{RESULTS}/{{run}}/training.json",
        predictions=f"{RESULTS}/{{run}}/predictions.jsonl",
        inference=f"{RESULTS}/{{run}}/inference.json",
        eval=f"{RESULTS}/{{run}}/eval.json",
        test=f"{DATA}/test.jsonl",
        clean_report=f"{DATA}/clean_report.json",
        split_report=f"{DATA}/split_report.json",
    output:
        directory(f"{RESULTS}/{{run}}/export"),
    log:
        f"{LOGS}/export_{{run}}.log",
    benchmark:
        f"{LOGS}/export_{{run}}.benchmark.tsv"
    conda:
        "../envs/export.yaml"
    threads: 2
    resources:
        gpu=1,
        mem_mb=16000,
        runtime=240,
    params:
        code=code("export.py"),
        script=script("export.py"),
        texts=folder_digest(BASE / "workflow" / "export"),
        settings=lambda wildcards: as_json(export_settings.export_settings(CONFIG, exported(wildcards))),
        method=lambda wildcards: exported(wildcards).method,
        manifest=untracked(SOURCES["model"].manifest),
        content=content("model"),
        converter=lambda wildcards, input: option("--converter", CONFIG["export"]["gguf_converter"]),
    message:
        "Exporting {wildcards.run}"
    shell:
        "python {params.script:q} --run {wildcards.run} --method {params.method} --settings {params.settings:q}"
        " --threads {threads} --model {params.manifest:q} --content {params.content} {params.converter}"
        " --adapter {input.adapter:q} --training {input.training:q} --predictions {input.predictions:q}"
        " --inference {input.inference:q} --eval {input.eval:q} --test {input.test:q}"
        " --clean-report {input.clean_report:q} --split-report {input.split_report:q} --corpus {input.corpus:q}"
        " --output {output:q} 2>&1 | tee {log:q}"
