"""Packed files, archives, saved data sets and Parquet: read as what they hold, or what is wrong with them is named."""

import bz2
import gzip
import io
import json
import lzma
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from medscale.base.errors import UserError
from medscale.data.corpus import Columns, Corpus
from medscale.data.files import parts
from medscale.data.layouts.turns import Turn, read_dialogue
from medscale.data.table_files import FileOptions, open_table
from medscale.fetch.corpus_files import own_corpus
from medscale.fetch.manifest import write_manifest

ROWS = [{"question": f"问题{number}，怎么办", "answer": f"答案{number}"} for number in range(50)]
COLUMNS = Columns(("question",), "answer")
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
CSV = ("question,answer\n" + "".join(f"{row['question']},{row['answer']}\n" for row in ROWS)).encode("gb18030")
TABLE = pa.Table.from_pylist(ROWS)


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(TABLE, sink, row_group_size=7)
    return sink.getvalue()


def zipped(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
    "zip": lambda content: zipped(**{"内科.dat": b"", "数据.CSV" if content == CSV else "数据.jsonl": content}),
}


def corpus(folder: Path, path: str | list[str] | None = None, columns: Columns = COLUMNS, **options) -> Corpus:
    """Open what a path means, as the study does."""
    own = own_corpus(path or str(folder))
    told = {"root": own.root, "files": own.names, "skipped": own.skipped}
    manifest = write_manifest(folder.parent / f"{folder.name}-manifest", kind="data", source="file", **told)
    return Corpus(manifest, columns, options=FileOptions(**options))


def read(path: Path, wanted=("question", "answer")) -> list[dict]:
    return list(open_table(path, wanted).records)


@pytest.mark.parametrize("content", [CSV, JSONL], ids=["csv", "jsonl"])
@pytest.mark.parametrize("kind", [kind for kind in PACK if kind != "zip"])
def test_packed_text_is_read_as_what_it_holds_by_content(tmp_path, kind, content):
    suffix = "csv" if content == CSV else "jsonl"
    for name in (f"a.{suffix}.{kind}", f"a.{suffix}", f"a.{suffix.upper()}.{kind.upper()}"):
        (tmp_path / name).write_bytes(PACK[kind](content))
        opened = open_table(tmp_path / name, ("question", "answer"))
        assert (opened.format, opened.compression, list(opened.records)) == (suffix, kind, ROWS)
    (tmp_path / f"b.{suffix}.{kind}").write_bytes(content)  # unpacked by a browser that left the name
    assert read(tmp_path / f"b.{suffix}.{kind}") == ROWS


def test_parts_packed_one_after_another_are_one_file(tmp_path):
    half = len(JSONL) // 2
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(JSONL[:half]) + gzip.compress(JSONL[half:]))
    (tmp_path / "a.jsonl.zst").write_bytes(PACK["zst"](JSONL[:half]) + PACK["zst"](JSONL[half:]))
    assert read(tmp_path / "a.jsonl.gz") == read(tmp_path / "a.jsonl.zst") == ROWS


