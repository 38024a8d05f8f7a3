"""In which state each step of a study is, by what is in its folder: results, logs, checkpoints, and who works there.

Nothing is written and no process of another machine is asked, so it works while the study runs elsewhere, on a machine
that shares the drive. It tells what is there; whether that is stale, `snakemake -n` tells.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medscale.base.files import read_json
from medscale.base.holders import FOLDER, PATIENCE, RECORDS, Holder, read_holders
from medscale.base.pilots import is_auto, piloted, pilots_of
from medscale.base.processes import UNKNOWN, place, start_of
from medscale.base.progress import SELDOM
from medscale.base.study import floors_of, runs_of, sizes_of
from medscale.watch.logs import Told, read_log
from medscale.watch.pilots import read_pilot

DONE, RUNNING, WAITING, FAILED, STOPPED, NOT_BEGUN = "done", "running", "waiting", "failed", "stopped", "not begun"
GPU = ("pilot", "finetune", "predict", "examine")
NOTHING = Told()
ALIVE = 3 * SELDOM  # seconds: what was silent for longer, and has no Snakemake, has ended
CHECKPOINT = "checkpoint-"


@dataclass(frozen=True)
class Step:
    """One job of the study.

    Attributes
    ----------
    rule, subject : what is done, and of which run, size or part; empty where there is only one.
    outputs : files below the results that are there when it is done.
    needs : names of the steps before it.
    state : one of the words above.
    told : what its log says.
    waits_for : names of steps; empty where it waits for its turn.
    resumes : step of a fine-tuning's newest whole checkpoint.
    sizes : what a pilot that is done has found, by the labels of the sizes; None of other steps.
    """

    rule: str
    subject: str
    outputs: tuple[str, ...]
    needs: tuple[str, ...]
    state: str = NOT_BEGUN
    told: Told = NOTHING
    waits_for: tuple[str, ...] = ()
    resumes: int | None = None
    sizes: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The name of its log."""
        return f"{self.rule}_{self.subject}" if self.subject else self.rule

    @property
    def silent(self) -> float:
        """Seconds since the last sign of life."""
        return max(0.0, time.time() - self.told.written)


@dataclass(frozen=True)
class Row:
    """A run, the base model or a floor: its steps, and what eval.json says when all are done."""

    name: str
    steps: tuple[Step, ...]
    evaluation: dict[str, Any] | None

    @property
    def step(self) -> Step:
        """The first step that is not done, or the last."""
        return next((step for step in self.steps if step.state != DONE), self.steps[-1])


@dataclass(frozen=True)
class Study:
    """All that can be told of a study.

    Attributes
    ----------
    results : folder of the results, as the configuration has it.
    before, after : steps of all runs together.
    holders : living Snakemakes that work in the folder.
    """

    results: str
    before: tuple[Step, ...]
    rows: tuple[Row, ...]
    after: tuple[Step, ...]
    holders: tuple[Holder, ...]

    @property
    def begun(self) -> bool:
        return bool(self.holders) or any(step.state != NOT_BEGUN for step in self.steps)

    @property
    def steps(self) -> list[Step]:
        return [*self.before, *(step for row in self.rows for step in row.steps), *self.after]


def look(config: dict[str, Any], folder: Path = Path()) -> Study:
    """Return the state of a study.

    Parameters
    ----------
    config : the resolved configuration.
    folder : where Snakemake works, which paths are relative to.
    """
    results = config["paths"]["results"]
    holders = tuple(holder for holder in read_holders(folder / RECORDS / FOLDER) if lives(holder))
    before, of_rows, after = plan_of(config)
    logs, root = folder / logs_of(results), folder / results
    judged = {
        step.name: judge(step, read_log(logs / f"{step.name}.log"), root, holders)
        for step in [*before, *(step for steps in of_rows.values() for step in steps), *after]
    }
    found = {name: _with_waiting(step, judged, bool(holders)) for name, step in judged.items()}
    rows = []
    for name, steps in of_rows.items():
        path = root / name / "eval.json"
        evaluation = read_json(path) if path.is_file() else None
        rows.append(Row(name, tuple(found[step.name] for step in steps), evaluation))
    parts = (tuple(found[step.name] for step in steps) for steps in (before, after))
    return Study(results, next(parts), tuple(rows), next(parts), holders)


def logs_of(results: str) -> str:
    """Return the folder of a study's logs, as `rules/common.smk` has it."""
    return f"logs/{results.lstrip('/')}"


