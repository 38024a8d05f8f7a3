"""Results of made-up studies, with every key that the real ones have, for tests of what is made from them."""

import hashlib
import json
import math
import random
from pathlib import Path
from typing import Any

SIX = (20_000, 50_000, 100_000)
SEVEN = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


def run_name(method: str, size: int, seed: int = 42, first_seed: int = 42) -> str:
    label = f"{size // 1000}k" if size % 1000 == 0 else str(size)
    return f"{method}_{label}" + (f"_seed{seed}" if seed != first_seed else "")


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def metrics(size: int | None, method: str, seed: int = 42) -> dict[str, Any]:
    """Return metrics that get better with data; NLL is null for a floor (size None, method floor)."""
    rng = random.Random(f"{method} {size} {seed}")
    gain = math.log10((size or 0) + 100) - 2
    penalty = 0.3 if method == "qlora" else 0.0

    def value(start: float, slope: float, width: float) -> tuple[float, list[float]]:
        middle = round(start + slope * (gain - penalty / 2) + rng.gauss(0, width / 6), 4)
        return middle, [round(middle - width, 4), round(middle + width * 0.95, 4)]

    result: dict[str, Any] = {}
    for name, start, slope in (("rouge_1", 22.0, 1.4), ("rouge_2", 4.5, 0.7), ("rouge_l", 16.2, 1.2)):
        middle, interval = value(start, slope, 0.45)
        result[name] = {"f": middle, "p": round(middle + 3, 4), "r": round(middle - 1, 4), "ci95": interval}
    middle, interval = value(4.2, 0.9, 0.3)
    result["bleu_4"] = {"value": middle, "ci95": interval}
    middle, interval = value(2.45, -0.18, 0.02)
    floor = method == "floor"
    result["nll"] = {"value": None if floor else middle, "ci95": None if floor else interval}
    return result | {"length_ratio": 0.913, "empty_predictions": 0}


def provenance(name: str) -> dict[str, Any]:
    keys = ("config_sha256", "train_sha256", "test_sha256", "model_manifest_sha256")
    return {"fingerprint": sha(name)[:16], **{key: sha(f"{name} {key}") for key in keys}}


