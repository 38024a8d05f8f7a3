"""General texts: read from any file, drawn by a seed, and those of the demo are made here."""

import json
import subprocess
import sys

import pytest

from medscale.base.errors import UserError
from medscale.data.demo import everyday_texts
from medscale.data.general_texts import drawn, texts_of
from medscale.fetch.manifest import content_of, read_manifest, write_manifest
from places import SCRIPTS


def set_of(folder, name, content):
    (folder / name).write_text(content, encoding="utf-8")
    return write_manifest(folder, kind="data", source="demo", files=[name])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.jsonl", '{"text": "一篇", "n": 1}\n{"text": "  "}\n{"text": "二篇"}\n'),
        ("texts.csv", "text,n\n一篇,1\n ,2\n二篇,3\n"),
    ],
)
def test_texts_are_read_from_any_file_and_empty_ones_passed_over(tmp_path, name, content):
    assert list(texts_of(set_of(tmp_path, name, content), None, "text")) == [("t0000001", "一篇"), ("t0000003", "二篇")]


def test_what_is_no_text_is_passed_over(tmp_path):
    manifest = set_of(tmp_path, "texts.jsonl", '{"text": {"x": 1}}\n{"text": ["甲", "乙"]}\n{"text": "二篇"}\n')
    assert list(texts_of(manifest, None, "text"))[-1] == ("t0000003", "二篇")


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    manifest = set_of(tmp_path, "texts.jsonl", '{"content": "一篇", "n": 1}\n')
    with pytest.raises(UserError, match=r"'text'.*content") as caught:
        list(texts_of(manifest, None, "text"))
    assert caught.value.code == "E137"


def test_a_draw_is_by_seed_keeps_the_order_and_grows():
    texts = [(f"t{number:07d}", str(number)) for number in range(200)]
    few, more = drawn(texts, 20, 1), drawn(texts, 60, 1)
    assert few == sorted(few)
    assert set(few) < set(more)
    assert few != drawn(texts, 20, 2)
    assert drawn(texts, None, 1) == drawn(texts, 500, 1) == texts


def test_the_demos_texts_are_a_function_of_the_seed(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        everyday_texts.write(path, tmp_path, {"rows": 30, "seed": seed})
    one, again, other = (path.read_text(encoding="utf-8") for path in paths)
    assert one == again != other
    texts = [json.loads(line)["text"] for line in one.splitlines()]
    assert len(set(texts)) == 30
    assert min(map(len, texts)) > 20


def call(folder, manifest):
    settings = json.dumps({"column": "text", "max_texts": None, "seed": 1})
    told = ("--manifest", manifest, "--content", content_of(read_manifest(manifest)), "--settings", settings)
    command = [sys.executable, SCRIPTS / "retention_texts.py", *map(str, told), "--output", str(folder / "out.jsonl")]
    return subprocess.run(command, capture_output=True, text=True)


def test_rows_that_give_no_text_are_counted_and_too_many_stop(tmp_path):
    few = call(tmp_path, set_of(tmp_path, "texts.csv", "text,n\n一篇,1\n二篇,2\n三,篇,3\n ,4\n五篇,5\n"))
    assert few.returncode == 0, few.stderr
    assert "of 5 rows 3 are texts, 1 cannot be read (a comma or a quote too many?), 1 are empty" in few.stdout
    assert "warning: evaluation.retention: of 5 rows" in few.stderr
    many = call(tmp_path, set_of(tmp_path, "texts.csv", "text,n\n一,篇,1\n二,篇,2\n三,篇,3\n五篇,5\n"))
    assert many.returncode == 1
    assert "evaluation.retention, texts.csv: of 4 rows 1 are texts, 3 cannot be read" in many.stderr
    assert "E137" in many.stderr
