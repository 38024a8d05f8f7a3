"""What a key of the configuration takes, in words, and which allowed value somebody meant who wrote another one."""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

_KINDS = {"object": "a section (key: value)", "array": "a list", "integer": "a whole number", "number": "a number"}
_KINDS |= {"string": "a text", "boolean": "true or false", "null": "null"}
_BOUNDS = {"minimum": "from", "exclusiveMinimum": "greater than", "maximum": "at most"}
_BOUNDS |= {"exclusiveMaximum": "less than"}
_SEVERAL = {"string": "texts", "integer": "whole numbers", "number": "numbers"}
_THOUSANDS = {"k": 1000, "m": 1_000_000}


def kinds(types: str | list[str]) -> str:
    """Return types of JSON in words.

    >>> kinds(["array", "null"])
    'a list or null'
    """
    return " or ".join(_KINDS[name] for name in ([types] if isinstance(types, str) else types))


def one_of(values: list[Any]) -> str:
    """Return the values that a key takes."""
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values)


def form_of(schema: dict) -> str:
    """Return what a part of the schema allows.

    >>> form_of({"anyOf": [{"const": "auto"}, {"type": "number", "exclusiveMinimum": 0, "maximum": 1}]})
    '"auto" or a number greater than 0 and at most 1'
    """
    if "anyOf" in schema:
        return " or ".join(map(form_of, schema["anyOf"]))
    if "const" in schema:
        return one_of([schema["const"]])
    if "enum" in schema:
        return f"one of {one_of(schema['enum'])}"
    if schema["type"] == "array":
        return f"a list of {_SEVERAL[schema['items']['type']]}" + (", one at least" if schema.get("minItems") else "")
    bounds = " and ".join(f"{words} {schema[key]}" for key, words in _BOUNDS.items() if key in schema)
    return f"{kinds(schema['type'])} {bounds}".strip()


def hint(value: Any, schema: dict) -> str:
    """Return `` (did you mean …?)`` where a value that is not allowed is near one that is, else an empty text.

    >>> hint("AUTO", {"enum": ["auto", "bf16"]}), hint("largest", {"type": "array", "items": {"type": "string"}})
    (' (did you mean auto?)', ' (did you mean [largest]?)')
    """
    accepts = Draft202012Validator(schema).is_valid
    found = next((each for each in _candidates(value, schema) if each != value and accepts(each)), None)
    return "" if found is None else f" (did you mean {_as_yaml(found)}?)"


def _candidates(value: Any, schema: dict) -> Iterator[Any]:
    """Yield what may have been meant: a word in another spelling, 10k, one value where a list is meant, and back."""
    if isinstance(value, str):
        words = {_plain(word): word for word in _words(schema)}
        yield from (words[name] for name in difflib.get_close_matches(_plain(value), words, n=1, cutoff=0.75))
        if number := re.fullmatch(r"(\d+)([km])", value.strip(), re.IGNORECASE):
            yield int(number[1]) * _THOUSANDS[number[2].lower()]
    if isinstance(value, list):
        yield from value if len(value) == 1 else ()
    elif not isinstance(value, dict) and value is not None:
        items = [part["items"] for part in (schema, *schema.get("anyOf", ())) if "items" in part]
        parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
        for item in items:
            yield [next((each for each in _candidates(part, item) if each != part), part) for part in parts]
            yield parts


def _words(schema: dict) -> Iterator[str]:
    """Yield the words that a part of the schema allows."""
    for part in (schema, *schema.get("anyOf", ())):
        named = [*part.get("enum", ()), part.get("const")]
        listed = re.fullmatch(r"\^\(([\w|]+)\)\$", part.get("pattern", ""))
        yield from (word for word in named if isinstance(word, str))
        yield from listed[1].split("|") if listed else ()


def _plain(word: str) -> str:
    return re.sub(r"[\s_-]+", "", word.casefold())


def _as_yaml(value: Any) -> str:
    """Return a value as it may be written: words without quotes."""
    return re.sub(r'"([A-Za-z][\w./-]*)"', r"\1", json.dumps(value, ensure_ascii=False))
