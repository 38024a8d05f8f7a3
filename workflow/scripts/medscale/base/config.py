"""The configuration: read, filled with defaults, checked, and every mistake named at once."""

import difflib
import json
import math
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from medscale.base.config_values import form_of, hint, kinds, one_of
from medscale.base.errors import UserError
from medscale.base.files import nameable
from medscale.base.judge_settings import judged_names
from medscale.base.pilots import without_pilot
from medscale.base.settings import override_keys, sets_of, settings_for
from medscale.base.study import runs_of, seed_sizes

_DEEPEST = 50
_SURROGATE = re.compile("[\ud800-\udfff]")
HINTED = ("type", "enum", "pattern", "anyOf")
"""Rules whose messages say what may have been meant."""
FEWEST_OF_DEMO = 8
"""Questions of the demo's exam: four are made of facts that training rows hold, and four of others."""
SCHEMA = Path(__file__).parents[3] / "schemas" / "config.schema.yaml"


class ConfigError(UserError):
    """One or more values of the configuration are not allowed; each has a line and a code of its own."""


class Problem(NamedTuple):
    """One thing that is wrong with the configuration, and its code."""

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.text} [{self.code}]"


def resolve(config: dict) -> dict:
    """Return ``config`` with defaults filled in and values typed, or say all that is wrong with it.

    Args:
        config: the merged configuration as Snakemake hands it over; it is not changed.

    Returns:
        A new dictionary with every key of the schema.

    Raises:
        ConfigError: names each key, its value and what is allowed.
    """
    schema = json.loads(_schema())
    resolved = _typed(_plain(config), schema)
    problems = list(_not_finite(resolved)) or [
        _explain(error) for error in Draft202012Validator(schema).iter_errors(resolved)
    ]
    if not problems:
        resolved = _filled(resolved, schema)
        resolved["paths"] = {key: _expanded(path) for key, path in resolved["paths"].items()}
        problems = list(_contradictions(resolved))
    if problems:
        raise _refusal(problems)
    return resolved


def _refusal(problems: list[Problem]) -> ConfigError:
    """Return the error that has a line for each problem, with its code; that of the last is the error's own."""
    *others, last = dict.fromkeys(problems)
    lines = [*map(str, others), last.text]
    return ConfigError(last.code, "\n  - ".join(["the configuration is not usable:", *lines]))


def _plain(config: Any) -> dict:
    """Return a copy of what YAML may hold, or say what in it is nothing that a key of ours can be."""
    if not isinstance(config, dict):
        raise ConfigError(
            "C102", f"the configuration is not usable: it must be sections (key: value), not {config!r:.100}"
        )
    problems = list(_strange(config))
    if problems:
        raise _refusal(problems)
    return json.loads(json.dumps(config))


def _strange(value: Any, key: str = "", inside: tuple[int, ...] = ()) -> Iterator[Problem]:
    """Yield what YAML has and a configuration has not: dates, bytes, sets, keys that are no text, endless nesting."""
    if isinstance(value, dict | list):
        if id(value) in inside or len(inside) > _DEEPEST:
            yield Problem(
                "C128",
                f"{key}: is nested too deeply, or holds itself (an alias such as *name inside its own anchor &name); "
                "write it out",
            )
            return
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            # A size is written 100 as well as 100k: numbers may stand for names, as they do in JSON.
            if not isinstance(name, str | int | float):
                yield Problem(
                    "C127", f"{key or 'the configuration'}: {name!r:.100} cannot be a key; write it in quotes"
                )
                continue
            yield from _strange(item, f"{key}.{name}" if key else str(name), (*inside, id(value)))
    elif not isinstance(value, str | int | float | None):
        yield Problem(
            "C127", f"{key} = {value}: YAML reads this as {type(value).__name__}; write it in quotes if it is a text"
        )
    elif isinstance(value, str) and _SURROGATE.search(value):
        yield Problem(
            "C129",
            f"{key} = {value!r:.100}: holds half of a surrogate pair, which no file can hold; write the character "
            "itself",
        )


