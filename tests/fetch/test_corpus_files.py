"""Which files a corpus is made of: paths, folders and patterns; their order; what is passed over, what is refused."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.config import resolve
from medscale.base.errors import UserError
from medscale.fetch.corpus_files import REFUSED, own_corpus, select
from medscale.fetch.endings import UNREAD, ending, in_order
from medscale.fetch.manifest import content_of, read_manifest, root_of, write_manifest
from medscale.fetch.sources import follow, point_to_own, source_of
from places import ROOT

CONDITIONS = ROOT / "resources" / "demo" / "conditions.json"
TREE = ["内科/a2.csv", "内科/a10.csv", "外科/b.csv", "外科/old/c.jsonl", "d.parquet"]


@pytest.fixture
def folder(tmp_path):
    """A folder of data files, each with bytes of its own."""
    place = tmp_path / "语料"
    for name in TREE:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"question,answer\n{name},x\n", encoding="utf-8")
    return place


def study(tmp_path: Path, path) -> object:
    """Return the source of a study's corpus."""
    paths = {"results": str(tmp_path / "results"), "resources": str(tmp_path / "resources")}
    config = resolve({"data": {"source": "file", "path": path}, "paths": paths})
    return source_of(config, "data", CONDITIONS)


@pytest.mark.parametrize(
    ("path", "names", "root"),
    [
        ("", ["d.parquet", *TREE[:4]], ""),
        ("内科", ["a2.csv", "a10.csv"], "内科"),
        ("内科/a2.csv", ["a2.csv"], "内科"),
        ("**/*.csv", TREE[:3], ""),
        ("*/*.csv", TREE[:3], ""),
        ("*.parquet", ["d.parquet"], ""),
        ("内科/a?.csv", ["a2.csv"], "内科"),
        ("?科/[!a]*.csv", ["外科/b.csv"], ""),
        ("外科/**", ["b.csv", "old/c.jsonl"], "外科"),
        (["外科/b.csv", "内科"], ["内科/a2.csv", "内科/a10.csv", "外科/b.csv"], ""),
        (["内科/a10.csv", "内科/a2.csv", "内科/*.csv"], ["a2.csv", "a10.csv"], "内科"),
    ],
)
def test_a_file_a_folder_a_pattern_or_a_list_of_them(folder, path, names, root):
    given = [str(folder / one) for one in path] if isinstance(path, list) else str(folder / path)
    own = own_corpus(given)
    assert sorted(own.names) == sorted(names)
    assert own.names == in_order(names)
    assert own.root == folder / root
    assert all((own.root / name).is_file() for name in own.names)


def test_the_order_is_that_of_the_numbers_in_names():
    names = ["part-10", "part-9.csv", "part-9/b", "Part-1", "part-09", "内科", "é2", "e\u03011"]
    assert in_order(names) == ["Part-1", "part-09", "part-9/b", "part-9.csv", "part-10", "e\u03011", "é2", "内科"]


@settings(derandomize=True)
@given(st.lists(st.text("ab1209/.é科", min_size=1), unique=True), st.randoms())
def test_the_order_does_not_depend_on_how_names_come(names, random):
    shuffled = random.sample(names, len(names))
    assert in_order(names) == in_order(shuffled)


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.csv", ".csv"), ("a.CSV.GZ", ".csv.gz"), ("b.v2/a", ""), ("a.v2.zip", ".zip"), ("a.xlsx.gz", ".xlsx.gz")],
)
def test_the_ending_that_decides_how_a_file_is_read(name, found):
    assert ending(name) == found


