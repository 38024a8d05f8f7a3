"""Train with one contender of benchmarks/training.py and write what was measured; a process of its own.

The job is a JSON file; see `training.job`. Before the clock starts, a few rows are trained at learning rate 0,
which changes no weight. The clock runs from the first step to the end of the last: no loading, no validation, no
checkpoint. Before it, the loss of one batch is computed the contender's own way, to compare them.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))


from circumstances import peak_resident_gib
from flops import training_flop
from medscale.base.cards import leased_cards
from medscale.base.config import resolve
from medscale.base.files import read_json, write_json
from medscale.fetch.manifest import write_manifest
from medscale.model.chat import IGNORED
from medscale.model.hardware import EnergyMeter, MemoryMeter
from medscale.model.loading import add_adapter, checkpoint_layers, load_base
from medscale.model.tokenizer import load_tokenizer
from medscale.train.fitting import choose
from medscale.train.trainer import make_trainer, trainer_arguments

DEFAULTS = resolve({})
LEARNING_RATE = 1e-3


class Clock(TrainerCallback):
    """Times the steps of a training, and reads the peak memory before anything follows them."""

    def __init__(self, memory: MemoryMeter, energy: EnergyMeter):
        self.memory, self.energy = memory, energy

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        self.memory.restart()
        self.energy_before = self.energy.so_far()
        self.began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            if self.memory.cuda:
                torch.cuda.synchronize()
            self.seconds = time.perf_counter() - self.began
            used = self.energy.so_far()
            self.energy_kwh = None if used is None else used - (self.energy_before or 0.0)
            self.allocated = self.memory.allocated() if self.memory.cuda else peak_resident_gib()
            self.reserved = self.memory.reserved()


@leased_cards()  # before anything asks CUDA how many there are
def main(job_file: str) -> None:
    job = read_json(job_file)
    contender = job["contender"]
    torch.set_num_threads(job["threads"])
    rows = Dataset.from_parquet(str(Path(job["folder"]) / "rows.parquet"), cache_dir=str(Path(job["folder"]) / "cache"))
    warm_up, rows = rows.select(range(job["warm_up"])), rows.select(range(job["warm_up"], job["warm_up"] + job["rows"]))
    memory = MemoryMeter()
    model, tokenizer = load_model(job, contender)
    job["load_gib"] = memory.allocated() if memory.cuda else peak_resident_gib()
    build = {"medscale": study_trainer, "trl": trl_trainer, "plain": plain_trainer}[contender["kind"]]
    with EnergyMeter() as energy:
        build(job, contender, model, tokenizer, warm_up, 0.0, energy).train()
        trainer = build(job, contender, model, tokenizer, rows, LEARNING_RATE, energy)
        losses = {name: probe(trainer, rows, job["effective_batch"], name == "all_tokens") for name in PROBES}
        clock = Clock(memory, energy)
        trainer.add_callback(clock)
        trainer.train()
    lengths = [len(ids) for ids in rows["input_ids"]]
    answers = sum(label != IGNORED for labels in rows["labels"] for label in labels)
    flop = training_flop(job["shape"], lengths, answers)
    write_json(
        job["output"],
        {
            "seconds": round(clock.seconds, 4),
            "steps": trainer.state.global_step,
            "samples_per_second": round(len(rows) / clock.seconds, 3),
            "tokens_per_second": round(sum(lengths) / clock.seconds, 1),
            "tflops": round(flop / clock.seconds / 1e12, 4),
            "peak_memory_gib": {
                "load": job["load_gib"],
                "train_allocated": clock.allocated,
                "train_reserved": clock.reserved,
                "kind": memory.kind,
            },
            "energy_kwh": clock.energy_kwh,
            "loss_of_one_batch": losses,
            "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        },
    )


PROBES = ("answers", "all_tokens")


def load_model(job: dict, contender: dict) -> tuple[torch.nn.Module, Any]:
    """Return the model with a new adapter, as MedScale loads it, and its tokenizer."""
    folder = Path(job["folder"]) / "model"
    model = load_base(folder, job["method"], DEFAULTS["quantization"], contender["weights"])
    manifest = folder / "manifest.json"
    if not manifest.exists():
        write_manifest(folder, kind="model", source="random weights")
    return add_adapter(model, DEFAULTS["lora"], job["seed"]), load_tokenizer(str(manifest))


def common(job: dict, contender: dict, learning_rate: float, part: str) -> dict[str, Any]:
    """Return the Trainer's arguments that the rivals share with MedScale."""
    training = DEFAULTS["training"]
    return {
        "output_dir": str(Path(job["folder"]) / part),
        "num_train_epochs": 1,
        "learning_rate": learning_rate,
        "lr_scheduler_type": training["lr_scheduler"],
        "weight_decay": training["weight_decay"],
        "max_grad_norm": training["max_grad_norm"],
        "use_cpu": not torch.cuda.is_available(),
        "fp16": contender["autocast"] == "fp16",
        "bf16": contender["autocast"] == "bf16",
        "save_strategy": "no",
        "disable_tqdm": True,
        "report_to": [],
        "seed": job["seed"],
        "data_seed": job["seed"],
        **contender["arguments"],
    }