def plan_of(config: dict[str, Any]) -> tuple[list[Step], dict[str, list[Step]], list[Step]]:
    """Return the steps before the runs, those of each row, and those after."""
    sizes = list(sizes_of(config))
    mixed = dict.fromkeys((run.part.removeprefix("train_"), run.size_label) for run in runs_of(config) if run.mix)
    largest = max(sizes_of(config), key=sizes_of(config).__getitem__)
    before = [
        Step("fetch_model", "", ("data/model.json",), ()),
        Step("fetch_data", "", ("data/corpus.json",), ()),
        Step("clean", "", ("data/clean.parquet", "data/clean_report.json"), ("fetch_data",)),
        Step("split", "", ("data/pool.jsonl", "data/split_report.json"), ("clean",)),
        *(Step("subset", size, (f"data/train_{size}.manifest.json",), ("split",)) for size in sizes),
        *_mixing(mixed),
        Step(
            "leak_check",
            "",
            ("data/leak_report.json",),
            (f"subset_{largest}", *(("mix_rows",) if config["study"]["mix"] else ())),
        ),
        Step("encode", "validation", ("data/encoded/validation.json",), ("fetch_model", "split")),
        *(
            Step("encode", f"train_{size}", (f"data/encoded/train_{size}.json",), ("fetch_model", f"subset_{size}"))
            for size in sizes
        ),
        *(
            Step(
                "encode", f"train_{part}", (f"data/encoded/train_{part}.json",), ("fetch_model", f"mixed_subset_{part}")
            )
            for part, _ in mixed
        ),
        *(
            Step(
                "pilot", method, (f"pilot/{method}.json",), _encoded(end.size_label for end in piloted(config, method))
            )
            for method in pilots_of(config)
        ),
        *_exams(config),
    ]
    rows: dict[str, list[Step]] = {}
    for run in runs_of(config):
        needs = (f"encode_{run.part}", "encode_validation")
        needs += tuple([f"pilot_{run.method}"] if is_auto(config, run) else [])
        trained = Step("finetune", run.name, (f"{run.name}/training.json", f"{run.name}/adapter"), needs)
        answered = _answered(run.name, Step("predict", run.name, (), (trained.name,)))
        rows[run.name] = _examined(config, run.name, [trained, *answered], trained.name)
    answered = _answered("base", Step("predict", "base", (), ("fetch_model", "split")))
    rows["base"] = _examined(config, "base", answered, "fetch_model")
    for floor in floors_of(config):
        rows[floor] = _answered(floor, Step("floor", floor.removeprefix("floor_"), (), (f"subset_{largest}",)))
    pilots = (f"pilot_{method}" for method in pilots_of(config))
    evaluated = (*(f"evaluate_{name}" for name in rows), "leak_check", *pilots)
    screened = [
        *(Step("safety", name, (f"{name}/safety.json",), (_answers(steps),)) for name, steps in rows.items()),
        Step("safety", "reference", ("data/safety.json",), ("predict_base",)),
    ]
    after = [
        *screened,
        Step("aggregate", "", ("summary/recommendation.json", "summary/pareto.png"), evaluated),
        Step("report", "", ("summary/report.html",), ("aggregate", *(step.name for step in screened))),
    ]
    return before, rows, after


def _encoded(sizes: Iterable[str]) -> tuple[str, ...]:
    """Return the steps that encode what is trained on these sizes."""
    return (*(f"encode_train_{size}" for size in sizes), "encode_validation")


def _mixing(mixed: Iterable[tuple[str, str]]) -> list[Step]:
    """Return the steps that put general rows among the training rows; ``mixed`` are parts with the size of each."""
    parts = [
        Step("mixed_subset", part, (f"data/train_{part}.manifest.json",), ("mix_rows", f"subset_{size}"))
        for part, size in mixed
    ]
    if not parts:
        return []
    fetched = Step("fetch", "mix", ("data/sets/mix.json",), ())
    return [fetched, Step("mix_rows", "", ("data/mix.jsonl", "data/mix.json"), ("fetch_mix", "split")), *parts]


def _answers(steps: list[Step]) -> str:
    """Return the name of the step of a row that answers the test questions."""
    return next(step.needs[0] for step in steps if step.rule == "score")


