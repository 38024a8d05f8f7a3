"""The folder of an export: the forms, the licence, the cards, SERVING.md, and export.json, which says it all."""

import shutil
from pathlib import Path
from typing import Any

import yaml

from medscale.base.files import atomic_folder, read_json, sha256_file, write_json, write_text
from medscale.export.card import about, front_matter, render
from medscale.export.go_template import Pieces
from medscale.export.licences import Licence, copy_agreements, licence_for
from medscale.export.modelfile import modelfile, system_refused
from medscale.export.work import Work
from medscale.fetch.manifest import read_manifest, root_of

CARDS = ("README.md", "NOTICE", "LICENSE")
CONTEXT = 2048  # tokens that a conversation in Ollama has room for, where the model allows it
SHARED = ("hardware", "software")


def write_bundle(work: Work, forms: dict[str, dict[str, Any]]) -> None:
    """Write the export, whole or not at all; the parts are moved into it."""
    args, chat = work.args, read_json(work.folder / "chat.json")
    manifest, base = read_manifest(args.model), root_of(args.model)
    licence = licence_for(manifest, base)
    listed = {name: files_of(name, form) for name, form in forms.items()}
    text, reason = ollama(work, forms, chat)
    told = record(work, forms, listed, licence, manifest, reason)
    facts = about(told, work, chat, manifest, licence)
    with atomic_folder(args.output) as folder:
        write_json(folder / "export.json", told)
        write_text(folder / "SERVING.md", render("serving.md.j2", facts))
        if text:
            write_text(folder / "Modelfile", text)
        copy_agreements(base, folder, licence)
        for name, form in forms.items():
            if form["folder"] is not None:
                form["folder"].rename(folder / name)
        for name in ("", *(name for name, form in forms.items() if form["folder"] is not None)):
            head = yaml.safe_dump(front_matter(facts, name or next(iter(forms))), allow_unicode=True, sort_keys=False)
            write_text(folder / name / "README.md", f"---\n{head}---\n\n{render('card.md.j2', facts)}")
            if name:
                for path in folder.glob("[LN]*"):  # who passes on a form passes on its licence
                    if path.is_file():
                        shutil.copyfile(path, folder / name / path.name)


def files_of(name: str, form: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the files that a form is loaded from, as they will lie in the export."""
    folder = form["folder"]
    if folder is None:
        return []
    return [
        {
            "path": (Path(name) / path.relative_to(folder)).as_posix(),
            "bytes": path.stat().st_size,
            "sha256": sha256_file(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in CARDS
    ]


def ollama(work: Work, forms: dict[str, dict[str, Any]], chat: dict[str, Any]) -> tuple[str | None, str | None]:
    """Return the Modelfile, or why there is none."""
    refused = chat["untranslatable"] or system_refused(chat["system_prompt"])
    if refused:
        return None, f"the study's chat template cannot be said in a Modelfile: {refused}"
    if made := forms.get("gguf", {}).get("folder"):
        weights = f"./gguf/{next(made.glob('*.gguf')).name}"
    elif forms.get("merged", {}).get("folder"):
        weights = "./merged"
    else:
        return None, "neither merged weights nor a GGUF file are part of this export"
    settings, config = work.settings, read_json(root_of(work.args.model) / "config.json")
    new = settings["evaluation"]["max_new_tokens"]
    limit = config.get("max_position_embeddings") or CONTEXT
    context = min(max(CONTEXT, settings["max_length"] + new), limit)
    pieces = Pieces(*(tuple(part) if isinstance(part, list) else part for part in chat["pieces"].values()))
    return modelfile(weights, pieces, chat["system_prompt"], chat["stop_texts"], context, new), None


def record(
    work: Work,
    forms: dict[str, dict[str, Any]],
    listed: dict[str, list[dict[str, Any]]],
    licence: Licence,
    manifest: dict[str, Any],
    no_modelfile: str | None,
) -> dict[str, Any]:
    """Return the content of export.json."""
    export = work.settings["export"]
    machine = next(({key: form[key] for key in SHARED} for form in forms.values() if form.get("measured")), {})
    return {
        "schema_version": 1,
        "run": work.args.run,
        "method": work.args.method,
        "base_model": {key: manifest[key] for key in ("source", "id", "revision")},
        "sample": {
            "items": len(work.rows),
            "of": work.evaluation["n_test"],
            "which": "the first of the test set, in its own order",
            "bootstrap_resamples": work.settings["resamples"],
        },
        "tolerance": {"nats_per_token": export["tolerance"], "identical_answers": export["identical_answers"]},
        "run_measured_with": work.inference["inference"]["engine"],
        "forms": {
            name: {key: value for key, value in form.items() if key not in ("folder", *SHARED)}
            | {"files": listed[name]}
            for name, form in forms.items()
        },
        "modelfile": {"made": no_modelfile is None, "reason": no_modelfile},
        "licence": licence._asdict(),
        **machine,
        "provenance": work.evaluation["provenance"],
    }