def test_a_name_without_a_suffix_leaves_it_to_the_content(tmp_path):
    (tmp_path / "data.gz").write_bytes(gzip.compress(JSONL))
    (tmp_path / "corpus").write_bytes(parquet())
    assert read(tmp_path / "data.gz") == read(tmp_path / "corpus") == ROWS
    assert len(list(corpus(tmp_path, str(tmp_path / "corpus")).rows())) == 50


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("left", [0.5, 0.95])
def test_a_cut_file_is_named(tmp_path, kind, left):
    packed = PACK[kind](JSONL * 20)
    (tmp_path / "a.jsonl").write_bytes(packed[: int(len(packed) * left)])
    with pytest.raises(UserError, match=r"a\.jsonl: cut or damaged"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_a_damaged_file_is_named(tmp_path, kind):
    packed = bytearray(PACK[kind](JSONL * 20))
    packed[len(packed) // 2 : len(packed) // 2 + 8] = b"\xa5" * 8
    (tmp_path / "a.jsonl").write_bytes(packed)
    with pytest.raises(UserError, match=rf"a\.jsonl: cut or damaged {kind} after [\d,]+ unpacked bytes"):
        read(tmp_path / "a.jsonl")


class TestArchives:
    def test_all_members_are_read_in_order_and_the_rest_is_named(self, tmp_path):
        members = {"b10.csv": CSV, "b9.jsonl": JSONL, "c/d.csv.gz": gzip.compress(CSV)}
        junk = {"__MACOSX/._b9.jsonl": b"x", ".DS_Store": b"x", "README.txt": b"x", "e.csv": b"", "b9.png": b"x"}
        (tmp_path / "a.zip").write_bytes(zipped(**members, **junk))
        opened = corpus(tmp_path)
        assert [row.answer for row in opened.rows()] == [row["answer"] for row in ROWS] * 3
        assert [(file["path"], file["format"], file["compression"]) for file in opened.files] == [
            ("a.zip/b9.jsonl", "jsonl", "zip"),
            ("a.zip/b10.csv", "csv", "zip"),
            ("a.zip/c/d.csv.gz", "csv", "zip, gz"),
        ]
        assert sorted(opened.skipped) == [
            "a.zip/.DS_Store (hidden)",
            "a.zip/README.txt (no data file)",
            "a.zip/__MACOSX/._b9.jsonl (hidden)",
            "a.zip/b9.png (no data file)",
            "a.zip/e.csv (empty)",
        ]

    def test_names_from_a_chinese_windows_are_read(self, tmp_path):
        raw = zipped(**{"XXXX/a.csv": CSV, "YYYY/a.csv": CSV})
        raw = raw.replace(b"XXXX", "内科".encode("gb18030")).replace(b"YYYY", "外科".encode("gb18030"))
        (tmp_path / "a.zip").write_bytes(raw)
        opened = corpus(tmp_path, department_folder=1)
        assert {row.department for row in opened.rows()} == {"内科", "外科"}

    def test_an_encrypted_one_says_so(self, tmp_path):
        raw = bytearray(zipped(**{"a.csv": CSV}))
        for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            raw[raw.index(mark) + place] |= 1
        (tmp_path / "a.zip").write_bytes(raw)
        with pytest.raises(UserError, match=r"a\.zip/a\.csv: is encrypted; unpack it with its password"):
            corpus(tmp_path)

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ({"a.xlsx": b"x"}, r"a\.zip: holds a\.xlsx: a spreadsheet; save each sheet as CSV"),
            ({"a.png": b"x"}, r"a\.zip: holds no file with rows, only a\.png \(no data file\)"),
            ({"[Content_Types].xml": b"x", "xl/a.xml": b"x"}, r"a\.zip: a spreadsheet or document, whatever its name"),
            ({"b.zip": zipped(**{"a.csv": CSV})}, r"a\.zip/b\.zip: an archive inside an archive"),
        ],
    )
    def test_what_is_not_read_is_named(self, tmp_path, members, message):
        (tmp_path / "a.zip").write_bytes(zipped(**members))
        with pytest.raises(UserError, match=message) as error:
            list(corpus(tmp_path).rows())
        assert str(error.value).count(f"[{error.value.code}]") == 1
        assert error.value.code in ("D101", "D109", "D117")

    def test_a_member_with_wrong_bytes_is_named(self, tmp_path):
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("b.csv", CSV)
        (tmp_path / "a.zip").write_bytes(sink.getvalue().replace("答案7".encode("gb18030"), "答案8".encode("gb18030")))
        with pytest.raises(UserError, match=r"a\.zip/b\.csv: cut or damaged zip after .*CRC"):
            list(corpus(tmp_path).rows())


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_what_unpacks_beyond_measure_is_stopped(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(parts, "BOMB_BYTES", 1 << 21)
    (tmp_path / "a.jsonl").write_bytes(PACK[kind](b"0" * (1 << 23)))
    with pytest.raises(UserError, match=r"a\.jsonl.* unpack to more than 300 times as many"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("content", "message", "code"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", r"is an Office file \(\.xls, \.doc\); save it as CSV", "D101"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS", "D116"),
        (b"<!doctype html><html>", "is a web page", "D116"),
        (b"SQLite format 3\0", "is a database", "D101"),
        (b"%PDF-1.7", "is a PDF", "D101"),
        (b"PAR1 and no more", "not a Parquet file", "D106"),
    ],
)
def test_what_only_has_the_name_of_a_data_file_is_named(tmp_path, content, message, code):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.csv: {message}.* \[{code}\]$"):
        read(tmp_path / "a.csv")