def _exams(config: dict[str, Any]) -> list[Step]:
    """Return the steps that bring the questions of exams and the general texts."""
    steps = []
    for name in config["evaluation"]["exams"]:
        files = (f"data/exams/{name}.jsonl", f"data/exams/{name}.json")
        steps += [
            Step("fetch", f"exam_{name}", (f"data/sets/exam_{name}.json",), ()),
            Step("exam_questions", name, files, (f"fetch_exam_{name}",)),
            Step("exam_leak", name, (f"data/exams/{name}.leak.json",), (f"exam_questions_{name}",)),
        ]
    if config["evaluation"]["retention"]:
        steps.append(Step("fetch", "retention", ("data/sets/retention.json",), ()))
        steps.append(Step("retention_texts", "", ("data/retention.jsonl",), ("fetch_retention",)))
    return steps


def _examined(config: dict[str, Any], name: str, steps: list[Step], model: str) -> list[Step]:
    """Return a model's steps with that of its examination before the evaluation, where the study has one."""
    exams = config["evaluation"]["exams"]
    texts = ("retention_texts",) if config["evaluation"]["retention"] else ()
    if not exams and not texts:
        return steps
    needs = (model, *(f"exam_questions_{exam}" for exam in exams), *texts)
    examine = Step("examine", name, (f"{name}/exams.parquet", f"{name}/examination.json"), needs)
    evaluate = replace(steps[-1], needs=(*steps[-1].needs, examine.name, *(f"exam_leak_{exam}" for exam in exams)))
    return [*steps[:-1], examine, evaluate]


def _answered(name: str, answering: Step) -> list[Step]:
    """Return the step that answers the test questions, and what is made of its answers."""
    outputs = (f"{name}/predictions.jsonl", f"{name}/inference.json")
    return [
        replace(answering, outputs=outputs),
        Step("score", name, (f"{name}/scores.parquet",), (answering.name,)),
        Step("evaluate", name, (f"{name}/eval.json",), (f"score_{name}",)),
    ]


def judge(step: Step, told: Told | None, results: Path, holders: tuple[Holder, ...]) -> Step:
    """Return a step with its state, but for what waits."""
    resumes = newest_step(results / step.subject) if step.rule == "finetune" else None
    if all((results / output).exists() for output in step.outputs):
        sizes = read_pilot(results / step.outputs[0]) if step.rule == "pilot" else None
        return replace(step, state=DONE, told=told or NOTHING, sizes=sizes)
    if told is None:
        return replace(step, resumes=resumes)
    step = replace(step, told=told, resumes=resumes)
    if holders:
        # A log from before the call says nothing of it: the step's turn has not come.
        if told.written * 1e9 < min(holder.registered for holder in holders):
            return step
        return replace(step, state=FAILED if told.error else RUNNING)
    if told.error:
        return replace(step, state=FAILED)
    return replace(step, state=RUNNING if step.silent < ALIVE else STOPPED)


def _with_waiting(step: Step, steps: dict[str, Step], works: bool) -> Step:
    """Return a step that waits with what it waits for: steps before it, or those that have the card."""
    if step.state == RUNNING and step.told.waits:
        return replace(step, state=WAITING, waits_for=_on_the_card(step, steps))
    if step.state != NOT_BEGUN or not works:
        return step
    missing = tuple(name for name in step.needs if steps[name].state != DONE)
    if not missing and step.rule in GPU:
        missing = _on_the_card(step, steps)
    return replace(step, state=WAITING, waits_for=missing)


def _on_the_card(step: Step, steps: dict[str, Step]) -> tuple[str, ...]:
    return tuple(
        other.name
        for other in steps.values()
        if other.rule in GPU and other.state == RUNNING and not other.told.waits and other.name != step.name
    )


def newest_step(run: Path) -> int | None:
    """Return the step of the newest whole checkpoint of a run's present or last settings; None where there is none."""
    marks = [
        mark
        for mark in run.glob(f"checkpoints/*/{CHECKPOINT}*/complete")
        if mark.parent.name.removeprefix(CHECKPOINT).isdecimal()
    ]
    newest = max(marks, key=lambda mark: mark.stat().st_mtime, default=None)
    return None if newest is None else int(newest.parent.name.removeprefix(CHECKPOINT))


def lives(holder: Holder) -> bool:
    """Return whether a Snakemake lives: on this machine its process says so, on another a beat within a minute."""
    if holder.place == place():
        start = start_of(holder.pid)
        if start is None or UNKNOWN not in (start, holder.process_start):
            return start == holder.process_start
    return time.time() - holder.last_beat / 1e9 < PATIENCE
