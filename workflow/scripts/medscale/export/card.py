"""What the model card and SERVING.md say: facts gathered from the run's own files, and the head that hubs read."""

import json
import shlex
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from medscale.base.disk import in_words
from medscale.base.files import read_json
from medscale.export.licences import UNKNOWN, Licence
from medscale.export.work import Work
from medscale.fetch.manifest import read_manifest

TEMPLATES = Path(__file__).parents[3] / "export"
METRICS = {
    "rouge_1": ("rouge", "ROUGE-1 (F, jieba words)", "f"),
    "rouge_2": ("rouge", "ROUGE-2 (F, jieba words)", "f"),
    "rouge_l": ("rouge", "ROUGE-L (F, jieba words)", "f"),
    "bleu_4": ("bleu", "BLEU-4 (characters)", "value"),
    "nll": ("nll", "NLL (nats per answer token)", "value"),
}
EXAMPLE = "头痛三天，怎么办？"
"""The question that stands in SERVING.md."""
LIBRARIES = {"adapter": "peft", "gguf": "gguf"}
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM's --max-lora-rank may be
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def about(
    told: dict[str, Any], work: Work, chat: dict[str, Any], manifest: dict[str, Any], licence: Licence
) -> dict[str, Any]:
    """Return all that the templates name."""
    args, settings = work.args, work.training["settings"]
    corpus = read_manifest(args.corpus)
    rank, new = settings["lora"]["r"], work.settings["evaluation"]["max_new_tokens"]
    system = [{"role": "system", "content": chat["system_prompt"]}] if chat["system_prompt"] else []
    messages = [*system, {"role": "user", "content": EXAMPLE}]
    request = {"model": args.run, "messages": messages, "temperature": 0, "max_tokens": new}
    request["stop_token_ids"] = chat["stop_ids"]
    return {
        "told": told,
        "run": args.run,
        "method": args.method,
        "base": manifest["id"] or "the small model that MedScale builds for demonstrations",
        "base_zh": manifest["id"] or " MedScale 自建的演示用小模型",
        "base_id": manifest["id"] if on_hub(manifest) else None,
        "base_known": on_hub(manifest),
        "base_revision": manifest["revision"],
        "licence": licence,
        "licence_known": licence.id != UNKNOWN,
        "evaluation": work.evaluation,
        "metrics": metrics_of(work.evaluation),
        "training": work.training["training"],
        "settings": settings,
        "precision": work.precision,
        "dtype": DTYPES[work.precision],
        "corpus": corpus,
        "data_id": corpus["id"] if on_hub(corpus) else None,
        "cleaning": read_json(args.clean_report),
        "split": read_json(args.split_report),
        "chat": chat,
        "messages": json.dumps(messages, ensure_ascii=False),
        "request": shlex.quote(json.dumps(request, ensure_ascii=False)),
        "max_new_tokens": new,
        "max_length": work.settings["max_length"],
        "rank": rank,
        "vllm_rank": next((room for room in RANKS if rank <= room), None),
        "gguf_file": next((file["path"] for file in told["forms"].get("gguf", {}).get("files", ())), None),
        "size": lambda form: in_words(sum(file["bytes"] for file in form["files"])),
    }


def on_hub(manifest: dict[str, Any]) -> bool:
    """Return whether the id of a manifest is one of a hub, which others can look up."""
    return manifest["source"] in ("huggingface", "modelscope")


def metrics_of(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the metrics of eval.json with their intervals, in the order of `METRICS`, but for those not measured."""
    rows = []
    for key, (kind, name, part) in METRICS.items():
        found = evaluation["metrics"].get(key)
        if found and found[part] is not None:
            rows.append({"type": kind, "name": name, "value": round(found[part], 4), "ci95": found["ci95"]})
    return rows


def front_matter(facts: dict[str, Any], form: str) -> dict[str, Any]:
    """Return the head of a card in the keys that Hugging Face's hub reads.

    Args:
        facts: from `about`.
        form: that the card lies with.
    """
    licence, head = facts["licence"], {"license": facts["licence"].hub}
    if licence.hub == "other":
        head["license_name"] = licence.id
        if facts["base_known"]:
            head["license_link"] = f"https://huggingface.co/{facts['base_id']}/blob/main/LICENSE"
    if facts["base_known"]:
        head |= {"base_model": facts["base_id"], "base_model_relation": "adapter" if form == "adapter" else "finetune"}
        if form == "gguf":
            head["base_model_relation"] = "quantized"
    head |= {
        "library_name": LIBRARIES.get(form, "transformers"),
        "pipeline_tag": "text-generation",
        "language": ["zh"],
        "tags": ["medical", "chinese", facts["method"], "medscale", "not-for-medical-advice"],
    }
    if facts["data_id"]:
        head["datasets"] = [facts["data_id"]]
    rows = facts["metrics"]
    head["metrics"] = sorted({row["type"] for row in rows})
    dataset = {
        "name": facts["corpus"]["id"] or "the study's own corpus",
        "type": facts["data_id"] or "custom",
        "split": "test",
    }
    head["model-index"] = [
        {
            "name": facts["run"],
            "results": [
                {
                    "task": {"type": "text-generation", "name": "Chinese medical question answering"},
                    "dataset": dataset,
                    "metrics": [{key: row[key] for key in ("type", "name", "value")} for row in rows],
                }
            ],
        }
    ]
    return head


def render(template: str, facts: dict[str, Any]) -> str:
    """Return a text of the export; a name that is not there is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"number": number, "signed": lambda value: number(value, True), "interval": interval}
    return environment.get_template(template).render(facts)


def number(value: float | None, sign: bool = False) -> str:
    """Return a value for people; a dash for what was not measured.

    >>> number(1.23456), number(-0.00001, True), number(None)
    ('1.2346', '0.0000', '–')
    """
    if value is None:
        return "–"
    return f"{value:{'+' if sign and round(value, 4) else ''}z.4f}"


def interval(ends: list[float] | None) -> str:
    """Return an interval for people."""
    return "–" if ends is None else f"{ends[0]:z.4f} … {ends[1]:z.4f}"
