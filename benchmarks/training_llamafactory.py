"""Train with LLaMA-Factory as a contender of benchmarks/training.py, in the Python of the environment that has it.

The job is the JSON file that `training.run` writes. The rows are trained twice: a few at first, which are not timed.
Imported before anything of MedScale could be: that environment has other versions of transformers and PEFT.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from llamafactory.train.tuner import run_exp
from transformers import TrainerCallback

from circumstances import peak_resident_gib
from flops import training_flop


class Clock(TrainerCallback):
    """Times the steps of a training, and reads the peak memory before anything follows them."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self.began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            self.reserved = None
            if torch.cuda.is_available():
                torch.cuda.synchronize()
                self.reserved = torch.cuda.max_memory_reserved() / 1024**3
            self.seconds, self.steps = time.perf_counter() - self.began, state.global_step
            cuda = torch.cuda.is_available()
            self.allocated = torch.cuda.max_memory_allocated() / 1024**3 if cuda else peak_resident_gib()

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.losses = [entry["loss"] for entry in state.log_history if "loss" in entry]


def main(job_file: str) -> None:
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    folder = Path(job["folder"])
    torch.set_num_threads(job["threads"])
    texts = json.loads((folder / "texts.json").read_text(encoding="utf-8"))
    parts = {"warm_up": texts[: job["warm_up"]], "rows": texts[job["warm_up"] : job["warm_up"] + job["rows"]]}
    facts = {name: {"file_name": f"lf_{name}.json"} for name in parts}
    (folder / "dataset_info.json").write_text(json.dumps(facts), encoding="utf-8")
    for name, rows in parts.items():
        (folder / f"lf_{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    clock = Clock()
    run_exp(settings(job, "warm_up"), [Clock()])
    run_exp(settings(job, "rows"), [clock])
    lengths = job["lengths"][job["warm_up"] : job["warm_up"] + job["rows"]]
    result = {
        "seconds": round(clock.seconds, 4),
        "steps": clock.steps,
        "samples_per_second": round(len(parts["rows"]) / clock.seconds, 3),
        "tokens_per_second": round(sum(lengths) / clock.seconds, 1),
        "tflops": round(training_flop(job["shape"], lengths, job["answer_tokens"]) / clock.seconds / 1e12, 4),
        "peak_memory_gib": {
            "load": None,
            "train_allocated": clock.allocated,
            "train_reserved": clock.reserved,
            "kind": "CUDA allocator" if torch.cuda.is_available() else "resident",
        },
        "energy_kwh": None,
        "losses": clock.losses,
    }
    Path(job["output"]).write_text(json.dumps(result), encoding="utf-8")


def settings(job: dict[str, Any], dataset: str) -> dict[str, Any]:
    """Return LLaMA-Factory's arguments: those of its example for LoRA, with this study's adapter, rows and batch."""
    folder, lora, contender = Path(job["folder"]), job["lora"], job["contender"]
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": str(folder / "model"),
        "trust_remote_code": False,
        "finetuning_type": "lora",
        "lora_rank": lora["r"],
        "lora_alpha": lora["alpha"],
        "lora_dropout": lora["dropout"],
        "lora_target": "all",
        "dataset": dataset,
        "dataset_dir": str(folder),
        "template": "qwen",
        "default_system": job["system_prompt"],
        "cutoff_len": job["max_length"],
        "overwrite_cache": True,
        "preprocessing_num_workers": 1,
        "dataloader_num_workers": 0,
        "output_dir": str(folder / f"llamafactory_{dataset}"),
        "overwrite_output_dir": True,
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        "learning_rate": 1e-3,
        "lr_scheduler_type": "cosine",
        "num_train_epochs": 1.0,
        "use_cpu": not torch.cuda.is_available(),
        "seed": job["seed"],
        "bf16": contender["autocast"] == "bf16",
        "fp16": contender["autocast"] == "fp16",
        **({"quantization_bit": 4} if job["method"] == "qlora" else {}),
        **contender["arguments"],
    }


if __name__ == "__main__":
    main(sys.argv[1])
