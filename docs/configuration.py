"""The reference of the configuration in both languages, written from the schema: every key, its type and its default.

The English descriptions stand in workflow/schemas/config.schema.yaml, the Chinese ones beside it in
descriptions.zh.yaml, a line a key. `make docs` writes config/README.md and docs/zh/configuration.md.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "workflow" / "schemas"
PAGES = {"en": ROOT / "config" / "README.md", "zh": ROOT / "docs" / "zh" / "configuration.md"}
UNDESCRIBED = ("overrides",)
"""Sections whose inner keys are those of others."""

HEADS = {
    "en": """\
# Configuration

Written by `make docs` from `workflow/schemas/config.schema.yaml`.

`config.yaml` is the study and is always read. `demo.yaml`, or a file of your own, is merged into it with
`--configfile`: sections merge, lists replace. One value changes with
`--config training='{learning_rate: 1e-4}'`. Everything is checked before anything runs.
中文：[docs/zh/configuration.md](../docs/zh/configuration.md)
""",
    "zh": """\
# 配置

由 `make docs` 根据 `workflow/schemas/config.schema.yaml` 和 `descriptions.zh.yaml` 生成。

`config/config.yaml` 就是研究本身，每次都会读取。`config/demo.yaml` 或你自己的文件用 `--configfile` 合并进去：
小节合并，列表整个替换。只改一个值可以用 `--config training='{learning_rate: 1e-4}'`。所有内容在运行之前检查。
English: [config/README.md](../../config/README.md)
""",
}
TABLE = {"en": "| key | type | default | meaning |", "zh": "| 键 | 类型 | 默认值 | 含义 |"}
THE_DEFAULT = {"en": "The default:", "zh": "默认值："}
EXAMPLES = {
    "overrides": """```yaml
overrides:
  qlora:      {training: {learning_rate: 0.0003}}
  100k:       {training: {epochs: 2}}
  qlora_100k: {training: {micro_batch: 2}, lora: {r: 32}}
```""",
    "sessions": """{default}

```yaml
sessions:
  colab:  {hours: 12}
  kaggle: {hours: 9, hours_per_week: 30}
```""",
}
WORDS = {
    "en": {
        **{
            "integer": "whole number",
            "number": "number",
            "string": "text",
            "boolean": "true, false",
            "section": "section",
        },
        **{
            "null": "null",
            "array": "list",
            "or": " or ",
            "list of": "list of ",
            "name": "name",
            ": ": ": ",
            ", ": ", ",
        },
        **{"(": " (", ")": ")"},
    },
    "zh": {
        **{"integer": "整数", "number": "数", "string": "文本", "boolean": "true, false", "section": "小节"},
        **{"null": "null", "array": "列表", "or": " 或 ", "list of": "列表：", "name": "名称", ": ": "：", ", ": "，"},
        **{"(": "（", ")": "）"},
    },
}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def pages() -> dict[Path, str]:
    """Return the text of both pages."""
    return {path: reference(language) for language, path in PAGES.items()}


@cache
def schema() -> dict[str, Any]:
    """Return the schema of the configuration."""
    return yaml.safe_load((SCHEMAS / "config.schema.yaml").read_text(encoding="utf-8"))


@cache
def chinese() -> dict[str, str]:
    """Return the Chinese description of each key."""
    return yaml.safe_load((SCHEMAS / "descriptions.zh.yaml").read_text(encoding="utf-8"))


def keys(part: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key of the schema with its part: ``training.epochs``, and ``*`` for names and items of a list.

    >>> [key for key, _ in keys({"properties": {"a": {"items": {"properties": {"b": {}}}}}})]
    ['a', 'a.*.b']
    """
    for name, inner in part.get("properties", {}).items():
        key = f"{prefix}{name}"
        yield key, inner
        if key in UNDESCRIBED:
            continue
        yield from keys(inner, f"{key}.")
        for many in ("items", "additionalProperties"):
            if isinstance(inner.get(many), dict):
                yield from keys(inner[many], f"{key}.*.")


def out_of_step() -> list[str]:
    """Return what is to be done in descriptions.zh.yaml so that it has a line for each key and no other."""
    wanted, there = [key for key, _ in keys(schema())], chinese()
    return [
        *(
            f"add a line `{key}: …` (Chinese for: {dict(keys(schema()))[key].get('description', key)})"
            for key in wanted
            if not there.get(key)
        ),
        *(f"take out the line of {key}, which is no key of the schema" for key in there if key not in wanted),
    ]


def reference(language: str) -> str:
    """Return the page of one language.

    Raises:
        ValueError: a key has no Chinese description; it says which line is to be added where.
    """
    if language == "zh" and (problems := out_of_step()):
        raise ValueError("\n  ".join(["workflow/schemas/descriptions.zh.yaml:", *problems]))
    lines = [HEADS[language]]
    for name, section in schema()["properties"].items():
        lines += [f"## `{name}`", "", described(name, section, language), ""]
        if "properties" in section:
            lines += [TABLE[language], "|---|---|---|---|", *rows(section, language, f"{name}."), ""]
        else:
            lines += [EXAMPLES[name].replace("{default}", THE_DEFAULT[language]), ""]
    return "\n".join(lines)


def described(key: str, part: dict[str, Any], language: str) -> str:
    """Return what a key means."""
    return part["description"].strip() if language == "en" else chinese()[key].strip()


def rows(section: dict[str, Any], language: str, prefix: str) -> Iterator[str]:
    """Yield a table row for each key of a section and of the sections in it."""
    for key, part in section["properties"].items():
        if "properties" in part:
            yield from rows(part, language, f"{prefix}{key}.")
        elif part.get("filled"):  # a map whose entries are sections
            yield row(f"{prefix}{key}", part | {"additionalProperties": {"type": "section"}}, language)
            yield from rows(part["additionalProperties"], language, f"{prefix}{key}.*.")
        else:
            yield row(f"{prefix}{key}", part, language)


def row(key: str, part: dict[str, Any], language: str) -> str:
    """Return the table row of one key."""
    name, default = key.split(".", 1)[1], json.dumps(part["default"], ensure_ascii=False)
    return f"| `{name}` | {kind(part, language)} | `{default}` | {described(key, part, language)} |"


def kind(part: dict[str, Any], language: str = "en") -> str:
    """Return the type of a key in words, with its bounds."""
    words = WORDS[language]
    if "enum" in part:
        return ", ".join(f"`{json.dumps(item).strip(chr(34))}`" for item in part["enum"])
    if "anyOf" in part:
        return words["or"].join(kind(choice, language) for choice in part["anyOf"])
    if "const" in part:
        return f"`{part['const']}`"
    if part["type"] == "array":
        return words["list of"] + kind(part["items"], language)
    if part["type"] == "object" and "properties" not in part:
        return words["name"] + words[": "] + kind(part["additionalProperties"], language)
    if part["type"] == "object":
        inner = (f"{key}{words[': ']}{kind(item, language)}" for key, item in part["properties"].items())
        return "{" + words[", "].join(inner) + "}"
    types = part["type"] if isinstance(part["type"], list) else [part["type"]]
    limits = words[", "].join(f"{sign} {part[bound]}" for bound, sign in BOUNDS.items() if bound in part)
    return words["or"].join(words[name] for name in types) + (f"{words['(']}{limits}{words[')']}" if limits else "")
