"""What the guides say to do is done, page by page, each in a checkout of its own.

The English pages are run; `test_guides` holds that the Chinese ones have the same commands.
"""

import csv
import json
import re

import pytest

from guide_blocks import Checkout, blocks
from places import ROOT

GUIDES = ROOT / "docs" / "en"
pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def practised(tmp_path_factory):
    """A checkout in which the eight steps were done."""
    checkout = Checkout.fresh(tmp_path_factory.mktemp("steps") / "medscale")
    assert checkout.do(GUIDES / "steps.md") >= 8
    return checkout


def test_the_eight_steps_make_the_practice_study(practised):
    results = practised.folder / "results" / "practice"
    with (results / "summary" / "results_summary.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["experiment"], row["run"]) for row in rows[:4]] == [
        *(("EXP-01", "lora_16"), ("EXP-02", "lora_32"), ("EXP-03", "qlora_16"), ("EXP-04", "qlora_32"))
    ]
    assert (results / "summary" / "report.html").stat().st_size > 100_000


def test_what_the_report_page_names_is_there(practised):
    """Each file, and in it each column or key that the page says a report takes from it."""
    page = (GUIDES / "report-writing.md").read_text(encoding="utf-8")
    named = 0
    for path, *names in (re.findall(r"`([^`]+)`", line) for line in page.splitlines() if "| `results/" in line):
        path = practised.folder / path.replace("results/", "results/practice/").replace("{run}", "lora_16")
        assert path.is_file(), path
        named += len(names)
        missing = [name for name in names if not has(path, name)]
        assert not missing, f"{path.name} lacks {', '.join(missing)}"
    assert named > 40


def has(path, name):
    """Say whether a table has a column, or a JSON file a key, with keys in keys joined by a dot."""
    if path.suffix == ".csv":
        return name in path.read_text(encoding="utf-8").splitlines()[0].split(",")
    text = path.read_text(encoding="utf-8")
    found = json.loads(text.splitlines()[0] if path.suffix == ".jsonl" else text)
    for key in name.split("."):
        if key not in found:
            return False
        found = found[key]
    return True


def test_what_is_added_by_the_guide_works(practised, tmp_path):
    """In a copy of the practice study, whose first stages are done."""
    checkout = practised.copy(tmp_path / "medscale")
    checkout.do(GUIDES / "extending.md")
    results = checkout.folder / "results"
    metric = json.loads((results / "practice" / "base" / "eval.json").read_text())["metrics"]["referral"]
    assert 0 <= metric["value"] <= 100
    assert metric["ci95"][0] <= metric["value"] <= metric["ci95"][1]
    tuned = json.loads((results / "practice" / "rslora_16" / "eval.json").read_text())
    assert (tuned["method"], tuned["train_size"]) == ("rslora", 16)
    adapter = json.loads((results / "practice" / "rslora_16" / "adapter" / "adapter_config.json").read_text())
    assert adapter["use_rslora"] is True
    assert json.loads((results / "clinic" / "data" / "clean_report.json").read_text())["kept"] == 1


OWN = ("steps.md", "extending.md")
OTHERS = [
    path.name
    for path in sorted(GUIDES.glob("*.md"))
    if path.name not in OWN and any(block.runnable for block in blocks(path.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("page", OTHERS)
def test_every_other_page_runs(page, tmp_path):
    Checkout.fresh(tmp_path / "medscale").do(GUIDES / page)
