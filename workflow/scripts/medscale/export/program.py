"""The export of one run: every form made and measured in a process of its own, then the card. No torch.

The parts lie in a folder beside the outputs, named by what the export is made of, until all are there. So a measurement
that fails throws no merged weights away, and a killed export goes on from the parts that it has.
"""

import argparse
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

from medscale.base.digest import code_digest, folder_digest
from medscale.base.disk import require_space
from medscale.base.errors import UserError
from medscale.base.files import read_json, read_jsonl, remove_folder, sha256_file, sha256_json
from medscale.evaluate.eval_file import read_record
from medscale.evaluate.predictions import read_predictions
from medscale.export.bundle import write_bundle
from medscale.export.children import run_part
from medscale.export.fidelity import compare, warning_of
from medscale.export.gguf import Outcome, convert, find_converter, how_to_get, measurable
from medscale.export.sizes import room_needed
from medscale.export.work import Work
from medscale.fetch.manifest import content_of, read_manifest, verify

FOLDER = "exporting"
INTO = {"nearest": ("base", "dequantized"), "both": ("base", "dequantized")}
GGUF_KINDS = {"bf16": "bf16", "fp16": "f16", "fp32": "f32"}
MARGIN = 2**20  # bytes for the texts


def run(args: argparse.Namespace) -> None:
    """Make, measure and describe what ``export.py`` is asked for."""
    work = prepare(args)
    export, forms = work.settings["export"], {}
    converter = find_converter(args.converter) if "gguf" in export["forms"] else None
    make_room(work, converter is not None)
    make(work, "adapter")
    if "adapter" in export["forms"]:
        forms["adapter"] = measured(work, "adapter")
    merged = None
    if {"merged", "gguf"} & set(export["forms"]):
        merged, others = merge(work)
        forms["merged"] = merged
        for name, other in others.items():
            forms[name] = other
    if "gguf" in export["forms"]:
        forms["gguf"] = gguf(work, converter, merged["folder"])
    if "merged" not in export["forms"] and merged:  # made for the GGUF file alone
        forms = {name: form for name, form in forms.items() if not name.startswith("merged")}
    write_bundle(work, forms)
    remove_folder(work.folder.parent)
    for name, form in forms.items():
        if form["made"] and form["warning"]:
            print(f"warning: {name}: {form['warning']['en']}", flush=True)
    print(f"{args.output}: {', '.join(name for name, form in forms.items() if form['made'])}", flush=True)


def prepare(args: argparse.Namespace) -> Work:
    """Read and check the inputs, and name the folder that belongs to exactly this export."""
    settings = json.loads(args.settings)
    verify(args.model, content=args.content)
    training, inference, evaluation = (
        read_record(path, args.run) for path in (args.training, args.inference, args.eval)
    )
    model = content_of(read_manifest(args.model))
    if training["provenance"]["model_manifest_sha256"] != model:
        raise UserError("E113", f"{args.training}: the adapter was trained on another base model than {args.model}")
    predictions, test = read_predictions(args.predictions), list(read_jsonl(args.test))
    if inference["provenance"]["fingerprint"] != training["provenance"]["fingerprint"] or [
        row["id"] for row in predictions
    ] != [row["id"] for row in test[: len(predictions)]]:
        raise UserError(
            "G105", f"{args.predictions}: are of another training or another test set than this adapter; predict anew"
        )
    made_from = [settings, training["provenance"], folder_digest(args.adapter), sha256_file(args.predictions)]
    key = sha256_json([made_from, model, code_digest("export.py"), args.converter])[:16]
    folder = args.output.parent / FOLDER / key
    for stale in args.output.parent.glob(f"{FOLDER}/*"):
        if stale != folder:
            remove_folder(stale)
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(itertools.islice(predictions, settings["export"]["sample"]))
    precision = training["training"]["precision"]
    return Work(args, settings, training, inference, evaluation, precision, rows, folder)


def candidates(work: Work) -> tuple[str, ...]:
    """Return into which weights the adapter is merged, to be compared where they are two."""
    chosen = work.settings["export"]["merge_into"]
    return ("base",) if work.args.method != "qlora" else INTO.get(chosen, (chosen,))