def test_two_layers_are_unpacked_and_three_are_not(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(gzip.compress(JSONL)))
    assert read(tmp_path / "a.jsonl") == ROWS
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(gzip.compress(gzip.compress(JSONL))))
    with pytest.raises(UserError, match=r"a\.jsonl: packed 3 times over or more; unpack it"):
        read(tmp_path / "a.jsonl")


class TestParquet:
    def test_packed_or_not_and_whatever_it_is_called(self, tmp_path):
        for name, content in (
            ("a.parquet", parquet()),
            ("b.csv", parquet()),
            ("c.parquet.gz", gzip.compress(parquet())),
        ):
            (tmp_path / name).write_bytes(content)
            assert read(tmp_path / name) == ROWS
            assert read(tmp_path / name, None) == ROWS

    def test_nested_and_dictionary_columns_and_long_strings_are_plain_values(self, tmp_path):
        talk = [[{"from": "human", "value": "头疼"}, {"from": "gpt", "value": "休息"}], None, []]
        table = pa.table(
            {
                "talk": talk,
                "department": pa.array(["内科", None, "内科"]).dictionary_encode(),
                "answer": pa.array(["休息", "", None], pa.large_string()),
                "score": [1.5, float("nan"), None],
            }
        )
        pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
        rows = read(tmp_path / "a.parquet", None)
        assert [row["talk"] for row in rows] == talk
        assert [row["department"] for row in rows] == ["内科", None, "内科"]
        assert [row["answer"] for row in rows] == ["休息", "", None]

    @pytest.mark.parametrize("cut", [10, 100, 400])
    def test_a_footer_that_is_cut_is_named(self, tmp_path, cut):
        (tmp_path / "a.parquet").write_bytes(parquet()[:-cut])
        with pytest.raises(UserError, match=r"a\.parquet: not a Parquet file"):
            read(tmp_path / "a.parquet")


