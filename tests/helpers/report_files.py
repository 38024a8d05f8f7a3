"""A whole made-up study in files, as the stages write them, for tests and benchmarks of the report."""

import json
import random
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import report
import synthetic
from judged_pairs import verdicts_file
from made_up_configurations import made_up_configurations
from medscale.base.files import sha256_file, write_json, write_jsonl
from medscale.evaluate.metrics import STANDARD
from medscale.evaluate.predictions import read_predictions
from medscale.evaluate.safety import read_rules, screened
from medscale.evaluate.scoring import score_table, write_scores
from medscale.report.inputs import PLOTS
from medscale.report.summary import summary_table, write_table
from report_summary import (
    CONFIG,
    REPORTS,
    comparisons,
    leak_report,
    power,
    recommendation,
    scaling_fit,
    write_text_table,
)

FLOORS = ("floor_fixed", "floor_common_words", "floor_department", "floor_bm25")
DEPARTMENTS = ("内科", "儿科", "皮肤科", "骨科")
WORDS = (
    *(
        "高血压",
        "糖尿病",
        "感冒",
        "患者",
        "应该",
        "注意",
        "休息",
        "多",
        "喝水",
        "清淡",
        "饮食",
        "按时",
        "服药",
        "及时",
        "到",
    ),
    *(
        "医院",
        "检查",
        "建议",
        "症状",
        "可能",
        "是",
        "由于",
        "引起",
        "的",
        "不要",
        "过度",
        "紧张",
        "保持",
        "心情",
        "舒畅",
    ),
    *(
        "定期",
        "复查",
        "血压",
        "血糖",
        "医生",
        "指导",
        "下",
        "使用",
        "药物",
        "治疗",
        "避免",
        "辛辣",
        "食物",
        "孩子",
        "老人",
    ),
)

HOSTILE = "<script>window.broken = 1</script></script><img src=x onerror='window.broken = 2'>\u2028&amp;\"'"


