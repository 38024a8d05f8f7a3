"""Values of the configuration that a shell would run: every rule passes them on as they were typed, and runs none."""

import json
import re
from itertools import chain

import pytest
import yaml

from medscale.base.config import SCHEMA, ConfigError, resolve
from workflow_runner import Copy

pytestmark = pytest.mark.workflow
HOSTILE = "a'b\"c; touch pwned; $(touch pwned) `touch pwned` & touch pwned | x\n touch pwned #{input} \\ ~ * ￥"
HOSTILE_PATH = HOSTILE.replace("\n", " ").replace("{input}", "").replace("/", "")
NO_SHELL = ("model.endpoint", "data.endpoint", "model.id", "data.id")  # their pattern leaves nothing to a shell
STUB = '''
"""Notes what it was told, and makes whatever it was told of that is not there."""
import json, os, sys
from pathlib import Path
words = [word for argument in sys.argv[1:] for word in (argument, argument.partition("=")[2])]
results = json.loads(os.environ["RESULTS"])
FOLDER = ["results_summary.csv", "comparisons.csv", "power.csv", "scaling_fit.json", "recommendation.json"]
FOLDER += [f"{name}.png" for name in ("data_scale_comparison", "method_comparison", "loss_curves", "scaling", "pareto")]
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


def free_texts(schema, key=""):
    """Yield every key of the schema whose value may be any text."""
    for name, part in schema.get("properties", {}).items():
        inner = f"{key}.{name}" if key else name
        kinds = [part, *part.get("anyOf", ()), part.get("items", {})]
        types = chain.from_iterable(
            [kind["type"]] if isinstance(kind.get("type"), str) else kind.get("type", ()) for kind in kinds
        )
        if "properties" in part:
            yield from free_texts(part, inner)
        elif "string" in types and not any(kind.get("enum") for kind in kinds):
            yield inner


CONFIG = {
    "model": {"source": "huggingface", "revision": HOSTILE, "path": HOSTILE},
    "data": {
        **{"source": "huggingface", "file": HOSTILE, "revision": HOSTILE, "path": HOSTILE},
        "columns": {
            **{"question": [HOSTILE, "b"], "answer": HOSTILE, "department": HOSTILE},
            **{"history": HOSTILE, "system": HOSTILE, "conversation": HOSTILE},
        },
        **{"csv": {"delimiter": "'"}, "json": {"rows_key": HOSTILE}, "ignore": [HOSTILE]},
    },
    "chat": {"system_prompt": HOSTILE},
    "lora": {"target_modules": [HOSTILE]},
    "study": {"methods": ["lora"], "sizes": [16], "test_size": 8, "validation_size": 6},
    "evaluation": {"extra_metrics": ["bertscore"], "bertscore_model": HOSTILE},
    "recommendation": {"currency": HOSTILE},
    "export": {"gguf_converter": HOSTILE},
    "plan": {"cards": [HOSTILE]},
    "sessions": {HOSTILE: {"hours": 3}},
    "backup": {"path": HOSTILE},
    "paths": {"results": HOSTILE_PATH, "resources": HOSTILE_PATH},
}


def test_every_free_text_of_the_schema_is_tried():
    tried = {f"{section}.{key}" for section, values in CONFIG.items() for key in values}
    tried |= {f"data.{part}.{key}" for part in ("columns", "csv", "json") for key in CONFIG["data"][part]}
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    assert set(free_texts(schema)) - set(NO_SHELL) <= tried


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
    copy.run("--cores", "2", "--resources", "gpu=1", **told)
    for target in ("plan", f"{HOSTILE_PATH}/lora_16/export", "backup", "restore"):
        copy.run(target, "--cores", "1", **told)
    assert not list(tmp_path.rglob("pwned"))
    notes: dict[str, set[str]] = {}
    for note in (tmp_path / "notes").iterdir():
        notes.setdefault(note.stem.rsplit("-", 1)[0], set()).update(strings(json.loads(note.read_text("utf-8"))))
    rules = "".join(path.read_text(encoding="utf-8") for path in (copy.folder / "rules").glob("*.smk"))
    scripts = set(re.findall(r'\bscript\("(\w+)\.py"\)', rules))
    assert notes.keys() == scripts
    carrying = {"fetch_model", "fetch_data", "clean", "encode", "finetune", "predict", "score", "aggregate", "plan"}
    for script in carrying | {"backup", "export", "report"}:
        assert HOSTILE in notes[script], f"{script} got another value than was typed"
    for script in scripts:
        assert any(word.startswith(f"{HOSTILE_PATH}/") for word in notes[script]) or script in ("backup", "plan")


@pytest.mark.parametrize("path", ["a{b}", "{results}", "a\nb", "a\x07b", "a\0b"])
def test_a_folder_that_snakemake_could_not_name_is_refused(path):
    with pytest.raises(ConfigError, match=r"paths\.results = .* no braces and no control characters"):
        resolve({"paths": {"results": path}})
