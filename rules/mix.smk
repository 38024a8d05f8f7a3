# General rows that are mixed into the training rows of control runs (`study.mix`); nothing of it where there are none.


if "mix" in SETS:

    rule mix_rows:
        input:
            SETS["mix"].copy,
            test=f"{DATA}/test.jsonl",
            validation=f"{DATA}/validation.jsonl",
            split_report=f"{DATA}/split_report.json",
            retention=[f"{DATA}/retention.jsonl"] * ("retention" in SETS),
        output:
            rows=f"{DATA}/mix.jsonl",
            report=f"{DATA}/mix.json",
        log:
            f"{LOGS}/mix_rows.log",
        benchmark:
            f"{LOGS}/mix_rows.benchmark.tsv"
        conda:
            "../envs/data.yaml"
        resources:
            mem_mb=4000,
            runtime=60,
        params:
            code=code("mix_rows.py"),
            script=script("mix_rows.py"),
            options=as_typed(settings.mix_options(CONFIG)),
            cleaning=settings.cleaning_options(CONFIG),
            # A function of input is not watched: one more size must not make the rows anew.
            needed=lambda wildcards, input: settings.mix_needed(CONFIG),
            manifest=untracked(SETS["mix"].manifest),
            content=set_content("mix"),
            retention=lambda wildcards, input: option("--retention", input.retention),
        message:
            "Cleaning the general rows"
        shell:
            "python {params.script:q} --manifest {params.manifest:q} --content {params.content}"
            " {params.options} {params.cleaning} --needed {params.needed} --split-report {input.split_report:q}"
            " --test {input.test:q} --validation {input.validation:q}{params.retention}"
            " --output {output.rows:q} --report {output.report:q} > {log:q} 2>&1"

    rule mixed_subset:
        input:
            train=lambda wildcards: f"{DATA}/train_{wildcards.mixed.partition('_')[0]}.jsonl",
            manifest=lambda wildcards: f"{DATA}/train_{wildcards.mixed.partition('_')[0]}.manifest.json",
            general=f"{DATA}/mix.jsonl",
        output:
            rows=f"{DATA}/train_{{mixed}}.jsonl",
            manifest=f"{DATA}/train_{{mixed}}.manifest.json",
        log:
            f"{LOGS}/mixed_subset_{{mixed}}.log",
        benchmark:
            f"{LOGS}/mixed_subset_{{mixed}}.benchmark.tsv"
        conda:
            "../envs/data.yaml"
        resources:
            mem_mb=2000,
            runtime=30,
        params:
            code=code("mixed_subset.py"),
            script=script("mixed_subset.py"),
            wanted=lambda wildcards: mixed_rows(SIZES[wildcards.mixed.partition("_")[0]], mix_percent(CONFIG)),
        message:
            "Mixing general rows into {wildcards.mixed}"
        shell:
            "python {params.script:q} --count {params.wanted} --train {input.train:q}"
            " --manifest-of-train {input.manifest:q} --general {input.general:q}"
            " --output {output.rows:q} --manifest {output.manifest:q} > {log:q} 2>&1"