class Study:
    """A study in a folder; ``arguments`` is the command line that makes its report.

    Args:
        folder: where the files are written.
        methods, sizes, seeds, floors: the runs; the base model is always there, and a control arm where asked for.
        seeds_at: the sizes that have the seeds after the first; None for all.
        mix: whether a run has general rows, and its likelihood of general texts was measured.
        items: number of test questions.
        characters: length of an answer, about.
        measured_nll: whether the models' NLL was measured.
        price: price of a GPU hour.
        questions, answers: texts that replace the made-up ones, by number; an answer that of every run.
        picture: width and height of the plots in pixels.
    """

    def __init__(
        self,
        folder: Path,
        methods: tuple[str, ...] = ("lora", "qlora"),
        sizes: tuple[int, ...] = synthetic.SIX,
        seeds: tuple[int, ...] = (42,),
        floors: tuple[str, ...] = FLOORS,
        control: bool = False,
        seeds_at: tuple[int, ...] | None = None,
        mix: bool = False,
        items: int = 24,
        characters: int = 40,
        measured_nll: bool = True,
        price: float | None = 3.5,
        questions: dict[int, str] | None = None,
        answers: dict[int, str] | None = None,
        picture: tuple[int, int] = (30, 20),
    ) -> None:
        self.folder, self.items, self.characters, self.measured_nll = folder, items, characters, measured_nll
        self.random = random.Random(1)
        self.questions = [(questions or {}).get(n) or f"{self.text(30)}怎么办？第{n}问" for n in range(items)]
        self.references = [self.text(characters) for _ in range(items)]
        self.given = answers or {}
        self.evaluations = [
            synthetic.evaluation(method, size, seed)
            for method in methods
            for size in sizes
            for seed in (seeds if seeds_at is None or size in seeds_at else seeds[:1])
        ]
        if control:
            run = synthetic.run_name(methods[0], sizes[0]) + "_5epochs"
            self.evaluations.append(synthetic.evaluation(methods[0], sizes[0], run=run) | {"arm": "control"})
        if mix:
            run = synthetic.run_name(methods[0], sizes[-1]) + "_mix10"
            self.evaluations.append(synthetic.evaluation(methods[0], sizes[-1], run=run) | {"arm": "control"})
        self.evaluations += [synthetic.evaluation("base"), *(floor_evaluation(floor) for floor in floors)]
        if mix:
            for place, evaluation in enumerate(self.evaluations):
                value = 3.5 + place / 100
                evaluation["retention"] = {"value": value, "ci95": [value - 0.02, value + 0.02], "n": 9, "n_tokens": 99}
        if not measured_nll:
            for evaluation in self.evaluations:
                evaluation["metrics"]["nll"] = {"value": None, "ci95": None}
        self.arguments = self.write(price, picture)

    def text(self, characters: int) -> str:
        """Make a text of about so many characters."""
        text = ""
        while len(text) < characters:
            text += "".join(self.random.choices(WORDS, k=self.random.randint(3, 8))) + self.random.choice("，，。")
        return text[: characters - 1] + "。"

    def write(self, price: float | None, picture: tuple[int, int]) -> list[str]:
        """Write all files and return the arguments of report.py."""
        folder, summary, data = self.folder, self.folder / "summary", self.folder / "data"
        runs = [evaluation["run"] for evaluation in self.evaluations]
        for evaluation in self.evaluations:
            self.write_run(evaluation)
        write_table(summary_table(self.evaluations), summary / "results_summary.csv")
        write_table(made_up_configurations(self.evaluations), summary / "configurations.csv")
        write_text_table(summary / "comparisons.csv", comparisons(self.evaluations, self.random))
        write_text_table(summary / "power.csv", power(self.items))
        write_json(summary / "scaling_fit.json", scaling_fit(self.evaluations))
        write_json(summary / "recommendation.json", recommendation(self.evaluations, price))
        pixels = np.random.default_rng(0).integers(0, 255, (*picture[::-1], 3), dtype=np.uint8) // 64 * 64
        for plot in PLOTS:
            Image.fromarray(pixels).save(summary / f"{plot}.png")
        departments = [DEPARTMENTS[n % len(DEPARTMENTS)] for n in range(self.items)]
        write_jsonl(
            data / "test.jsonl",
            (
                {"id": f"r{n:07d}", "question": self.questions[n], "answer": self.references[n], "department": name}
                for n, name in enumerate(departments)
            ),
        )
        for name, content in {**REPORTS, "leak_report.json": leak_report(self.questions)}.items():
            write_json(data / name, content)
        self.write_screens(runs)
        tuned = [evaluation["run"] for evaluation in self.evaluations if evaluation["training"]]
        return [
            *("--summary", str(summary)),
            *("--evals", *(str(folder / run / "eval.json") for run in runs)),
            *("--predictions", *(str(folder / run / "predictions.jsonl") for run in runs)),
            *("--scores", *(str(folder / run / "scores.parquet") for run in runs)),
            *("--training-logs", *(str(folder / run / "train_log.csv") for run in tuned)),
            *("--test", str(data / "test.jsonl")),
            *("--clean-report", str(data / "clean_report.json")),
            *("--split-report", str(data / "split_report.json")),
            *("--leak-report", str(data / "leak_report.json")),
            *("--model-manifest", str(data / "model.json")),
            *("--data-manifest", str(data / "data.json")),
            *("--safety", *(str(folder / run / "safety.json") for run in runs), str(data / "safety.json")),
            *("--verdicts", str(folder / "judging" / "verdicts.json")),
            *("--config", json.dumps(CONFIG, ensure_ascii=False)),
            *("--output", str(summary / "report.html")),
        ]

    def write_screens(self, runs: list[str]) -> None:
        """Write safety.json of each row and of the reference answers, and the verdicts of two judges."""
        rules = read_rules()
        answers = {run: read_predictions(self.folder / run / "predictions.jsonl") for run in runs}
        digests = {run: sha256_file(self.folder / run / "predictions.jsonl") for run in runs}
        for name, run, place in [*((run, run, run) for run in runs), ("reference", "base", "data")]:
            rows = [(row["id"], row["prompt"], row["label" if place == "data" else "predict"]) for row in answers[run]]
            found = {"run": name, "n": len(rows), "predictions_sha256": digests[run], "rules": screened(rules, rows)}
            write_json(self.folder / place / "safety.json", found)
        tuned = [run for run in runs if run != "base" and not run.startswith("floor")]
        named = {run: answers[run] for run in ("base", tuned[-1])}
        pairs = [("base", tuned[-1]), ("reference", tuned[-1])]
        (self.folder / "judging").mkdir()
        found = verdicts_file(self.folder / "judging", named, {run: digests[run] for run in named}, pairs)
        write_json(self.folder / "judging" / "verdicts.json", found)

    def write_run(self, evaluation: dict[str, Any]) -> None:
        """Write a run's eval.json, predictions.jsonl, scores.parquet, and its train_log.csv if it was trained."""
        run, training = evaluation["run"], evaluation["training"]
        log = synthetic.train_log(evaluation["method"], evaluation["train_size"]) if training else None
        home = synthetic.write_run(self.folder, evaluation, log).parent
        floor = run.startswith("floor")
        fixed = self.text(self.characters)
        rows = []
        for n in range(self.items):
            answer = self.given.get(n) or (fixed if run == "floor_fixed" else self.text(self.characters))
            nll = None if floor or not self.measured_nll else round(self.random.uniform(1, 4) * 20, 4)
            measured = {"nll_sum": nll, "n_answer_tokens": None if nll is None else 20}
            rows.append(
                {"id": f"r{n:07d}", "prompt": self.questions[n], "predict": answer, "label": self.references[n]}
                | measured
                | {"n_output_tokens": None if floor else 18}
            )
        write_jsonl(home / "predictions.jsonl", rows)
        write_scores(
            score_table(rows, list(STANDARD)), list(STANDARD), home / "predictions.jsonl", home / "scores.parquet"
        )


def floor_evaluation(run: str) -> dict[str, Any]:
    """Return the eval.json of a floor, which has no model and no machine."""
    return synthetic.evaluation("floor", run=run) | {"method": run, "hardware": None, "software": None}


def make_report(study: Study, *more: str) -> str:
    """Run report.py on a study, with further options, and return the page; it lies in the study's folder."""
    output = study.folder / f"report{len(list(study.folder.glob('report*.html')))}.html"
    before, sys.argv = sys.argv, ["report.py", *study.arguments, *more, "--output", str(output)]
    try:
        report.main()
    finally:
        sys.argv = before
    return output.read_text(encoding="utf-8")


class Page(HTMLParser):
    """The elements of a page with their attributes, the text of the whole, and the embedded data by id."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words, self.data = "", {}
        self._silent: dict[str, str | None] | None = None  # the script or style that is being read
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._silent = dict(attributes) if tag in ("script", "style") else None

    def handle_data(self, data):
        if self._silent is None:
            self.words += data.replace("\u00a0", " ")
        elif self._silent.get("type") == "application/json":
            self.data[self._silent["id"]] = json.loads(data)

    def handle_endtag(self, tag):
        self._silent = None