class TestSavedDataSets:
    """As `datasets` writes them; a test of its own checks that the library still does."""

    def save(self, folder: Path, rows: list[dict], shards: int = 2) -> None:
        folder.mkdir(parents=True)
        names = [f"data-{number:05d}-of-{shards:05d}.arrow" for number in range(shards)]
        for number, name in enumerate(names):
            part = pa.Table.from_pylist(rows[number * len(rows) // shards : (number + 1) * len(rows) // shards])
            with pa.ipc.new_stream(folder / name, part.schema) as writer:
                writer.write_table(part)
        state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
        (folder / "state.json").write_text(json.dumps(state))
        (folder / "dataset_info.json").write_text('{"features": {}}')

    def test_one_is_read_and_what_is_left_of_older_ones_is_named(self, tmp_path):
        self.save(tmp_path / "set", ROWS)
        (tmp_path / "set" / "cache-1234.arrow").write_bytes(b"x")
        opened = corpus(tmp_path / "set")
        assert [row.answer for row in opened.rows()] == [row["answer"] for row in ROWS]
        assert [(file["format"], file["rows"]) for file in opened.files] == [("arrow", 25), ("arrow", 25)]
        assert opened.skipped == [
            "cache-1234.arrow (no part of the saved data set)",
            "dataset_info.json (says how rows are kept)",
            "state.json (says how rows are kept)",
        ]

    def test_of_several_splits_all_are_read_and_told_or_the_one_that_is_named(self, tmp_path):
        self.save(tmp_path / "set" / "train", ROWS[:40])
        self.save(tmp_path / "set" / "test", ROWS[40:], 1)
        (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        opened = corpus(tmp_path / "set")
        assert [row.answer for row in opened.rows()] == [row["answer"] for row in ROWS[40:] + ROWS[:40]]
        assert [file["path"].split("/")[0] for file in opened.files] == ["test", "train", "train"]
        opened = corpus(tmp_path / "set", str(tmp_path / "set" / "train"))
        assert [row.answer for row in opened.rows()] == [row["answer"] for row in ROWS[:40]]

    def test_a_shard_that_is_gone_is_named(self, tmp_path):
        self.save(tmp_path / "set", ROWS)
        (tmp_path / "set" / "data-00001-of-00002.arrow").unlink()
        with pytest.raises(UserError, match=r"state\.json names data-00001-of-00002\.arrow, which is not there"):
            corpus(tmp_path / "set")

    def test_what_the_library_itself_saves(self, tmp_path):
        datasets = pytest.importorskip("datasets")
        splits = {"train": datasets.Dataset.from_list(ROWS[:30]), "dev": datasets.Dataset.from_list(ROWS[30:])}
        datasets.DatasetDict(splits).save_to_disk(tmp_path / "set", num_shards={"train": 2, "dev": 1})
        opened = corpus(tmp_path / "set")
        assert [row.answer for row in opened.rows()] == [row["answer"] for row in ROWS[30:] + ROWS[:30]]

    def test_a_feather_file_and_a_cut_one(self, tmp_path):
        feather.write_feather(TABLE, str(tmp_path / "a.feather"))
        assert read(tmp_path / "a.feather") == ROWS
        (tmp_path / "a.feather").write_bytes((tmp_path / "a.feather").read_bytes()[:-20])
        with pytest.raises(UserError, match=r"a\.feather: not an Arrow file"):
            read(tmp_path / "a.feather")


class TestDepartmentOfAFolder:
    def fill(self, folder: Path) -> None:
        for number, name in enumerate(["内科/2020/a.csv", "外科/2020/a.csv", "外科/2021/b.csv"]):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            row = ROWS[number]
            (folder / name).write_text(f"question,answer\n{row['question']},{row['answer']}\n坏行\n", encoding="utf-8")

    def test_is_the_one_at_the_level_that_is_asked_for(self, tmp_path):
        self.fill(tmp_path / "data")
        for level, found in ((2, ["内科", "外科", "外科"]), (1, ["2020", "2020", "2021"])):
            rows = list(corpus(tmp_path / "data", department_folder=level).rows())
            assert [row.department for row in rows if not row.broken] == found
        assert {row.department for row in corpus(tmp_path / "data").rows()} == {None}

    def test_where_there_is_none_the_file_is_named(self, tmp_path):
        self.fill(tmp_path / "data")
        with pytest.raises(UserError, match=r"data\.department_folder is 3, but .*a\.csv lies in 2 folders below"):
            list(corpus(tmp_path / "data", department_folder=3).rows())
        with pytest.raises(UserError, match=r"data\.department_folder is 1, but .*a\.csv lies in 0 folders below"):
            list(corpus(tmp_path / "data", str(tmp_path / "data/内科/2020/a.csv"), department_folder=1).rows())

    def test_of_a_single_file_it_is_its_folder_all_the_same(self, tmp_path):
        (tmp_path / "data" / "内科").mkdir(parents=True)
        (tmp_path / "data" / "内科" / "a.csv").write_bytes(CSV)
        assert {row.department for row in corpus(tmp_path / "data", department_folder=1).rows()} == {"内科"}


@pytest.mark.parametrize("name", ["语料", ".hidden/a.jsonl", "README", "说明书.jsonl.gz"])
def test_a_file_that_the_user_names_is_read_whatever_it_is_called(tmp_path, name):
    for path in (tmp_path / "data" / name, tmp_path / "data" / "other.jsonl"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(JSONL) if path.suffix == ".gz" else JSONL)
    named = corpus(tmp_path / "data", [str(tmp_path / "data" / name), str(tmp_path / "data" / "other.jsonl")])
    assert len(list(named.rows())) == 2 * len(ROWS)
    assert named.skipped == []


def test_a_header_that_begins_like_an_archive(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"PK," + CSV.replace(b"\n", b"\n1,")[:-2])
    assert [row.answer for row in corpus(tmp_path).rows()] == [row["answer"] for row in ROWS]


def test_turns_that_are_maps(tmp_path):
    turns = [[("role", "user"), ("content", row["question"])] for row in ROWS[:1]]
    turns.append([("role", "assistant"), ("content", ROWS[0]["answer"])])
    kind = pa.list_(pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table({"messages": pa.array([turns], kind)}), tmp_path / "a.parquet")
    [row] = corpus(tmp_path).rows()
    assert read_dialogue(row.dialogue).turns == [Turn(ROWS[0]["question"], ROWS[0]["answer"])]


def test_an_option_that_is_unknown_is_named():
    with pytest.raises(UserError, match=r"--files: .*'quote'.*must be a JSON map with encoding, delimiter"):
        FileOptions.from_json('{"quote": "x"}')
    assert FileOptions.from_json('{"delimiter": ";"}') == FileOptions(delimiter=";")
