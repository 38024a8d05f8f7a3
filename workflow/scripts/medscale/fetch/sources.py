"""Where a study's model, corpus and sets come from, and what bytes they are, as far as known before a job runs.

A result depends on bytes, so the params of a rule hold their digest and nothing of where they lie. The user's own files
are read when the workflow is planned (once; see `hashes`). What a hub has, or what is made here, is known when it lies
there. What the results so far were made with is told by the study's own copies of the manifests, ``model.json`` and
``corpus.json`` among its data. Fetching is due only where that is not what is asked for now.

Sets are what a study may have besides: the exams, the general texts of `evaluation.retention`, the general rows of
`study.mix`; see `base.settings.sets_of`. They come from where a corpus may come from, and are treated as one.
"""

import shlex
from pathlib import Path
from typing import Any, NamedTuple

from medscale.base.digest import code_digest
from medscale.base.errors import UserError
from medscale.base.files import read_json, sha256_file, sha256_json
from medscale.base.settings import as_json, sets_of, settings_for
from medscale.base.study import files_of, folder_name, runs_of
from medscale.fetch.corpus_files import OwnFiles, own_corpus
from medscale.fetch.hashes import Hashes
from medscale.fetch.manifest import (
    BOOKKEEPING,
    content_of,
    fetched_for,
    read_manifest,
    relocate,
    root_of,
    write_manifest,
)
from medscale.fetch.model_config import read_object, require_usable, require_whole
from medscale.fetch.model_files import licence_of, model_files, require_shards
from medscale.fetch.model_folder import identity, model_folder
from medscale.fetch.weights import INDEX, WHOLE, require_targets, tensors

HUBS = ("modelscope", "huggingface")
MADE = ("tiny", "demo")
OWN = ("local", "file")
PLAIN = ("retention",)
"""Sets that may be plain text too."""
FOLDERS = {"model": "models", "data": "data"}
CORPUS = "medscale/data/demo/corpus.py"
DEMO_SETS = {
    "exam": "medscale/data/demo/exam.py",
    "retention": "medscale/data/demo/everyday_texts.py",
    "mix": "medscale/data/demo/everyday_rows.py",
}
"""What makes a set of the source `demo`: a module with ``write(path, conditions, settings)``."""
MAKERS = {"model": ("medscale/model/tiny.py", CORPUS), "data": (CORPUS,)}
MAKERS |= {kind: (path,) for kind, path in DEMO_SETS.items()}
"""The code that makes what is not fetched: where it changes, so does what it makes."""
SHIPPED = "base"
"""The folder beside the table of facts in which the demo's base model is tracked."""
COPIES = {"model": "model.json", "data": "corpus.json"}
MADE_FROM = {
    "model": ("tiny",),
    "data": ("rows", "condition_count", "seed", "noise"),
    "exam": ("rows", "seed", "condition_count", "data_seed"),
    "retention": ("rows", "seed"),
    "mix": ("rows", "seed"),
}
"""The settings that decide what is made where nothing is fetched."""
UNKNOWN = "not fetched yet"
NOT_AS_SHIPPED = (
    "the base model of the demo is not as it was shipped; bring it back with git checkout -- resources/demo/base, or "
    "set model.source: tiny, which makes a smaller one here"
)


