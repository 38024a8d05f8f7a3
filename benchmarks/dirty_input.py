"""Damage files by the thousand and see that each ends in rows that add up or in one clear message, and loses none.

python benchmarks/dirty_input.py                               # 200 of every kind
python benchmarks/dirty_input.py --count 5000 --output dirty.json
python benchmarks/dirty_input.py --kind csv --seed 4711        # one input again
"""

import argparse
import csv
import gzip
import io
import json
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from circumstances import circumstances, load_average
from medscale.base.config import resolve
from medscale.base.errors import UserError, run_script
from medscale.base.files import write_json
from medscale.data.cleaning import Rules
from medscale.data.corpus import Columns, Corpus
from medscale.data.judging import Judge
from medscale.fetch.manifest import write_manifest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("pyarrow", "pyyaml")
COLUMNS = Columns(("title", "ask"), "answer", "department")
JUDGE = Judge(Rules((4, 500), (10, 2000)), near=True)
ROWS = [
    {
        "department": "内科",
        "title": f"感冒{place}天了怎么办？",
        "ask": f"我今年{20 + place}岁，发热、咳嗽{place}天，想问要不要吃药。",
        "answer": f"您好，建议多休息，多喝温水，{place}天后复查。编号：{1000 + place}甲。",
    }
    for place in range(12)
]
# What breaks readers: ends of lines and of strings, byte order marks, half characters, bytes of no encoding.
SPECIAL = [b"\x00", b"\xef\xbb\xbf", b"\xff\xfe", b'"', b"\\", b"\n", b"\r", b"\r\n", b",", b"{", b"}", b"[", b"]"]
SPECIAL += [b":", b"\x1a", b"\xe4\xb8", b"\xed\xa0\xbd", b"\\ud83d", b"\xe2\x80\xa8", b"\xc2\x85", b"\x81\x30", b"\xff"]
VALUES = ["NaN", "-Infinity", "null", "true", "1e999", "9" * 5000, "[" * 3000, '{"a": ' * 2000, '"\\ud83d"', "{}", "[]"]
YAML = ["2026-01-01", "!!binary aGk=", "!!set {a}", "&a [*a]", "*nobody", "!!python/object:os.system x", "? [1]\n: 3"]
YAML += ["\t- 1", "1_000", "0x1F", "12:30:45", ".inf", "~", "'", "{", "- ", "100k: 1\n100k: 2", "!x y", "|", "%"]


