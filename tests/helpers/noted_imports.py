"""Which of the libraries that take long to import the jobs import, noted while they run, and which they may."""

import json
import os
from pathlib import Path

SLOW = {
    *("accelerate", "bitsandbytes", "bm25s", "datasets", "httpx2", "huggingface_hub", "jieba", "jsonschema"),
    *("matplotlib", "modelscope", "modelscope_hub", "numpy", "pandas", "peft", "pyarrow", "rapidfuzz", "requests"),
    *("scipy", "seaborn", "sklearn", "snakemake", "tensorboard", "torch", "transformers", "vllm"),
}

# transformers imports the client of the hub whatever it loads, and scipy for a loss of its own; PyArrow imports pandas
# for every array that it makes from a list.
TOKENIZER = {"transformers", "huggingface_hub", "httpx2", "numpy"}
MODEL = TOKENIZER | {"torch", "accelerate", "scipy"}
ARROW = {"numpy", "pandas", "pyarrow"}
TRAINING = MODEL | ARROW | {"peft", "datasets", "tensorboard"}

USES = {
    "backup": set(),
    "check_config": set(),
    "fetch_data": set(),
    "fetch_model": MODEL,
    "clean": ARROW,
    "split": ARROW,
    "subset": set(),
    "encode": TOKENIZER | ARROW,
    "leak_check": {"numpy", "scipy"},
    "fetch_set": set(),
    "exam_questions": ARROW,
    "exam_leak": {"numpy", "scipy"},
    "mix_rows": ARROW | {"scipy"},
    "mixed_subset": set(),
    "floor": {"numpy", "jieba", "rapidfuzz", "bm25s", "scipy"},
    "finetune lora": TRAINING,
    "finetune qlora": TRAINING | {"bitsandbytes"},
    "pilot lora": TRAINING,
    "pilot qlora": TRAINING | {"bitsandbytes"},
    "predict base": MODEL,
    "predict lora": MODEL | {"peft"},
    "predict qlora": MODEL | {"peft", "bitsandbytes"},
    "examine base": MODEL | ARROW,
    "examine lora": MODEL | ARROW | {"peft"},
    "examine qlora": MODEL | ARROW | {"peft", "bitsandbytes"},
    "retention_texts": ARROW,
    "export": MODEL | ARROW | {"peft", "bitsandbytes", "jieba", "rapidfuzz", "jsonschema"},
    "score": ARROW | {"jieba", "rapidfuzz"},
    "evaluate": {"numpy", "pyarrow", "jsonschema"},
    "aggregate": ARROW | {"scipy", "jsonschema", "matplotlib", "seaborn"},
    "safety": set(),
    "judge_export": {"numpy"},
    "judge_import": {"numpy", "scipy", "pandas"},
    "record": {"numpy", "matplotlib"},
    "report": {"numpy", "pyarrow", "jsonschema", "jieba", "rapidfuzz"},
    "status": {"jsonschema"},
}
"""What a job may import of `SLOW`, by script, and by method where the method decides."""


def noting(folder: Path) -> dict[str, str]:
    """Return an environment in which every script of the workflow notes into ``folder`` what it imports."""
    folder.mkdir(parents=True, exist_ok=True)
    spy = str(Path(__file__).parent / "spy")
    return {**os.environ, "PYTHONPATH": spy, "MEDSCALE_NOTED_IMPORTS": str(folder)}


def noted(folder: Path) -> list[tuple[str, set[str]]]:
    """Return for each script that ran which job it was, as in `USES`, and what it imported of `SLOW`."""
    jobs = []
    for path in sorted(folder.glob("*.json")):
        note = json.loads(path.read_text(encoding="utf-8"))
        job, arguments = path.stem.rsplit("-", 1)[0], note["arguments"]
        if job in ("pilot", "finetune", "predict", "examine"):
            job += " " + arguments[arguments.index("--method") + 1]
        jobs.append((job, SLOW & set(note["libraries"])))
    return jobs