class Source(NamedTuple):
    """The model, the corpus or a set of a study.

    Attributes:
        section: ``model``, ``data``, or the kind of a set: ``exam``, ``retention``, ``mix``.
        manifest: the manifest.json of the files, under the folder of resources.
        copy: the study's own copy of it, with the digest of the bytes that its results were made with.
        request: what is asked for; see `request_of`.
        own: the user's own folder of a model, or files of a corpus; None for what is fetched or made.
        own_content: the digest of its bytes; None for what is fetched or made.
    """

    section: str
    manifest: str
    copy: str
    request: dict[str, Any]
    own: Path | OwnFiles | None = None
    own_content: str | None = None

    def known(self) -> str | None:
        """Return the digest of the bytes that are asked for, or None where only fetching can tell."""
        if self.own_content is not None:
            return self.own_content
        there = Path(self.manifest).is_file() and _meant(fetched_for(self.manifest)) == _meant(self.request)
        return content_of(read_manifest(self.manifest)) if there else None

    def own_names(self) -> list[str]:
        """Return what the user's own files are called below their folder; nothing for what is fetched or made."""
        return self.own.names if isinstance(self.own, OwnFiles) else []

    def so_far(self) -> dict[str, Any]:
        """Return the study's copy of the manifest; empty where nothing was made yet."""
        return read_json(self.copy) if Path(self.copy).is_file() else {}

    def is_the_same(self) -> bool:
        """Say whether the results so far were made with what is asked for: the same bytes, or the same request."""
        before, known = self.so_far(), self.known()
        if known is not None:
            return known == before.get("content")
        return _meant(before.get("request")) == _meant(self.request)

    def expected(self) -> str:
        """Return the digest that results are planned for: the known one, or that of the results so far, or a word."""
        return self.known() or (self.so_far()["content"] if self.is_the_same() else UNKNOWN)

    def fetches(self, needed: bool) -> int:
        """Return how often the study has fetched, with the one that is due.

        As a parameter of a rule it makes fetching due, and once: for something else than the results were made with, or
        for files that are gone and ``needed``.
        """
        due = not self.is_the_same() or (needed and self.known() is None)
        return self.so_far().get("fetches", 0) + due


def source_of(config: dict, section: str, conditions: Path) -> Source:
    """Return where the model or the corpus of a study comes from; own files are read for their digest.

    Args:
        config: the resolved configuration.
        section: ``model`` or ``data``.
        conditions: the table of medical facts that the embedded model and the demonstration corpus are made from.

    Raises:
        UserError: the user's own model or corpus is not there, not complete, or may not be read.
    """
    settings, resources = config[section], config["paths"]["resources"]
    kind = settings["source"]
    own = own_path(section, settings["path"]) if kind in OWN else None
    if isinstance(own, OwnFiles):
        name = folder_name(own.id)
    else:
        name = kind if kind in MADE else folder_name(settings["path" if own else "id"])
    manifest = f"{resources}/{FOLDERS[section]}/{name}/manifest.json"
    copy = f"{config['paths']['results']}/data/{COPIES[section]}"
    request = request_of(section, settings, conditions)
    if own is None:
        source = Source(section, manifest, copy, request)
        if section == "model" and source.known():
            require_all_targets(root_of(manifest), targets_of(config), settings["id"] if kind in HUBS else kind)
        return source
    content = own_content(section, own, Hashes(f"{resources}/{BOOKKEEPING}/sha256.json"))
    if section == "model":
        require_all_targets(own, targets_of(config), f"model.path, {own}")
    return Source(section, manifest, copy, request, own, content)


def sets_sources(config: dict, conditions: Path) -> dict[str, Source]:
    """Return where each set of a study comes from, by its name; own files are read for their digest.

    What is fetched or made lies in a folder whose name tells what was asked for, so that studies which share resources
    and mean other things by one name have a folder each.

    Raises:
        UserError: the user's own files are not there, not complete, or may not be read.
    """
    found = {}
    for name, asked in sets_of(config).items():
        own = own_path(asked.kind, asked.settings["path"], asked.key) if asked.settings["source"] in OWN else None
        request = request_of(asked.kind, asked.settings, conditions)
        folder = f"{config['paths']['resources']}/sets/{name}-{sha256_json(request)[:8]}"
        copy = f"{config['paths']['results']}/data/sets/{name}.json"
        content = None
        if own is not None:
            content = own_content(asked.kind, own, Hashes(f"{config['paths']['resources']}/{BOOKKEEPING}/sha256.json"))
        found[name] = Source(asked.kind, f"{folder}/manifest.json", copy, request, own, content)
    return found