def csv_bytes(encoding: str) -> bytes:
    handle = io.StringIO()
    writer = csv.DictWriter(handle, list(ROWS[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(ROWS)
    return handle.getvalue().encode(encoding)


def json_lines() -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def parquet_bytes() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


KINDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "csv": ("data.csv", lambda: csv_bytes("utf-8")),
    "csv_gb18030": ("data.csv", lambda: csv_bytes("gb18030")),
    "json_lines": ("data.jsonl", json_lines),
    "json": ("data.json", lambda: json.dumps(ROWS, ensure_ascii=False, indent=1).encode()),
    "parquet": ("data.parquet", parquet_bytes),
    "csv_gz": ("data.csv.gz", lambda: gzip.compress(csv_bytes("utf-8"), mtime=0)),
    "json_lines_gz": ("data.jsonl.gz", lambda: gzip.compress(json_lines(), mtime=0)),
    "config": ("config.yaml", lambda: (ROOT / "config" / "demo.yaml").read_bytes()),
}


def damaged(kind: str, seed: int) -> bytes:
    """Return the file of a kind with one to three pieces of damage, a function of the seed."""
    rng = random.Random(f"{kind}/{seed}")
    data = KINDS[kind][1]()
    changes = [_bytes_changed, _bytes_changed, _line_changed] + [_value_changed] * (kind != "parquet")
    if kind.endswith("gz") and rng.random() < 0.5:  # damage inside
        return gzip.compress(rng.choice(changes)(gzip.decompress(data), kind, rng), mtime=0)
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(changes)(data, kind, rng)
    return data


def _bytes_changed(data: bytes, kind: str, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + rng.choice([1, 1, 2, 3, 20, 200]))
    return rng.choice(
        [
            lambda: data[:start] + rng.choice(SPECIAL) + data[start:],
            lambda: data[:start] + rng.randbytes(stop - start) + data[stop:],
            lambda: data[:start] + data[stop:],
            lambda: data[:stop] + data[start:],
            lambda: data[:start],
        ]
    )()


def _line_changed(data: bytes, kind: str, rng: random.Random) -> bytes:
    """Leave out, double, move, cut or overwrite a line."""
    lines = data.splitlines(keepends=True) or [b""]
    place, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    line = lines[place]
    new = rng.choice([[], [line, line], [line.rstrip(b"\n")], [line[: len(line) // 2]], [rng.choice(SPECIAL), line]])
    if rng.random() < 0.2:
        lines[place], lines[other] = lines[other], lines[place]
    else:
        lines[place : place + 1] = new
    return b"".join(lines)


def _value_changed(data: bytes, kind: str, rng: random.Random) -> bytes:
    """Put what a format allows, and few expect, where a value was."""
    mark = b": " if b"json" in kind.encode() or kind == "config" else b","
    places = [place for place in range(len(data)) if data.startswith(mark, place)]
    if not places:
        return data
    start = rng.choice(places) + len(mark)
    ends = [end for end in (data.find(b",", start), data.find(b"\n", start)) if end >= 0]
    value = rng.choice(YAML if kind == "config" else VALUES)
    return data[:start] + value.encode() + data[min(ends, default=len(data)) :]


def outcome(kind: str, data: bytes, folder: Path) -> tuple[str, str | None]:
    """Return what came of a damaged file, and what is wrong with that, or None."""
    try:
        return _config(data) if kind == "config" else _corpus(kind, data, folder)
    except UserError as error:
        message = str(error)
        if kind == "config":
            return "refused", None
        named = KINDS[kind][0] in message
        wrong = None if named and "\n" not in message else f"unclear message: {message[:300]}"
        return "refused", wrong
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "exception", f"{type(error).__name__}: {str(error)[:200]} ({Path(place.filename).name}:{place.lineno})"


def _config(data: bytes) -> tuple[str, str | None]:
    try:
        config = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError):
        return "no_yaml", None  # Snakemake reads the file and says so itself
    resolve(config)
    return "accepted", None


def _corpus(kind: str, data: bytes, folder: Path) -> tuple[str, str | None]:
    raw = folder / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir()
    (raw / KINDS[kind][0]).write_bytes(data)
    rows = list(Corpus(write_manifest(raw, kind="data", source="file"), COLUMNS).rows())
    judged = JUDGE(rows)
    with pa.ipc.open_stream(judged.table) as stream:
        table = stream.read_all()
    kept = table["reason"].null_count
    if (table.num_rows, kept) != (len(rows), len(judged.numbers)) or table["row"].to_pylist() != [
        row.number for row in rows
    ]:
        return "rows", f"{len(rows)} rows read, {table.num_rows} judged, {kept} kept, {len(judged.numbers)} numbered"
    lost = [place for place in intact(kind, data) if not _is_there(place, table)]
    return "rows", f"rows lost in silence: {lost}" if lost else None


def intact(kind: str, data: bytes) -> list[int]:
    """Return the rows whose whole lines the damage has left alone; of binary formats none is known."""
    if kind not in ("csv", "csv_gb18030", "json_lines"):
        return []
    original = KINDS[kind][1]().splitlines(keepends=True)[kind != "json_lines" :]
    lines = set(data.splitlines(keepends=True))
    return [place for place, line in enumerate(original) if line in lines]


def _is_there(place: int, table: pa.Table) -> bool:
    mark = f"{1000 + place}甲"
    return any(mark in (value or "") for name in ("raw_question", "raw_answer") for value in table[name].to_pylist())


def examine(kind: str, seeds: range) -> dict:
    """Damage a file once with each seed and return the counts of the outcomes, and each defect with its seed."""
    outcomes: Counter[str] = Counter()
    defects = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            found, wrong = outcome(kind, damaged(kind, seed), Path(folder))
            outcomes[found] += 1
            if wrong:
                defects.append({"seed": seed, "problem": wrong})
    return {"inputs": len(seeds), "outcomes": dict(sorted(outcomes.items())), "defects": defects}


def main() -> None:
    args = parse_arguments()
    seeds = range(args.count) if args.seed is None else range(args.seed, args.seed + 1)
    result = {"schema_version": 1, **circumstances(PACKAGES), "kinds": {}}
    for kind in args.kind:
        result["kinds"][kind] = examine(kind, seeds)
    result["load_average_after"] = load_average()
    if args.output:
        write_json(args.output, result)
    for kind, found in result["kinds"].items():
        print(kind, found["inputs"], found["outcomes"], f"{len(found['defects'])} defects")
        kinds = Counter(defect["problem"].split(":")[0] for defect in found["defects"])
        for problem, count in kinds.most_common():
            example = next(defect for defect in found["defects"] if defect["problem"].startswith(problem))
            print(f"    {count} x seed {example['seed']}: {example['problem']}")
    if any(found["defects"] for found in result["kinds"].values()):
        raise UserError(
            "X107",
            "some damaged files ended otherwise than in rows that add up or one clear message; see them "
            "above, and repeat one with --seed",
        )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="inputs of every kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="only the input of this seed")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS), help="default: all")
    parser.add_argument("--output", help="JSON file for the outcomes and defects")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
