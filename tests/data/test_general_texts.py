"""General texts: read from any file, drawn by a seed, and those of the demo are made here."""

import gzip
import json
import subprocess
import sys
import zipfile
from collections import Counter

import pytest

from medscale.base.errors import UserError
from medscale.data.demo import everyday_texts
from medscale.data.general_texts import drawn, texts_of
from medscale.fetch.corpus_files import chosen_files
from medscale.fetch.manifest import content_of, read_manifest, write_manifest
from medscale.fetch.sources import own_path
from places import SCRIPTS


def point(folder, path):
    """Return the manifest of files of one's own, as fetch_set.py writes it."""
    told = ("--kind", "retention", "--key", "evaluation.retention", "--name", "retention", "--source", "file")
    command = [
        sys.executable,
        SCRIPTS / "fetch_set.py",
        *told,
        "--path",
        str(path),
        "--output",
        folder / "manifest.json",
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "manifest.json"


def set_of(folder, name, content):
    (folder / name).write_text(content, encoding="utf-8")
    return write_manifest(folder, kind="data", source="demo", files=[name])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("texts.jsonl", '{"text": "一篇", "n": 1}\n{"text": "  "}\n{"text": "二篇"}\n'),
        ("texts.csv", "text,n\n一篇,1\n ,2\n二篇,3\n"),
        ("texts.txt", '{"text": "一篇"}\n{"text": ""}\n{"text": "二篇"}\n'),
    ],
)
def test_texts_are_read_from_any_file_and_empty_ones_passed_over(tmp_path, name, content):
    assert list(texts_of(set_of(tmp_path, name, content), None, "text")) == [("t0000001", "一篇"), ("t0000003", "二篇")]


PLAIN = "春天来了，燕子从南方飞回来。\n\n\n夏天，荷花开满了池塘。\r\n  秋天, 稻子熟了。 \n"
LINES = ["春天来了，燕子从南方飞回来。", "夏天，荷花开满了池塘。", "秋天, 稻子熟了。"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_plain_file_has_a_text_a_line_and_blank_lines_are_nothing(tmp_path, encoding):
    (tmp_path / "texts.txt").write_bytes(PLAIN.encode(encoding))
    counts = Counter()
    manifest = point(tmp_path, tmp_path / "texts.txt")
    assert [text for _, text in texts_of(manifest, None, "text", counts)] == LINES
    assert counts == {"read": 3, "kept": 3}


def test_plain_files_are_read_packed_from_a_folder_and_what_documents_it_is_not(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "README.txt").write_text("Downloaded yesterday.", encoding="utf-8")
    (folder / "1.txt").write_text(LINES[0], encoding="utf-8")
    (folder / "2.txt.gz").write_bytes(gzip.compress(LINES[1].encode()))
    with zipfile.ZipFile(folder / "3.zip", "w") as archive:
        archive.writestr("spring/3.txt", LINES[2])
    manifest = point(tmp_path, folder)
    assert [text for _, text in texts_of(manifest, None, "text")] == LINES
    assert read_manifest(manifest)["skipped"] == ["README.txt (no data file)"]


def test_plain_text_is_general_text_alone(tmp_path):
    (tmp_path / "x.txt").write_text(PLAIN, encoding="utf-8")
    asked = (["a/x.txt", "b.csv"], "a/x.txt", "evaluation.retention", "modelscope", "o/n")
    assert chosen_files(*asked, plain=True) == ["a/x.txt"]
    assert own_path("retention", str(tmp_path), "evaluation.retention").names == ["x.txt"]
    for refused in (lambda: chosen_files(*asked), lambda: own_path("mix", str(tmp_path / "x.txt"), "study.mix")):
        with pytest.raises(UserError, match="plain text") as caught:
            refused()
        assert caught.value.code == "D101"


def test_what_is_no_text_is_passed_over(tmp_path):
    manifest = set_of(tmp_path, "texts.jsonl", '{"text": {"x": 1}}\n{"text": ["甲", "乙"]}\n{"text": "二篇"}\n')
    assert list(texts_of(manifest, None, "text"))[-1] == ("t0000003", "二篇")


def test_halves_of_surrogate_pairs_which_no_file_can_hold_are_left_out(tmp_path):
    found = texts_of(set_of(tmp_path, "a.jsonl", json.dumps({"text": "春\ud83d天"}) + "\n"), None, "text")
    assert [text for _, text in found] == ["春天"]


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
    assert "of 5 rows 3 are texts, 1 cannot be read (a comma or a quote too many?), 1 is empty" in few.stdout
    assert "warning: evaluation.retention: of 5 rows" in few.stderr
    many = call(tmp_path, set_of(tmp_path, "texts.csv", "text,n\n一,篇,1\n二,篇,2\n三,篇,3\n五篇,5\n"))
    assert many.returncode == 1
    assert "evaluation.retention, texts.csv: of 4 rows 1 is a text, 3 cannot be read" in many.stderr
    assert "E137" in many.stderr