def targets_of(config: dict) -> list[str | list[str]]:
    """Return the different values of `lora.target_modules` of the runs that were not trained with theirs yet."""
    named = []
    for run in runs_of(config):
        wanted = settings_for(config, run)["lora"]["target_modules"]
        (trained,) = files_of(config["paths"]["results"], [run.name], "training.json")
        before = read_json(trained).get("settings", {}).get("lora", {}) if Path(trained).is_file() else {}
        named += [] if wanted == before.get("target_modules") else [wanted]
    return [value for place, value in enumerate(named) if value not in named[:place]]


def require_all_targets(root: Path, targets: list[str | list[str]], where: str) -> None:
    """Raise `UserError` if a run's `lora.target_modules` do not fit the model whose files lie in ``root``, if any."""
    if not (root / "config.json").is_file() or not any((root / name).is_file() for name in (WHOLE, INDEX)):
        return
    try:
        found, settings = tensors(root, where), read_object(root / "config.json", where)
    except UserError:
        return  # what is damaged is told, and fetched again, where the files are verified
    for value in targets:
        require_targets(found, settings, value, where)


def request_of(section: str, settings: dict[str, Any], conditions: Path | None) -> dict[str, Any]:
    """Return what decides which model or corpus is meant.

    Args:
        section: ``model``, ``data``, or the kind of a set.
        settings: source, and what that source needs: path; id, revision, file; what `MADE_FROM` lists.
        conditions: the table of medical facts; needed for the sources ``tiny`` and ``demo``. The demo's base model
            lies beside it.
    """
    kind = settings["source"]
    if kind in OWN:
        return {"source": kind, "path": settings["path"]}
    if kind in MADE:
        if not conditions or not conditions.is_file():
            raise UserError(
                "F114", f"{section}.source: {kind} needs the table of medical facts; --conditions names no file"
            )
        if (section, kind) == ("model", "demo"):
            return {"source": kind, "content": content_of(shipped_manifest(conditions))}
        made = {key: settings[key] for key in MADE_FROM[section]}
        return {
            "source": kind,
            **made,
            "conditions": sha256_file(conditions),
            "code": [code_digest(maker) for maker in MAKERS[section]],
        }
    keys = ("id", "revision") if section == "model" else ("id", "revision", "file")
    return {"source": kind, **{key: settings[key] for key in keys}}


def shipped_manifest(conditions: Path) -> dict[str, Any]:
    """Return the manifest of the base model that lies beside the table of facts; `UserError` if there is none."""
    path = conditions.parent / SHIPPED / "manifest.json"
    try:
        return read_manifest(path)
    except UserError as error:
        raise UserError("F160", f"{path}: {NOT_AS_SHIPPED}") from error


def own_path(section: str, path: str | list[str] | None, key: str = "data") -> Path | OwnFiles:
    """Return the user's own model folder or the files of his corpus or set; `UserError` if there are none.

    ``key`` is what the configuration calls the section of a corpus or a set.
    """
    if section != "model":
        return own_corpus(path, key, plain=section in PLAIN)
    if not path:
        raise UserError(
            "C113", "model.path is not set; with model.source: local it is the folder of the model; name that"
        )
    found = Path(path).expanduser().absolute()
    if not found.is_dir():
        raise UserError("F107", f"model.path: {found} is not a folder; name that of a model")
    return model_folder(found)


def own_content(section: str, own: Path | OwnFiles, hashes: Hashes) -> str:
    """Return the digest of the user's own model folder or corpus, as `manifest.content_of` has it."""
    if isinstance(own, OwnFiles):
        root, names = own.root, own.names
    else:
        root = own
        names = model_files([file.name for file in own.iterdir() if file.is_file()], f"model.path, {own}")
        require_whole(own, f"model.path, {own}")
    files = [{"path": name, "sha256": hashes.sha256(root / name)} for name in names]
    return content_of({"kind": "model" if section == "model" else "data", "files": files})