def study_trainer(
    job: dict, contender: dict, model: Any, tokenizer: Any, rows: Dataset, rate: float, energy: EnergyMeter
) -> Trainer:
    """Return MedScale's trainer as `finetune.py` makes it."""
    training = DEFAULTS["training"] | {"learning_rate": rate, "eval_interval": 1.0, "max_length": job["max_length"]}
    training |= {"effective_batch": job["effective_batch"], "warmup_ratio": 0.0} | contender["arguments"]
    folder = Path(job["folder"]) / "medscale"
    arguments = trainer_arguments(folder, training, len(rows), contender["weights"], job["seed"])
    validation = rows.select(range(2))
    settings = {"training": training, "lora": DEFAULTS["lora"], "quantization": DEFAULTS["quantization"]}
    method = "qlora" if getattr(model, "is_loaded_in_4bit", False) else "lora"
    fit, problem = choose(model.config, method, method, settings, training["micro_batch"])
    if problem:
        raise RuntimeError(problem)
    trainer = make_trainer(model, tokenizer, rows, validation, arguments, training, fit.rows, energy)
    checkpoint_layers(model, fit.checkpointed)
    return trainer


def trl_trainer(
    job: dict, contender: dict, model: Any, tokenizer: Any, rows: Dataset, rate: float, energy: EnergyMeter
) -> Trainer:
    """Return TRL's SFTTrainer on rows that are encoded already, so that its own preparation costs it nothing."""
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(**common(job, contender, rate, "trl"))
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=tokenizer)
    trainer.remove_callback(PrinterCallback)
    return trainer


def plain_trainer(
    job: dict, contender: dict, model: Any, tokenizer: Any, rows: Dataset, rate: float, energy: EnergyMeter
) -> Trainer:
    """Return a Trainer that pads every row to the longest allowed and takes the loss on all tokens."""
    tokenizer.padding_side = "right"  # on the left, padding would be asked for the first token of each row
    trainer = Trainer(
        model=model,
        args=TrainingArguments(**common(job, contender, rate, "plain")),
        train_dataset=rows.map(lambda row: {"labels": row["input_ids"]}),
        data_collator=DataCollatorForSeq2Seq(tokenizer, padding="max_length", max_length=job["max_length"]),
        processing_class=tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def probe(trainer: Trainer, rows: Dataset, count: int, all_tokens: bool) -> float:
    """Return the loss of the first rows, the trainer's own way, without dropout: nats a token.

    Args:
        trainer: not yet trained.
        rows: with labels at answers.
        count: how many rows, or all where there are fewer.
        all_tokens: label every token instead.
    """
    model, total, tokens = trainer.model, 0.0, 0
    training = model.training
    model.eval()
    for row in rows.select(range(min(count, len(rows)))):
        labels = row["input_ids"] if all_tokens else row["labels"]
        batch = trainer.data_collator([{"input_ids": row["input_ids"], "labels": labels}])
        with torch.no_grad(), trainer.accelerator.autocast():
            loss = trainer.compute_loss(model, trainer._prepare_inputs(dict(batch)))
        labelled = sum(label != IGNORED for label in labels[1:])
        total, tokens = total + float(loss) * labelled, tokens + labelled
    model.train(training)
    return round(total / tokens, 6)


if __name__ == "__main__":
    main(sys.argv[1])
