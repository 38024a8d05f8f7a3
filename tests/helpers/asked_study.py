"""A study whose runs can be asked: a tiny model, adapters with weights of their own, and real predictions."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from medscale.base.files import read_json, write_json, write_jsonl
from medscale.base.settings import prediction_settings
from medscale.fetch.manifest import content_of, read_manifest
from medscale.fetch.sources import point_to_own
from places import ROOT, SCRIPTS

CONFIG = {
    "data": {"source": "demo"},
    "study": {"sizes": [100, 200], "test_size": 6, "validation_size": 6},
    "chat": {"system_prompt": "你是医生。"},
    "training": {"max_length": 128},
    "evaluation": {"max_new_tokens": 24, "batch_size": 4},
}
QUESTIONS = ["高血压吃什么", "糖尿病的症状", "感冒怎么办", "胃炎要注意什么", "儿童腹泻怎么办", "头痛<b>要紧吗</b>"]


class AskedStudy:
    """The study in a folder of its own: lora_100, qlora_100 and lora_200 are trained, qlora_200 is not."""

    finished = ("lora_100", "lora_200", "qlora_100")

    def __init__(self, folder: Path, model: Path):
        self.folder, self.results = folder, folder / "results"
        self.manifest = folder / "resources" / "models" / model.name / "manifest.json"
        config = CONFIG | {"model": {"source": "local", "path": str(model)}}
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        point_to_own("model", model, self.manifest)
        self.content = content_of(read_manifest(self.manifest))
        write_json(self.results / "data" / "model.json", {"content": self.content, "fetches": 1})
        rows = [{"id": str(n), "question": asked, "answer": "多喝水"} for n, asked in enumerate(QUESTIONS)]
        write_jsonl(self.results / "data" / "test.jsonl", rows)

    def train(self, config: dict[str, Any]) -> None:
        """Give each finished run an adapter that changes its answers."""
        from medscale.model.loading import add_adapter, load_base
        from medscale.train.saved_adapter import name_base

        model = Path(config["model"]["path"])
        lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", "use_rslora": False}
        for seed, name in enumerate(self.finished):
            method, folder = name.split("_")[0], self.results / name
            adapted = add_adapter(load_base(model, method, config["quantization"], "fp32"), lora, seed)
            for part, weight in adapted.named_parameters():
                if "lora_B" in part:
                    torch.nn.init.normal_(weight, std=0.3)
            adapted.save_pretrained(folder / "adapter")
            name_base(folder / "adapter", read_manifest(self.manifest))
            training = {"precision": "auto", "max_length": config["training"]["max_length"]}
            settings = {"method": method, "chat": config["chat"], "quantization": config["quantization"]}
            write_json(
                folder / "training.json",
                {
                    "run": name,
                    "settings": settings | {"training": training},
                    "provenance": {"model_manifest_sha256": self.content, "fingerprint": "0" * 16},
                },
            )

    def predict(self, config: dict[str, Any], name: str) -> list[dict[str, Any]]:
        """Return what prediction writes of a run, or of the base model."""
        from medscale.evaluate.run import run

        folder, method = self.results / name, name.split("_")[0]
        told = {"run": name, "method": method, "fingerprint": "0" * 16, "threads": 2, "content": self.content}
        told |= {"settings": json.dumps(prediction_settings(config, None)), "model": self.manifest}
        told |= {"adapter": None, "training": None} if name == "base" else {"adapter": folder / "adapter"}
        told |= {} if name == "base" else {"training": folder / "training.json"}
        told |= {"test": self.results / "data" / "test.jsonl", "output": folder / "predictions.jsonl"}
        run(argparse.Namespace(**told, inference=folder / "inference.json"))
        return [json.loads(line) for line in (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]

    def command(self, *arguments: str, python: str = sys.executable) -> list[str]:
        """Return the command line that asks a run of the study."""
        return [python, str(SCRIPTS / "ask.py"), *arguments, "--directory", str(self.folder), "--threads", "1"]

    def environment(self) -> dict[str, str]:
        """Return an environment with a lock folder of the study's own and English messages."""
        named = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
        return named | {"MEDSCALE_LOCK_DIR": str(self.folder / "locks"), "LANG": "C.UTF-8"}

    def ask(self, *arguments: str, said: str = "") -> subprocess.CompletedProcess:
        """Ask through a pipe."""
        return subprocess.run(
            self.command(*arguments),
            input=said,
            env=self.environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )


def edit_json(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    write_json(path, read_json(path) | changes)
