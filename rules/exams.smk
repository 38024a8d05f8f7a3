# The exams: their questions from whatever files they come in, and which of them training knows.


rule exam_questions:
    input:
        f"{DATA}/sets/exam_{{exam}}.json",
        # The demo's exam asks for facts that training rows hold and for facts that none holds.
        train=lambda wildcards: settings.exam_training(CONFIG, wildcards.exam, f"{DATA}/train_{LARGEST}.jsonl"),
    output:
        questions=f"{DATA}/exams/{{exam}}.jsonl",
        rejected=f"{DATA}/exams/{{exam}}.rejected.parquet",
        report=f"{DATA}/exams/{{exam}}.json",
    log:
        f"{LOGS}/exam_questions_{{exam}}.log",
    benchmark:
        f"{LOGS}/exam_questions_{{exam}}.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code("exam_questions.py"),
        script=script("exam_questions.py"),
        reading=lambda wildcards: as_json(settings.exam_settings(CONFIG, wildcards.exam)),
        # Which questions can be scored is told here, and not by the first model that is to answer them.
        scored_by=lambda wildcards: CONFIG["evaluation"]["exams"][wildcards.exam]["scored_by"],
        # Subjects may be told by the files' names, which are no part of their content.
        names=lambda wildcards: SETS[f"exam_{wildcards.exam}"].own_names(),
        manifest=lambda wildcards, input: SETS[f"exam_{wildcards.exam}"].manifest,
        content=set_content("exam_{exam}"),
        train=lambda wildcards, input: option("--train", input.get("train")),
    message:
        "Reading the questions of {wildcards.exam}"
    shell:
        "python {params.script:q} --name {wildcards.exam:q} --manifest {params.manifest:q} --content {params.content}"
        " --exam {params.reading:q} --scored-by {params.scored_by}{params.train}"
        " --output {output.questions:q} --rejected {output.rejected:q} --report {output.report:q} > {log:q} 2>&1"


rule exam_leak:
    input:
        questions=f"{DATA}/exams/{{exam}}.jsonl",
        train=f"{DATA}/train_{LARGEST}.jsonl",
        general=[f"{DATA}/mix.jsonl"] if "mix" in SETS else [],
    output:
        report=f"{DATA}/exams/{{exam}}.leak.json",
    log:
        f"{LOGS}/exam_leak_{{exam}}.log",
    benchmark:
        f"{LOGS}/exam_leak_{{exam}}.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=4000,
        runtime=120,
    params:
        code=code("exam_leak.py"),
        script=script("exam_leak.py"),
        similarity=CONFIG["leakage"]["similarity_threshold"],
        ngram=CONFIG["leakage"]["ngram"],
        containment=CONFIG["leakage"]["containment_threshold"],
        general=lambda wildcards, input: option("--general", input.general),
    message:
        "Looking for the questions of {wildcards.exam} among the training rows"
    shell:
        "python {params.script:q} --name {wildcards.exam:q} --questions {input.questions:q} --train {input.train:q}"
        "{params.general} --similarity-threshold {params.similarity} --ngram {params.ngram}"
        " --containment-threshold {params.containment} --output {output.report:q} > {log:q} 2>&1"