def make_room(work: Work, gguf: bool) -> None:
    """Raise `UserError` where the disk has too little room for the parts that are not there yet."""
    export = work.settings["export"]
    wanted = {"merged", "gguf"} & set(export["forms"])
    merged = [f"merged-{into}" for into in candidates(work)] if wanted else []
    kinds = [work.precision for name in merged if not done(work, name)]
    if gguf and not (work.folder / "gguf").is_dir():
        kinds.append("q8_0" if export["gguf_type"] == "q8_0" else work.precision)
    adapter = sum(path.stat().st_size for path in Path(work.args.adapter).rglob("*") if path.is_file())
    needed = room_needed(work.args.model, kinds) + 2 * adapter + MARGIN
    require_space(
        work.folder,
        needed,
        f"the export of {work.args.run}",
        "leave merged or gguf out of export.forms, or let paths.results be on a larger disk",
    )


def done(work: Work, name: str) -> bool:
    """Return whether a part is there: it takes its name when it is whole."""
    return (work.folder / name).is_dir()


def make(work: Work, name: str) -> None:
    """Make one part, unless it is there."""
    if not done(work, name):
        run_part(f"make:{name}", "--work", str(work.folder), "--precision", work.precision)


def measured(work: Work, name: str, path: Path | None = None) -> dict[str, Any]:
    """Return a form with what was measured of it, in a process of its own unless that was done before."""
    note, folder = work.folder / f"{name}.json", work.folder / name
    if not note.is_file():
        details = ["--sample", str(len(work.rows)), "--form", str(path or folder)]
        run_part(f"measure:{name}", "--work", str(work.folder), "--precision", work.precision, *details)
    found, export = read_json(note), work.settings["export"]
    told = compare(work.rows, found.pop("rows"), work.settings["resamples"])
    told |= {key: found[key] for key in ("prompts_identical", "engine", "dtype", "seconds", "hardware", "software")}
    warning = warning_of(told, export["tolerance"], export["identical_answers"])
    return {"made": True, "reason": None, "folder": folder, "measured": True, **told, "warning": warning}


def merge(work: Work) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return the merged form that is nearest to the run, and the others that are shipped or were compared with it."""
    found = {}
    for into in candidates(work):
        name = f"merged-{into}"
        if not (work.folder / f"{name}.json").is_file():
            make(work, name)
        found[into] = measured(work, name) | {"into": into}
    nearest = min(found, key=lambda into: (found[into]["mean_absolute_difference"] or 0, into))
    make(work, f"merged-{nearest}")  # it may have been removed before a kill
    kept = work.settings["export"]["merge_into"] == "both"
    others = {}
    for into, form in found.items():
        if into != nearest:
            if kept:
                make(work, f"merged-{into}")
            else:
                shutil.rmtree(form["folder"], ignore_errors=True)
                reason = f"measured, and farther from the run than the weights merged into {nearest}"
                form |= {"made": False, "reason": reason, "folder": None}
            others[f"merged_{into}"] = form
    return found[nearest], others


def gguf(work: Work, converter: Path | None, merged: Path) -> dict[str, Any]:
    """Return the GGUF form, made of the merged weights, or why there is none."""
    outcome = Outcome(None, f"converter not found; to make it: {how_to_get(str(work.args.output))}")
    if converter is not None:
        outcome = converted(work, converter, merged)
    if outcome.path is None:
        return {"made": False, "measured": False, "reason": outcome.reason, "folder": None, "warning": None}
    wanted = work.settings["export"]["measure_gguf"]
    if wanted and measurable():
        return measured(work, "gguf", outcome.path)
    reason = "llama-cpp-python is not installed" if wanted else "export.measure_gguf is false"
    unmeasured = f"made, but not measured ({reason}): nobody knows whether it is still what the run was"
    warning = {"en": unmeasured, "zh": f"已生成，但没有重新测量（{reason}）：不能断定它仍是该次运行测得的模型"}
    return {"made": True, "measured": False, "reason": unmeasured, "folder": work.folder / "gguf", "warning": warning}


def converted(work: Work, converter: Path, merged: Path) -> Outcome:
    """Return the GGUF file, made unless it is there."""
    kind = work.settings["export"]["gguf_type"]
    kind = GGUF_KINDS[work.precision] if kind == "auto" else kind
    target = work.folder / "gguf" / f"{work.args.run}-{kind}.gguf"
    if target.is_file():
        return Outcome(target, None)
    unfinished = work.folder / f"converting-{target.name}"
    outcome = convert(converter, merged, unfinished, kind, work.folder / "gguf.log")
    if outcome.path:
        target.parent.mkdir(exist_ok=True)
        unfinished.rename(target)
        return Outcome(target, None)
    return outcome