def test_what_no_corpus_has_is_passed_over_and_named(folder):
    for name in (".DS_Store", ".git/config", "__MACOSX/._d.csv", "~$d.xlsx", "README.md", "说明.txt", "e.csv", "p.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"" if name == "e.csv" else b"x")
    (folder / "notes.txt").write_text("x")
    (folder / "copy.csv").symlink_to(folder / "内科" / "a2.csv")
    own = own_corpus(str(folder))
    assert own.names == ["copy.csv", "d.parquet", "内科/a10.csv", "外科/b.csv", "外科/old/c.jsonl"]
    assert own.skipped == in_order(
        [
            ".DS_Store (hidden)",
            ".git (hidden)",
            "__MACOSX (hidden)",
            "~$d.xlsx (of an open editor)",
            "README.md (no data file)",
            "说明.txt (no data file)",
            "notes.txt (plain text; rename it to .csv, .tsv or .jsonl if that is what it holds)",
            "e.csv (empty)",
            "p.png (no data file)",
            "内科/a2.csv (the same file as copy.csv)",
        ]
    )


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("数据.xlsx", "a spreadsheet; save each sheet as CSV"),
        ("数据.XLS", "a spreadsheet; save each sheet as CSV"),
        ("dump.sql", "a database dump; export the table as CSV"),
        ("more.tar.gz", "an archive of a kind that is not read; unpack it"),
        ("more.rar", "an archive of a kind that is not read; unpack it"),
    ],
)
def test_what_may_hold_rows_and_is_not_read_is_refused(folder, name, what):
    (folder / name).write_bytes(b"x")
    with pytest.raises(
        UserError, match=rf"data\.path: {folder}/{name}: {what}.*To leave it out, name the others"
    ) as error:
        own_corpus(str(folder))
    assert str(error.value).endswith(" [D101]")
    assert str(error.value).count("[D101]") == 1
    assert own_corpus(str(folder / "**" / "*.csv")).names == TREE[:3]


@pytest.mark.parametrize(("name", "what"), [("a.txt", "plain text; rename"), ("a.docx", "a text document")])
def test_prose_is_refused_where_it_is_named(tmp_path, name, what):
    (tmp_path / name).write_text("x")
    with pytest.raises(UserError, match=rf"data\.path: .*{name} is {what}"):
        own_corpus(str(tmp_path / name))
    with pytest.raises(UserError, match=rf"has no file with rows, only {name} \({what}"):
        own_corpus(str(tmp_path))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere.csv", r"nowhere\.csv is not there; name a file, a folder or a pattern.* \[F108\]$"),
        ("nowhere/*.csv", r"nowhere/\*\.csv matches nothing, because there is no folder .*nowhere; mend .* \[F108\]$"),
        ("*.tsv", r"\*\.tsv matches no file.* \[F150\]$"),
        (["d.parquet", "nowhere.csv"], r"nowhere\.csv is not there"),
        ([], r"data\.path is not set.* \[C113\]$"),
    ],
)
def test_a_path_that_means_nothing_is_named(folder, path, message):
    with pytest.raises(UserError, match=message):
        own_corpus([str(folder / one) for one in path] if isinstance(path, list) else str(folder / path))


def test_a_link_that_leads_nowhere_is_named_and_a_circle_does_no_harm(folder):
    (folder / "外科" / "round").symlink_to(folder)
    assert own_corpus(str(folder)).names == in_order(TREE)
    (folder / "gone.csv").symlink_to(folder / "nowhere")
    with pytest.raises(UserError, match=r"gone\.csv is a link to .*nowhere, which is not there"):
        own_corpus(str(folder))


def test_a_name_with_the_signs_of_a_pattern_is_a_name_first(tmp_path):
    place = tmp_path / "数据[1]*"
    place.mkdir()
    (place / "a[2].csv").write_text("x")
    (place / "b.csv").write_text("x")
    assert own_corpus(str(place / "a[2].csv")).names == ["a[2].csv"]
    assert own_corpus(str(place)).names == ["a[2].csv", "b.csv"]
    assert own_corpus(str(place / "b*.csv")).names == ["b.csv"]


