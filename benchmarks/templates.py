"""Time clean and split on rows made from templates, which differ in numbers: what they take, and what they compare.

python benchmarks/templates.py                                 # 50,000 to 200,000 rows of ten templates
python benchmarks/templates.py --rows 100000 800000 --output templates.json
"""

import argparse
import csv
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from circumstances import circumstances, load_average, told
from cleaning import SCRIPTS, timed
from medscale.base.errors import UserError, run_script
from medscale.base.files import read_json, write_json
from medscale.fetch.manifest import write_manifest

ITEMS = ["收缩压", "舒张压", "空腹血糖", "总胆固醇", "甘油三酯", "血红蛋白", "血小板", "尿酸", "肌酐", "心率"]
PACKAGES = ("pyarrow", "numpy")
COLUMNS = {"question": ["ask"], "answer": "answer", "department": None}


def write_corpus(path: Path, rows: int, templates: int) -> None:
    """Write rows of so many templates in turn, each with its own number."""
    with open(path, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["ask", "answer"])
        for number in range(rows):
            item, value = ITEMS[number % templates], 100 + number % 80
            writer.writerow(
                [
                    f"编号{number}的患者{item}为{value}，请问是否正常？",
                    f"编号{number}的{item}为{value}，请结合动态监测的结果判断，并按时复查。",
                ]
            )


def measure(rows: int, templates: int, cores: int) -> dict:
    """Run both stages on a corpus and return what they took and did."""
    folder = Path(tempfile.mkdtemp(prefix="templates-"))
    try:
        raw = folder / "raw"
        raw.mkdir()
        write_corpus(raw / "rows.csv", rows, templates)
        clean = {
            "manifest": write_manifest(raw, kind="data", source="file"),
            "columns": json.dumps(COLUMNS),
            "output-clean": folder / "clean.parquet",
            "output-rejected": folder / "rejected.parquet",
            "output-report": folder / "clean_report.json",
        }
        # Of nothing but whole families; a size that they cannot make is refused, as it should be.
        split = {
            "clean": folder / "clean.parquet",
            "test-size": 20,
            "validation-size": 10,
            "sizes": "[100]",
            "seed": 42,
            "test": folder / "test.jsonl",
            "validation": folder / "validation.jsonl",
            "pool": folder / "pool.jsonl",
            "report": folder / "split_report.json",
        }
        result = {"rows": rows, "clean": timed(SCRIPTS / "clean.py", clean, cores)}
        report = read_json(folder / "clean_report.json")
        names = ("kept", "dropped", "near_duplicate_pairs_compared", "near_duplicate_search_exhaustive")
        result |= {name: report[name] for name in names}
        try:
            result["split"] = timed(SCRIPTS / "split.py", split, cores)
            result["families"] = read_json(folder / "split_report.json")["families"]
        except UserError as error:
            result["split"] = {"refused": str(error).split("\n", 1)[-1].strip()}
        return result
    finally:
        shutil.rmtree(folder)


def main() -> None:
    args = parse_arguments()
    result: dict = {"schema_version": 1, **circumstances(PACKAGES)}
    result |= {"templates": args.templates, "cores": args.cores, "runs": []}
    for rows in sorted(args.rows):
        run = measure(rows, args.templates, args.cores)
        result["runs"].append(run)
        result["load_average_after"] = load_average()
        if args.output:
            write_json(args.output, result)
        compared = run["near_duplicate_pairs_compared"]
        print(
            f"{rows:,} rows: clean {run['clean']['seconds']} s, {run['clean']['peak_gib']} GiB, kept {run['kept']:,}, "
            f"{compared:,} pairs compared, {compared / rows:.1f} a row; split {run['split']}",
            flush=True,
        )
    print(told(result))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[50_000, 100_000, 200_000], help="rows to make")
    parser.add_argument("--templates", type=int, choices=range(1, 11), default=10, help="default: %(default)s")
    parser.add_argument("--cores", type=int, default=2, help="cores that the stages may use (default: %(default)s)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
