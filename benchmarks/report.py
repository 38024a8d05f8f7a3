"""Time report.html: how long it takes to build, and how long Chromium takes to load it, to search and to sort.

python benchmarks/report.py                                    # 2,000 questions, 7 and 11 runs
python benchmarks/report.py --questions 500 --loads 3 --output report.json
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

from medscale.base.errors import UserError, run_script
from medscale.base.files import write_json
from report_files import FLOORS, Study

ROOT = Path(__file__).resolve().parents[1]
CHARACTERS = 155  # a doctor's answer in the Toyhom data
PICTURE = (720, 400)  # of four grey levels at random: about as many bytes as a real plot of 2000 × 1200
SHAPES = {7: (), 11: FLOORS}  # six fine-tuned runs and the base model, without and with the floors
PACKAGES = ("jinja2", "playwright", "pandas", "pyarrow")
# The element is asked for again in each frame, so the time holds until what was searched or sorted is on the screen.
ACT = """async ([name, value, event]) => {
  const field = document.querySelector(`[name=${name}]`);
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const before = document.querySelector(".question");
  const start = performance.now();
  field.value = value;
  field.dispatchEvent(new Event(event, { bubbles: true }));
  while (document.querySelector(".question") === before) await frame();
  await frame();
  return performance.now() - start;
}"""


def main() -> None:
    args = parse_arguments()
    chromium = shutil.which(args.chromium)
    if chromium is None:
        raise UserError(
            "X101", f"--chromium: there is no program {args.chromium}; install Chromium or name another one"
        )
    busy = machine()
    with tempfile.TemporaryDirectory() as folder:
        reports = [build(Path(folder) / str(runs), args.questions, floors) for runs, floors in SHAPES.items()]
        for report in reports:
            report |= measure(chromium, report.pop("path"), args.loads)
    result = {
        "measured_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reports": reports,
        "machine": busy,
        "versions": {"python": platform.python_version(), "chromium": chromium_version(chromium)}
        | {package: version(package) for package in PACKAGES},
        "notes": "load: from the start of navigation to the end of the load event, from file://, caches cold; "
        "interactive: to the end of parsing, with all controls at work before it; "
        "read: from coming near the answers to the first of them on the screen, with all data parsed; "
        "search: from the last key, 90 ms of waiting for another one included, to the result on the screen; "
        "medians and maxima in milliseconds",
    }
    for report in reports:
        print(line(report))
    if args.output:
        write_json(args.output, result)


def build(folder: Path, questions: int, floors: tuple[str, ...]) -> dict[str, Any]:
    """Write a made-up study and its report; return its size and the time of the whole program."""
    study = Study(folder, floors=floors, items=questions, characters=CHARACTERS, picture=PICTURE)
    command = [sys.executable, str(ROOT / "workflow" / "scripts" / "report.py"), *study.arguments]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    path = folder / "summary" / "report.html"
    return {
        "path": path,
        "questions": questions,
        "runs": len(study.evaluations),
        "mib": round(path.stat().st_size / 2**20, 2),
        "build_seconds": round(seconds, 2),
    }


def measure(chromium: str, path: Path, loads: int) -> dict[str, Any]:
    """Load the report several times, each in a fresh browser, and search and sort in it."""
    times: dict[str, list[float]] = {}
    with sync_playwright() as playwright:
        for _ in range(loads):
            arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            page = browser.new_page(viewport={"width": 1280, "height": 900}, locale="zh-CN")
            for name, value in visit(page, path).items():
                times.setdefault(name, []).append(value)
            browser.close()
    return {
        name: {"median": round(statistics.median(all), 1), "max": round(max(all), 1)} for name, all in times.items()
    }


def visit(page: Page, path: Path) -> dict[str, float]:
    """Return the times of one visit in milliseconds."""
    page.goto(path.as_uri())
    times = page.evaluate(
        """() => {
          const entry = performance.getEntriesByType("navigation")[0];
          const paint = performance.getEntriesByName("first-contentful-paint")[0];
          const load = { interactive_ms: entry.domInteractive, load_ms: entry.loadEventEnd };
          return paint ? { first_paint_ms: paint.startTime, ...load } : load;
        }"""
    )
    times["read_ms"] = page.evaluate(
        """async () => {
          const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
          const start = performance.now();
          document.documentElement.style.scrollBehavior = "auto";
          document.getElementById("answers").scrollIntoView();
          while (!document.querySelector(".question")) await frame();
          await frame();
          return performance.now() - start;
        }"""
    )
    times["first_search_ms"] = page.evaluate(ACT, ["query", "血压 医生", "input"])
    times["search_ms"] = page.evaluate(ACT, ["query", "孩子", "input"])
    times["search_of_nothing_ms"] = page.evaluate(ACT, ["query", "", "input"])
    times["sort_ms"] = page.evaluate(ACT, ["sort", "5", "change"])
    times["sort_by_difference_ms"] = page.evaluate(ACT, ["minus", "6", "change"])
    times["language_ms"] = page.evaluate(
        """async () => {
          const start = performance.now();
          document.querySelector("[data-language=en]").click();
          await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
          return performance.now() - start;
        }"""
    )
    return times


def machine() -> dict[str, Any]:
    """Return the processor, the system, and how busy it was with other work."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    models = [each.split(":", 1)[1].strip() for each in lines if each.startswith("model name")]
    cpu = models[0] if models else platform.machine()
    load = [round(each, 1) for each in os.getloadavg()]
    return {"cpu": cpu, "cores": len(models) or None, "system": platform.platform(), "load_average": load}


def chromium_version(chromium: str) -> str:
    done = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def line(report: dict[str, Any]) -> str:
    """Return the figures of one report as text."""
    times = {name: each["median"] for name, each in report.items() if name.endswith("_ms")}
    shown = ", ".join(f"{name.removesuffix('_ms').replace('_', ' ')} {value:.0f}" for name, value in times.items())
    return (
        f"{report['questions']:,} questions x {report['runs']} runs: {report['mib']} MiB, built in "
        f"{report['build_seconds']} s; medians in ms: {shown}"
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=2000, help="test questions (default: %(default)s)")
    parser.add_argument("--loads", type=int, default=7, help="visits of each report (default: %(default)s)")
    parser.add_argument("--chromium", default="chromium", help="the browser's program (default: %(default)s)")
    parser.add_argument("--output", help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