@cache
def _schema() -> str:
    """Return the schema as JSON: YAML takes a tenth of a second, and who changes what was read changes no other."""
    return json.dumps(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def _expanded(path: str) -> str:
    """Return a folder with the home of ``~`` or ``~name`` written out and without a slash at its end."""
    return os.path.expanduser(path).rstrip("/") or "/"


def _typed(value: Any, schema: dict) -> Any:
    """Give strings the type that the schema wants: ``--config`` hands over '1', and YAML reads 1e-4 as a string."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
        return {
            key: _typed(item, properties.get(key, extra if isinstance(extra, dict) else {}))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_typed(item, schema.get("items", {})) for item in value]
    kind = {key: schema[key] for key in ("type", "enum", "anyOf") if key in schema}
    if isinstance(value, str) and not _accepts(value, kind):
        for candidate in _readings(value):
            if _accepts(candidate, kind):
                value = candidate
                break
    # JSON Schema takes 1000.0 for an integer; a run's name must not.
    wanted = [part.get("type", ()) for part in (schema, *schema.get("anyOf", ()))]
    whole = isinstance(value, float) and value.is_integer() and any("integer" in types for types in wanted)
    return int(value) if whole else value


def _readings(text: str) -> Iterator[Any]:
    """Yield what ``text`` may have meant: a YAML value, or a number such as 1e-4."""
    try:
        yield yaml.safe_load(text)
    except yaml.YAMLError:
        return
    try:
        yield float(text)
    except ValueError:
        return


def _not_finite(value: Any, key: str = "") -> Iterator[Problem]:
    """Yield what is wrong with numbers that YAML has and JSON has not."""
    if isinstance(value, dict | list):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_finite(item, f"{key}.{name}" if key else str(name))
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem("C111", f"{key} = {value}: must be a finite number")


def _accepts(value: Any, schema: dict) -> bool:
    return Draft202012Validator(schema).is_valid(value)


def _filled(value: dict, schema: dict) -> dict:
    """Return ``value`` with the schema's defaults in every section."""
    filled = {}
    for key, part in schema["properties"].items():
        given = value[key] if key in value else part.get("default", {})
        if given is None and "null" in part.get("type", ()):
            filled[key] = None
        elif "properties" in part:
            filled[key] = _filled(given or {}, part)
        elif part.get("filled"):  # a map whose entries have defaults too; in `overrides` they have none
            filled[key] = {name: _filled(entry or {}, part["additionalProperties"]) for name, entry in given.items()}
        else:
            filled[key] = given
    return filled


def _kind(schema: dict, types: str | list[str]) -> str:
    """Return what a value must be: a section with what it looks like, where the schema says so."""
    return kinds(types) + (f" such as {schema['form']}" if types == "object" and "form" in schema else "")


def _explain(error: ValidationError) -> Problem:
    """Say in one line which key is wrong, its value, and what is allowed."""
    key, value, rule, limit = error.json_path.removeprefix("$.").removeprefix("$"), error.instance, *_rule(error)
    shown = json.dumps(value, ensure_ascii=False)
    if key.endswith("endpoint"):
        shown = re.sub(r"[^\s/\"]*@", "***@", shown)
    # What an address is near to is not told: it may hold a password.
    meant = "" if key.endswith("endpoint") or rule not in HINTED else hint(value, error.schema)
    if rule == "additionalProperties":
        allowed = list(error.schema.get("properties", {}))
        unknown = [name for name in value if name not in allowed]
        prefix = f"{key}." if key else ""
        return Problem("C101", "; ".join(f"{prefix}{name}: unknown key{_similar(name, allowed)}" for name in unknown))
    wanted = {
        "type": lambda: Problem("C102", f"must be {_kind(error.schema, limit)}{meant}"),
        "enum": lambda: Problem("C103", f"must be one of {one_of(limit)}{meant}"),
        "minimum": lambda: Problem("C104", f"must be at least {limit}"),
        "exclusiveMinimum": lambda: Problem("C104", f"must be greater than {limit}"),
        "maximum": lambda: Problem("C104", f"must be at most {limit}"),
        "exclusiveMaximum": lambda: Problem("C104", f"must be less than {limit}"),
        "multipleOf": lambda: Problem("C104", f"must be a multiple of {limit}"),
        "minItems": lambda: Problem("C105", f"must have at least {limit} item(s)"),
        "minLength": lambda: Problem("C105", "must not be empty"),
        "maxLength": lambda: Problem("C108", f"must be at most {limit} character{'s' * (limit > 1)} long"),
        "minProperties": lambda: Problem("C105", "must not be empty"),
        "required": lambda: Problem("C106", "needs each of " + ", ".join(limit)),
        "uniqueItems": lambda: Problem("C107", "has the same item twice; each may stand once"),
        "pattern": lambda: Problem("C108", f"must be {error.schema.get('form', f'like {limit}')}{meant}"),
        "anyOf": lambda: Problem("C109", f"must be {form_of(error.schema)}{meant}"),
    }
    if "propertyNames" in error.absolute_schema_path:  # the value is a name itself
        told = error.schema.get("description", f"must look like {limit}")
        return Problem("C108", f"{key}: {shown} cannot be a name there; {told}")
    problem = wanted[rule]() if rule in wanted else Problem("C109", error.message)
    return problem._replace(text=f"{key} = {shown}: {problem.text}")


def _rule(error: ValidationError) -> tuple[str, Any]:
    return str(error.validator), error.validator_value


def _similar(name: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(name, allowed, n=1)
    return (f" (did you mean {near[0]}?)" if near else "") + "; allowed here: " + ", ".join(allowed)


def _contradictions(config: dict) -> Iterator[Problem]:
    """Yield what a schema cannot say: values that are fine alone and impossible together."""
    model, data, study = config["model"], config["data"], config["study"]
    for key, path in config["paths"].items():
        if path.startswith("~"):
            yield Problem(
                "C112",
                f"paths.{key} = {json.dumps(path, ensure_ascii=False)}: there is no such user; write the folder out",
            )
    named = {f"paths.{key}": path for key, path in config["paths"].items()}
    for key, path in (named | {"judging.path": config["judging"]["path"] or ""}).items():
        if not nameable(path):
            yield Problem(
                "C130",
                f"{key} = {json.dumps(path, ensure_ascii=False)}: must have no braces and no control characters; "
                "name another folder",
            )
    if model["source"] == "local" and not model["path"]:
        yield Problem("C113", "model.path = null: must name a model directory, because model.source is local")
    if data["source"] == "file" and not data["path"]:
        yield Problem("C113", "data.path = null: must name a corpus file, because data.source is file")
    yield from _exam_name_problems(list(config["evaluation"]["exams"]))
    yield from _exam_problems(config["evaluation"]["exams"])
    for asked in sets_of(config).values():
        if asked.settings["source"] == "file" and not asked.settings["path"]:
            yield Problem("C113", f"{asked.key}.path = null: must name a file, because {asked.key}.source is file")
        if asked.settings["source"] in ("huggingface", "modelscope"):
            missing = [key for key in ("id", "file") if not asked.settings[key]]
            if missing:
                yield Problem(
                    "C137",
                    f"{asked.key}.{missing[0]} = null: must be given, because {asked.key}.source is "
                    f"{asked.settings['source']}: id is owner/name of a data set there, file what to take from it",
                )
    if data["department_folder"] and data["columns"]["department"]:
        yield Problem(
            "C131",
            f"data.department_folder = {data['department_folder']}: must be null where data.columns.department names a "
            "column, or that null",
        )
    needed = max(study["sizes"]) + study["test_size"] + study["validation_size"]
    if data["source"] == "demo" and needed > data["rows"]:
        yield Problem(
            "C114",
            f"study.sizes = {study['sizes']}: the largest, with study.test_size {study['test_size']} and "
            f"study.validation_size {study['validation_size']}, needs {needed} rows, and data.rows is {data['rows']}",
        )
    for side in ("question", "answer"):
        low, high = config["cleaning"][f"min_{side}_characters"], config["cleaning"][f"max_{side}_characters"]
        if low > high:
            yield Problem(
                "C115",
                f"cleaning.min_{side}_characters = {low}: must be at most max_{side}_characters, which is {high}",
            )
    if "bertscore" in config["evaluation"]["extra_metrics"] and not config["evaluation"]["bertscore_model"]:
        yield Problem(
            "C116",
            "evaluation.bertscore_model = null: must name the directory of an encoder, because "
            "evaluation.extra_metrics has bertscore",
        )
    samples = config["evaluation"]["max_samples"]
    if samples and samples > study["test_size"]:
        yield Problem(
            "C117",
            f"evaluation.max_samples = {samples}: must be at most study.test_size, which is {study['test_size']}; "
            "null takes every test item",
        )
    yield from _seed_problems(config)
    for run in without_pilot(config):
        yield Problem(
            "C143",
            f'training.learning_rate = "auto" (in {run.name}): {run.method} has no run of {run.size} rows in the main '
            "arm that a pilot could try rates for; give this run a number in overrides, or name the method in "
            "study.methods",
        )
    yield from _control_problems(config)
    yield from _mix_problems(config)
    yield from _override_problems(config)
    yield from _judging_problems(config)


def _seed_problems(config: dict) -> Iterator[Problem]:
    study = config["study"]
    if study["seeds_at"] is None:
        return
    shown = json.dumps(study["seeds_at"])
    if len(study["seeds"]) == 1:
        yield Problem(
            "C150",
            f"study.seeds_at = {shown}: says where further seeds are trained, and study.seeds has one alone; name "
            "several, or set study.seeds_at: null",
        )
    strange = sorted(seed_sizes(config) - set(study["sizes"]))
    if strange:
        yield Problem(
            "C151",
            f"study.seeds_at = {shown}: {', '.join(map(str, strange))} is none of study.sizes, which are "
            f"{study['sizes']}; take some of these, or smallest, or largest",
        )


def _mix_problems(config: dict) -> Iterator[Problem]:
    study = config["study"]
    if not study["mix"]:
        return
    share = study["mix"]["share"]
    if abs(100 * share - round(100 * share)) > 1e-6:
        yield Problem("C152", f"study.mix.share = {share}: must be whole percents, such as 0.1, which names the runs")
    for place, run in enumerate(study["mix"]["runs"] or ()):
        if run["size"] not in study["sizes"]:
            yield Problem(
                "C153",
                f"study.mix.runs[{place}].size = {run['size']}: is none of study.sizes, which are "
                f"{study['sizes']}; a run with general rows repeats one of them",
            )
    for run in runs_of(config):
        if run.mix is not None and settings_for(config, run)["training"]["max_steps"]:
            yield Problem(
                "C154",
                f"training.max_steps (in {run.name}): must be null, because a run with general rows takes more steps "
                "than the run that it is compared with",
            )


def _exam_name_problems(names: list[str]) -> Iterator[Problem]:
    """Yield names of exams that would be another's: they stand in file names, columns and variables."""
    folded: dict[str, str] = {}
    for name in names:
        if name.casefold() == "retention" or name.casefold().endswith(("_lo", "_hi")):
            reason = (
                "is the name of the general texts"
                if name.casefold() == "retention"
                else "ends as an interval's column does"
            )
            yield Problem("C138", f"evaluation.exams.{name}: {reason}; give the exam another name")
        twin = folded.setdefault(name.casefold(), name)
        if twin != name:
            yield Problem(
                "C138", f"evaluation.exams.{name}: differs from {twin} in capital letters only; give one another name"
            )


def _exam_problems(exams: dict[str, dict]) -> Iterator[Problem]:
    """Yield settings of exams that would be passed over in silence."""
    for name, exam in exams.items():
        key = f"evaluation.exams.{name}"
        if exam["permutations"] == "all" and exam["scored_by"] == "text":
            yield Problem(
                "C139",
                f"{key}.permutations = all: must be 1 where scored_by is text, because such a prompt lists no options "
                "that could be put in another order",
            )
        told = "max_questions" if exam["max_questions"] else "rows"
        if exam["source"] == "demo" and (exam[told] or FEWEST_OF_DEMO) < FEWEST_OF_DEMO:
            yield Problem(
                "C139",
                f"{key}.{told} = {exam[told]}: questions of the demo come in eights, four of facts that training rows "
                f"hold and four of others; ask for {FEWEST_OF_DEMO} at least",
            )
        wrong = [found for found in re.findall(r"\{[^{}]*\}", exam["description"] or "") if found != "{subject}"]
        if wrong:
            yield Problem(
                "C139", f"{key}.description: {wrong[0]} stands for nothing; {{subject}} alone is put in, by the subject"
            )


def _control_problems(config: dict) -> Iterator[Problem]:
    study = config["study"]
    for place, control in enumerate(study["controls"]):
        if control["size"] not in study["sizes"]:
            yield Problem(
                "C118",
                f"study.controls[{place}].size = {control['size']}: must be one of study.sizes, which are "
                f"{study['sizes']}: a control repeats one of them",
            )
    for run in runs_of(config):
        if run.epochs is not None and settings_for(config, run)["training"]["max_steps"]:
            yield Problem(
                "C119", f"training.max_steps (in {run.name}): must be null, because a control is told by its epochs"
            )


def _override_problems(config: dict) -> Iterator[Problem]:
    runs = runs_of(config)
    names = sorted({key for run in runs for key in override_keys(run)})
    for name, sections in config["overrides"].items():
        if name not in names:
            yield Problem("C120", f"overrides.{name}: no such method, size or run in this study{_similar(name, names)}")
        if "max_length" in sections.get("training", {}):
            yield Problem(
                "C121",
                f"overrides.{name}.training.max_length: cannot differ between runs, because LoRA and QLoRA share the "
                "encoded rows; set training.max_length",
            )


def _judging_problems(config: dict) -> Iterator[Problem]:
    known = judged_names(config)
    seen: set[frozenset[str]] = set()
    for place, pair in enumerate(config["judging"]["pairs"] or ()):
        key = f"judging.pairs[{place}] = {json.dumps(pair, ensure_ascii=False)}"
        for name in pair:
            if name not in known:
                yield Problem("C147", f"{key}: there is no {name} in this study{_similar(name, known)}")
        if pair[0] == pair[1]:
            yield Problem("C148", f"{key}: compares {pair[0]} with itself; name two")
        elif frozenset(pair) in seen:
            yield Problem("C148", f"{key}: stands twice, whichever comes first; each pair may stand once")
        seen.add(frozenset(pair))
