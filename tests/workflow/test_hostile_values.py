"""Values of the configuration that a shell would run: every rule passes them on as they were typed, and runs none."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import yaml

from medscale.base.config import SCHEMA, ConfigError, resolve
from workflow_runner import Copy

pytestmark = pytest.mark.workflow
HOSTILE = "a'b\"c; touch pwned; $(touch pwned) `touch pwned` & touch pwned | x\n touch pwned #{input} \\ ~ * ￥"
HOSTILE_PATH = HOSTILE.replace("\n", " ").replace("{input}", "").replace("/", "")
STUB = '''
"""Notes what it was told, and makes whatever it was told of that is not there."""
import json, os, sys
from pathlib import Path
words = [word for argument in sys.argv[1:] for word in (argument, argument.partition("=")[2])]
results = json.loads(os.environ["RESULTS"])
FOLDER = [f"{name}.csv" for name in ("results_summary", "configurations", "comparisons", "power")]
FOLDER += [f"{name}.csv" for name in ("knowledge", "knowledge_comparisons")]
FOLDER += [f"{name}.json" for name in ("scaling_fit", "recommendation", "learning_rates")]
FOLDER += [f"{name}.png" for name in ("data_scale_comparison", "method_comparison", "loss_curves", "scaling", "pareto")]
FOLDER += [f"{name}.png" for name in ("knowledge", "learning_rates")]
for word in words:
    path = Path(word)
    if not word.startswith(results + "/"):
        continue
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.name in ("adapter", "export", "tensorboard", "summary")
        path.mkdir() if made else path.write_text('{"content": "0"}')
    for name in FOLDER if path.name == "summary" else ():
        (path / name).write_text('{"sentence": {"en": "", "zh": ""}, "warnings": []}')
if "--help" not in sys.argv:
    note = Path(os.environ["NOTES"]) / f"{Path(sys.argv[0]).stem}-{os.getpid()}.json"
    note.write_text(json.dumps(sys.argv[1:]))
'''


ANY_NAME = "*"  # stands for a name that the user gives, as that of an exam


def free_texts(schema: dict, key: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every key of the schema whose value may be any text, or any that begins as an address."""
    kinds = [schema, *schema.get("anyOf", ())]
    kinds += [kind["items"] for kind in kinds if "items" in kind]
    kinds += [kind["items"] for kind in kinds if "items" in kind]
    types = [kind.get("type", ()) for kind in kinds]
    types = set(chain.from_iterable([name] if isinstance(name, str) else name for name in types))
    for name, part in schema.get("properties", {}).items():
        yield from free_texts(part, (*key, name))
    if schema.get("additionalProperties"):
        yield from free_texts(schema["additionalProperties"], (*key, ANY_NAME))
    if "string" in types and not any(kind.get("enum") for kind in kinds):
        patterns = [kind["pattern"] for kind in kinds if "pattern" in kind]
        if all(re.search(pattern, f"https://{HOSTILE}") for pattern in patterns):
            yield key