class TestContent:
    def test_a_moved_folder_is_the_same_corpus_and_is_found(self, folder, tmp_path):
        first = study(tmp_path, str(folder))
        point_to_own("data", first.own, Path(first.manifest))
        Path(first.copy).parent.mkdir(parents=True)
        Path(first.copy).write_text(json.dumps({"content": first.own_content, "request": first.request}))
        moved = folder.rename(tmp_path / "elsewhere")
        second = study(tmp_path, str(moved / "**" / "*"))
        assert second.own_content == first.own_content
        follow(second)
        assert root_of(second.manifest) == moved
        assert content_of(read_manifest(second.manifest)) == first.own_content

    @pytest.mark.parametrize("name", TREE)
    def test_every_byte_counts(self, folder, tmp_path, name):
        before = study(tmp_path, str(folder)).own_content
        (folder / name).write_text("question,answer\nx,y\n")
        assert study(tmp_path, str(folder)).own_content != before

    def test_so_do_the_order_and_the_folders_and_the_number_of_files_but_no_names(self, folder, tmp_path):
        before = study(tmp_path, str(folder)).own_content
        (folder / "内科" / "a10.csv").rename(folder / "内科" / "a11.csv")
        assert study(tmp_path, str(folder)).own_content == before
        (folder / "README.md").write_text("x")
        assert study(tmp_path, str(folder)).own_content == before
        (folder / "内科" / "a11.csv").rename(folder / "内科" / "a1.csv")
        assert study(tmp_path, str(folder)).own_content != before
        (folder / "内科" / "a1.csv").rename(folder / "内科" / "a10.csv")
        (folder / "内科").rename(folder / "丙科")
        assert study(tmp_path, str(folder)).own_content != before

    def test_one_file_is_the_same_alone_and_in_a_folder_that_has_no_other(self, tmp_path):
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "a.csv").write_text("question,answer\n")
        one, all = (study(tmp_path, str(tmp_path / "x" / name)).own_content for name in ("a.csv", ""))
        assert one == all

    def test_the_manifest_holds_the_order_and_what_was_passed_over_and_no_place(self, folder, tmp_path):
        (folder / "README.md").write_text("x")
        own = study(
            tmp_path, [str(folder / "内科"), str(folder / "外科"), str(folder / "*.md"), str(folder / "d.parquet")]
        )
        point_to_own("data", own.own, Path(own.manifest))
        told = read_manifest(own.manifest)
        assert [file["path"] for file in told["files"]] == in_order(TREE)
        assert told["skipped"] == ["README.md (no data file)"]
        assert told["id"] == folder.name
        assert str(tmp_path) not in Path(own.manifest).read_text(encoding="utf-8")
        assert Path(own.manifest).parent == tmp_path / "resources" / "data" / folder.name


def test_numbers_order_the_files_of_a_manifest_of_data(tmp_path):
    for name in ("a10.csv", "a9.csv"):
        (tmp_path / name).write_text(name)
    told = read_manifest(write_manifest(tmp_path, kind="data", source="file"))
    assert [file["path"] for file in told["files"]] == ["a9.csv", "a10.csv"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(folder):
    (folder / "内科").chmod(0)
    with pytest.raises(UserError, match="内科 may not be read; change its permissions"):
        own_corpus(str(folder))


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ("data/a.csv", ["data/a.csv"]),
        ("./data/a.csv", ["data/a.csv"]),
        ("data", ["data/a.csv", "data/b/c10.parquet"]),
        ("data/", ["data/a.csv", "data/b/c10.parquet"]),
        ("**/*.parquet", ["c2.parquet", "data/b/c10.parquet"]),
        ("*", ["c2.parquet"]),
        ("data/*.json", []),
        (".", ["c2.parquet", "data/a.csv", "data/b/c10.parquet"]),
    ],
)
def test_the_same_words_choose_among_the_files_of_a_hub(wanted, taken):
    paths = ["README.md", ".gitattributes", "dataset_infos.json", "data/a.csv", "data/b/c10.parquet", "c2.parquet"]
    assert select(wanted, paths)[0] == taken


def test_what_is_not_read_is_known_by_its_ending_too():
    assert REFUSED.keys() == UNREAD


@pytest.mark.parametrize("name", ["说明书问答.jsonl.gz", "license_exam.csv.gz", "notice.JSON.xz", "说明书问答.zip"])
def test_a_name_like_that_of_a_document_does_not_hide_data(tmp_path, name):
    for one in (name, "README.md", "LICENSE", "license.txt", "readme.md.gz", "README.zip", "a.csv"):
        (tmp_path / one).write_text(one)
    own = own_corpus(str(tmp_path))
    assert sorted(own.names) == sorted(["a.csv", name])
    assert len(own.skipped) == 5