def folder_content(config: dict, folder: str | None) -> str | None:
    """Return the digest of names and bytes of the files in a folder of the user's, or None where none is named."""
    if not folder:
        return None
    path = Path(folder).expanduser()
    hashes = Hashes(f"{config['paths']['resources']}/{BOOKKEEPING}/sha256.json")
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return sha256_json([[file.relative_to(path).as_posix(), hashes.sha256(file)] for file in files])


def point_to_own(section: str, own: Path | OwnFiles, manifest: Path) -> None:
    """Write the manifest of the user's own model folder or corpus, which stays where it is."""
    folder = manifest.parent
    try:
        if isinstance(own, OwnFiles):
            told = {"id": own.id, "root": own.root, "files": own.names, "skipped": own.skipped}
            write_manifest(folder, kind="data", source="file", **told)
        else:
            files = model_files([path.name for path in own.iterdir() if path.is_file()], f"model.path, {own}")
            require_shards(own, f"model.path, {own}")
            require_usable(own, f"model.path, {own}")
            known = {"id": identity(own)[0], "revision": identity(own)[1], "licence": licence_of(own)}
            write_manifest(folder, kind="model", source="local", root=own, files=files, **known)
    except PermissionError as error:
        raise UserError("B106", f"{section}.path: {error.filename} may not be read; change its permissions") from error


def follow(*sources: Source) -> None:
    """Note where the user's own files lie now, if they were moved or renamed since the study was made with them."""
    for source in sources:
        if source.own is None or not source.is_the_same():
            continue
        manifest, own = Path(source.manifest), source.own
        root, names = (own.root, own.names) if isinstance(own, OwnFiles) else (own, None)
        known = read_manifest(manifest) if manifest.is_file() else None
        renamed = known and names and [file["path"] for file in known["files"]] != names
        if known is None or content_of(known) != source.own_content or renamed:
            point_to_own(source.section, own, manifest)
        elif root != root_of(manifest):
            relocate(manifest, root)


def is_set_needed(config: dict, name: str) -> bool:
    """Say whether a job may still ask for the files of a set: until the study has its rows."""
    made = f"exams/{name.removeprefix('exam_')}" if name.startswith("exam_") else name
    return not Path(f"{config['paths']['results']}/data/{made}.jsonl").is_file()


def is_needed(config: dict, section: str) -> bool:
    """Say whether a job may still ask for the files: for the corpus until it is clean, the model until all answered."""
    results = config["paths"]["results"]
    if section == "data":
        made = [f"{results}/data/clean.parquet"]
    else:
        models = [*(run.name for run in runs_of(config)), "base"]
        made = files_of(results, models, "predictions.jsonl")
        if config["evaluation"]["exams"] or config["evaluation"]["retention"]:
            made += files_of(results, models, "examination.json")
    return not all(Path(path).is_file() for path in made)


def fetch_options(config: dict, source: Source, conditions: Path) -> str:
    """Return what the fetching program is told. Whether it is due says `Source.fetches`, and nothing else."""
    section = config[source.section]
    told = {source.section: as_json(section), "endpoint": section["endpoint"] or ""}
    told |= {"conditions": conditions, "output": source.manifest}
    return " ".join(f"--{name}={shlex.quote(str(value))}" for name, value in told.items())


def set_options(config: dict, name: str, source: Source, conditions: Path) -> str:
    """Return what the program that fetches a set is told."""
    asked = sets_of(config)[name]
    told = {"key": asked.key, "kind": asked.kind, "data": as_json(asked.settings), "name": name}
    told |= {"endpoint": asked.settings["endpoint"] or "", "conditions": conditions, "output": source.manifest}
    return " ".join(f"--{option}={shlex.quote(str(value))}" for option, value in told.items())


def _meant(request: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what of a request says which thing is meant: not which of the hubs it comes from, and not a path."""
    if request is None or request["source"] in OWN:
        return None
    return {key: value for key, value in request.items() if key != "source" or value not in HUBS}