def hostile_keys(schema: dict, value: Any, key: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the keys of the schema at which a value of the configuration is hostile."""
    if isinstance(value, dict):
        for name, inner in value.items():
            known = name in schema.get("properties", {})
            part = schema["properties"][name] if known else schema.get("additionalProperties") or {}
            yield from hostile_keys(part, inner, (*key, name if known else ANY_NAME))
    elif "touch pwned" in json.dumps(value):
        yield key


# From a hub, so that every key that names a source has a meaning.
SOURCE = {"source": "huggingface", "file": HOSTILE, "revision": HOSTILE, "path": HOSTILE}
SOURCE |= {"id": "a/b", "endpoint": f"https://{HOSTILE}"}
FILES = {"delimiter": "'", "rows_key": HOSTILE}
CONFIG = {
    "model": {key: value for key, value in SOURCE.items() if key != "file"},
    "data": {
        **SOURCE,
        "columns": {
            **{"question": [HOSTILE, "b"], "answer": HOSTILE, "department": HOSTILE},
            **{"history": HOSTILE, "system": HOSTILE, "conversation": HOSTILE},
        },
        **{"csv": {"delimiter": "'"}, "json": {"rows_key": HOSTILE}, "ignore": [HOSTILE]},
    },
    "chat": {"system_prompt": HOSTILE},
    "lora": {"target_modules": [HOSTILE]},
    "overrides": {"lora_16": {"lora": {"target_modules": [f"another {HOSTILE}"]}}},
    "study": {
        **{"methods": ["lora"], "sizes": [16], "test_size": 8, "validation_size": 6},
        "mix": {
            **{**SOURCE, "system_prompt": HOSTILE, "files": FILES},
            "columns": {"question": [HOSTILE, "b"], "answer": HOSTILE},
        },
    },
    "training": {"learning_rate": "auto"},
    "evaluation": {
        **{"extra_metrics": ["bertscore"], "bertscore_model": HOSTILE},
        "exams": {
            "of_columns": {
                **{**SOURCE, "description": HOSTILE.replace("input", "subject")},
                "columns": {"question": HOSTILE, "options": [HOSTILE, "b"], "answer": HOSTILE, "subject": HOSTILE},
                **{"files": FILES, "subjects": [HOSTILE]},
            }
        },
        "retention": {**SOURCE, "column": HOSTILE, "files": FILES},
    },
    "recommendation": {"currency": HOSTILE},
    "export": {"gguf_converter": HOSTILE},
    "plan": {"cards": [HOSTILE]},
    "sessions": {HOSTILE: {"hours": 3}},
    "backup": {"path": HOSTILE},
    "judging": {"path": f"verdicts of {HOSTILE_PATH}"},
    "paths": {"results": HOSTILE_PATH, "resources": HOSTILE_PATH},
}
# One letter, and names of the study's own rows, which are checked.
OTHERWISE = (".delimiter", "judging.pairs")


def test_every_free_text_of_the_schema_is_tried():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    free = {".".join(key) for key in free_texts(schema)}
    assert {"model.path", "model.endpoint", "evaluation.exams.*.columns.options", "study.mix.columns.answer"} <= free
    tried = {".".join(key) for key in hostile_keys(schema, CONFIG)}
    assert not {key for key in free - tried if not key.endswith(OTHERWISE)}


def strings(value):
    """Yield every text in the arguments of a program, those in its JSON included."""
    if isinstance(value, dict):
        yield from chain(value, chain.from_iterable(map(strings, value.values())))
    elif isinstance(value, list):
        yield from chain.from_iterable(map(strings, value))
    elif isinstance(value, str):
        yield value
        inner = value.partition("=")[2] if value.startswith("--") else value
        yield inner
        if inner.startswith(("{", "[")):
            yield from strings(json.loads(inner))


def test_no_value_reaches_a_shell_as_a_command(tmp_path, monkeypatch):
    copy = Copy(tmp_path / "copy")
    for script in (copy.folder / "workflow" / "scripts").glob("*.py"):
        script.write_text(STUB, encoding="utf-8")
    (copy.folder / "small.yaml").write_text(yaml.safe_dump(CONFIG, allow_unicode=True), encoding="utf-8")
    (tmp_path / "notes").mkdir()
    told = {"RESULTS": json.dumps(HOSTILE_PATH), "NOTES": str(tmp_path / "notes")}
    verdicts = copy.folder / CONFIG["judging"]["path"] / f"{HOSTILE_PATH}.jsonl"
    copy.run("--cores", "2", "--resources", "gpu=1", **told)
    for target in ("plan", f"{HOSTILE_PATH}/lora_16/export", "backup", "restore", "judge_export"):
        copy.run(target, "--cores", "1", **told)
    verdicts.parent.mkdir(parents=True)
    verdicts.touch()
    copy.run("judge_import", "--cores", "1", **told)
    assert not list(tmp_path.rglob("pwned"))
    notes: dict[str, set[str]] = {}
    for note in (tmp_path / "notes").iterdir():
        notes.setdefault(note.stem.rsplit("-", 1)[0], set()).update(strings(json.loads(note.read_text("utf-8"))))
    rules = "".join(path.read_text(encoding="utf-8") for path in (copy.folder / "rules").glob("*.smk"))
    scripts = set(re.findall(r'\bscript\("(\w+)\.py"\)', rules))
    assert notes.keys() == scripts
    carrying = {"fetch_model", "fetch_data", "fetch_set", "clean", "exam_questions", "retention_texts", "mix_rows"}
    carrying |= {"encode", "pilot", "finetune", "predict", "score", "aggregate", "report", "plan", "backup"}
    for script in carrying | {"export"}:
        assert HOSTILE in notes[script], f"{script} got another value than was typed"
    assert HOSTILE.replace("input", "subject") in notes["examine"]
    assert {verdicts.parent.name, f"{verdicts.parent.name}/{verdicts.name}"} <= notes["judge_import"]
    for script in scripts:
        assert any(word.startswith(f"{HOSTILE_PATH}/") for word in notes[script]) or script in ("backup", "plan")


@pytest.mark.parametrize("path", ["a{b}", "{results}", "a\nb", "a\x07b", "a\0b"])
def test_a_folder_that_snakemake_could_not_name_is_refused(path):
    with pytest.raises(ConfigError, match=r"paths\.results = .* no braces and no control characters"):
        resolve({"paths": {"results": path}})