HARDWARE = {
    "device": "cuda",
    "gpu_model": "Tesla T4",
    "gpu_memory_gib": 14.56,
    "compute_capability": "7.5",
    "cuda": "13.0",
    "driver": "580.95.05",
    "cpu": "Intel(R) Xeon(R) CPU @ 2.00GHz",
    "cores": 4,
    "torch_threads": 2,
    "memory_gib": 25.46,
}
SOFTWARE = {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0", "peft": "0.19.1", "bitsandbytes": None}


def training(method: str, size: int, seed: int = 42) -> dict[str, Any]:
    seconds = round(size * (0.061 if method == "lora" else 0.083) * (1 + seed % 7 / 50) + 30, 3)
    return {
        "started_at": "2026-11-20T08:00:00Z",
        "finished_at": "2026-11-20T09:30:12Z",
        "seconds": seconds,
        "epochs": 1.0,
        "steps": math.ceil(size / 16),
        "samples_per_second": round(size / seconds, 4),
        "tokens_per_second": round(170 * size / seconds, 2),
        "final_train_loss": 1.8123,
        "best_validation_loss": 1.7934,
        "best_step": math.ceil(size / 16) - 1,
        "resumed_from_step": None,
        "micro_batch": 4,
        "effective_batch": 16,
        "trainable_parameters": 29_933_568,
        "peak_memory_gib": {
            "load": 5.81 if method == "lora" else 2.42,
            "train_allocated": 7.12 if method == "lora" else 3.38,
            "train_reserved": 7.6 if method == "lora" else 3.9,
            "kind": "cuda",
        },
        "energy_kwh": round(seconds * 65 / 3.6e6, 6),
    }


def inference(method: str) -> dict[str, Any]:
    speed = {"lora": 5.31, "qlora": 3.3}.get(method, 5.9)
    return {
        "seconds": round(2000 / speed, 3),
        "samples_per_second": speed,
        "output_tokens_per_second": round(speed * 96.4, 2),
        "mean_output_tokens": 96.4,
        "batch_size": 32,
        "precision": "nf4 base, fp16 computation" if method == "qlora" else "fp16",
        "peak_memory_gib": 4.4 if method == "qlora" else 7.9,
    }


def evaluation(method: str, size: int | None = None, seed: int = 42, run: str | None = None) -> dict[str, Any]:
    """Return an eval.json: of a fine-tuned run, of the base model (method base) or of a floor (method floor)."""
    tuned = method not in ("base", "floor")
    name = run or (run_name(method, size, seed) if tuned else method)
    return {
        "schema_version": 1,
        "run": name,
        "method": method,
        "size_label": name.split("_")[1] if tuned else None,
        "train_size": size if tuned else None,
        "seed": seed if tuned else None,
        "arm": "main" if tuned else None,
        "n_test": 2000,
        "metrics": metrics(size, method, seed),
        "training": training(method, size, seed) if tuned else None,
        "inference": inference(method) if method != "floor" else None,
        "hardware": HARDWARE,
        "software": SOFTWARE,
        "provenance": provenance(name),
    }


def train_log(method: str, size: int, seed: int = 42) -> str:
    """Return a train_log.csv: a noisy falling loss, and a validation loss ten times on the way."""
    rng = random.Random(f"log {method} {size} {seed}")
    steps = math.ceil(size / 16)
    every = max(1, steps // 300)
    lines = ["step,epoch,seconds,loss,eval_loss,learning_rate,grad_norm,tokens"]
    for step in range(every, steps + 1, every):
        trend = 1.75 + 0.9 * math.exp(-step / 60) - 0.12 * math.log10(1 + step / 100) + (method == "qlora") * 0.05
        validation = ""
        if step % max(every, steps // 10 // every * every) == 0:
            validation = f"{trend + 0.02:.6f}"
        loss = f"{trend + rng.gauss(0, 0.12):.6f}"
        lines.append(f"{step},{step / steps:.4f},{step * 1.1:.3f},{loss},{validation},0.0001,0.8,{step * 2800}")
    return "\n".join(lines) + "\n"


EVENTS = [
    {"time": "2026-11-20T08:00:00Z", "kind": "started", "message": "lora_20k on cuda", "action": None},
    {"time": "2026-11-20T09:30:12Z", "kind": "finished", "message": "1250 steps", "action": None},
]


def training_record(method: str, size: int, seed: int = 42, events: list[dict] | None = None) -> dict[str, Any]:
    """Return a training.json."""
    name = run_name(method, size, seed)
    return {
        "schema_version": 1,
        "run": name,
        "training": training(method, size, seed),
        "hardware": HARDWARE,
        "software": SOFTWARE,
        "provenance": provenance(name),
        "settings": {
            "method": method,
            "seed": seed,
            "training": {"epochs": 1, "learning_rate": 0.0002, "early_stopping_patience": None},
            "lora": {"r": 16, "alpha": 32, "dropout": 0.05, "target_modules": "all-linear"},
            "quantization": {"type": "nf4", "double": True},
        },
        "events": EVENTS if events is None else events,
    }


def inference_record(method: str, size: int, seed: int = 42) -> dict[str, Any]:
    """Return an inference.json."""
    name = run_name(method, size, seed)
    return {
        "schema_version": 1,
        "run": name,
        "inference": inference(method),
        "hardware": HARDWARE,
        "software": SOFTWARE,
        "provenance": provenance(name),
    }


def write_run(folder: Path, result: dict[str, Any], log: str | None = None) -> Path:
    """Write a run's eval.json, and its log, into the run's folder below ``folder``; return the path of eval.json."""
    home = folder / result["run"]
    home.mkdir(parents=True, exist_ok=True)
    (home / "eval.json").write_text(json.dumps(result), encoding="utf-8")
    if log is not None:
        (home / "train_log.csv").write_text(log, encoding="utf-8")
    return home / "eval.json"


def write_study(
    folder: Path,
    methods: tuple[str, ...] = ("lora", "qlora"),
    sizes: tuple[int, ...] = SIX,
    seeds: tuple[int, ...] = (42,),
    references: tuple[str, ...] = ("base", "floor_fixed", "floor_nearest"),
) -> tuple[list[Path], list[Path]]:
    """Write a whole study and return the paths of its eval.json and train_log.csv files."""
    evals = []
    for method in methods:
        for size in sizes:
            for seed in seeds:
                run = run_name(method, size, seed, seeds[0])
                result = evaluation(method, size, seed, run)
                evals.append(write_run(folder, result, train_log(method, size, seed)))
    logs = [path.with_name("train_log.csv") for path in evals]
    for name in references:
        evals.append(write_run(folder, evaluation(name.split("_")[0], run=name)))
    return evals, logs
