"""The forecast of the study: each kind of run is measured for a few dozen steps on this machine, and scaled up.

For cards that are not here the same figures are computed instead; see `plan.computed`.
"""

import argparse
import gc
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import torch

from medscale.base.errors import UserError
from medscale.base.events import now
from medscale.base.files import read_jsonl, write_json, write_text
from medscale.base.imports import UNUSED, leave_out, needs_bitsandbytes
from medscale.base.progress import working
from medscale.base.settings import largest_method, reading_settings, settings_for
from medscale.base.study import Run, mixed_rows, runs_of, size_label
from medscale.data.questions import question_of
from medscale.evaluate.continuations import longest_input
from medscale.model.chat import Chat
from medscale.model.hardware import device, hardware, software
from medscale.model.precision import precision
from medscale.model.tokenizer import load_tokenizer
from medscale.plan.arithmetic import TIMES, Passes, totals
from medscale.plan.cards import Card, card_of, known_card
from medscale.plan.computed import Simulations, compute, rates
from medscale.plan.exam_passes import ExamPass
from medscale.plan.exam_rows import examinations
from medscale.plan.lengths import Lengths, Row, study_lengths
from medscale.plan.outcome import CPU_FLOPS, Machine, Outcome
from medscale.plan.pilots import pilot_methods, pilot_notes, pilot_row, pilot_share
from medscale.plan.random_model import config_of, empty_model, weights_gib
from medscale.plan.rows import base_row, further, measured_facts, notes, planned_passes, run_row, session
from medscale.plan.shapes import Shape, shape_of
from medscale.plan.table import plan_text
from medscale.train.trainer import planned_steps

SAME_SPEED = ("epochs", "max_steps", "learning_rate", "lr_scheduler", "warmup_ratio", "weight_decay", "max_grad_norm")
SAME_SPEED += ("eval_interval", "save_minutes", "early_stopping_patience")
LONGEST_DAYS = 7.0
"""A study whose trainings would take longer than this on the CPU that is here is not measured but computed."""
COMPUTED_FOR = ["t4", "4090", "a100-80"]
"""For these cards, where none is named: lent for nothing, to be had at home, and rented."""
SUMS = (*TIMES, "energy_kwh", "cost")


class Task(NamedTuple):
    """What one process measures: runs of one method whose settings take the same time a step."""

    shape: Shape
    method: str
    settings: dict[str, Any]
    train: list[Row] | None
    validation: list[Row]
    passes: Passes
    test: list[Row]
    threads: int
    seconds: float
    exam_passes: Sequence[ExamPass] = ()


def run(args: argparse.Namespace) -> None:
    """Do what the arguments of ``plan.py`` ask for, on the device that is visible or for cards that are not here."""
    config = json.loads(args.config)
    torch.set_num_threads(args.threads)
    os.environ["TQDM_DISABLE"] = "1"
    shape = shape_of(config["model"], args.model)
    lengths = lengths_of(config, shape, args)
    cards = config["plan"]["cards"]
    if not cards and device().type == "cpu" and (days := cpu_days(config, shape, lengths)) > LONGEST_DAYS:
        cards = COMPUTED_FOR
        print(
            f"There is no GPU here, and the trainings of this study would take about {days:,.0f} days on this CPU: so "
            f"the plan is computed for {', '.join(cards)}. For others: make plan CARD=..., or plan.cards\n"
        )
    if not cards:
        write_plan(args.output / "plan", forecast(config, shape, lengths, args))
    simulations = Simulations(config_of(shape))
    for name in map(str, cards):
        card = card_of(name, config["plan"]["own_cards"])
        write_plan(args.output / f"plan_{name.lower()}", forecast(config, shape, lengths, args, card, simulations))


def write_plan(path: Path, plan: dict[str, Any]) -> None:
    """Write a plan as JSON and as text, and print the text."""
    write_json(path.with_name(f"{path.name}.json"), plan)
    text = plan_text(plan)
    write_text(path.with_name(f"{path.name}.md"), text)
    print(text)


def cpu_days(config: dict[str, Any], shape: Shape, lengths: Lengths) -> float:
    """Return the days that the trainings would take on a CPU, roughly."""
    tokens = 0.0
    for run in runs_of(config):
        training, rows = settings_for(config, run)["training"], lengths.parts[run.part]
        mean = sum(row.total for row in rows) / len(rows)
        tokens += planned_steps(len(rows), training) * training["effective_batch"] * mean
    return 6 * empty_model(config_of(shape)).num_parameters() * tokens / CPU_FLOPS / 86400


def forecast(
    config: dict[str, Any],
    shape: Shape,
    lengths: Lengths,
    args: argparse.Namespace,
    card: Card | None = None,
    simulations: Simulations | None = None,
) -> dict[str, Any]:
    """Measure each kind of run, or compute it for a card, and return the content of plan.json.

    ``simulations`` of the model may be handed over, so that several cards share them.
    """
    runs, outcomes, rows = runs_of(config), {}, []
    machine, simulations = machine_of(config, card), simulations or Simulations(config_of(shape))

    def outcome_of(task: Task) -> Outcome:
        if card is None:
            print(f"measuring {task.method}", flush=True)
            with working(f"measuring {task.method}"):
                return measure_apart(task)
        return computed(task, card, simulations)

    for run in sorted(runs, key=lambda run: -run.size):  # the largest first: its rows stand for its kind
        settings = settings_for(config, run)
        if kind_of(run, settings) not in outcomes:
            task = task_of(config, shape, run.method, settings, lengths.parts[run.part], lengths, args)
            outcomes[kind_of(run, settings)] = outcome_of(task)
    for run in runs:
        settings = settings_for(config, run)
        outcome = outcomes[kind_of(run, settings)]
        rows.append(run_row(config, run, settings, outcome, lengths, machine))
    whole = [outcomes[kind_of(run, settings_for(config, run))] for run in runs if run.method == "lora"]
    base = {name: config[name] for name in ("training", "lora")}
    # The base model predicts as a merged LoRA does. But a process's resident peak on a CPU has the training in it.
    if not whole or whole[0].prediction is None or machine.device == "cpu":
        whole = [outcome_of(task_of(config, shape, "base", base, None, lengths, args))]
        outcomes[json.dumps(["base"])] = whole[0]
    rows.append(base_row(config, whole[0], lengths, machine))
    pilots = [
        pilot_row(
            config,
            ends,
            [outcomes[kind_of(end, settings_for(config, end))] for end in ends],
            lengths,
            machine,
            2 * empty_model(config_of(shape)).num_parameters(),
        )
        for ends in pilot_methods(config).values()
    ]
    plan = assemble(config, shape, lengths, rows, pilots, outcomes, machine)
    if card is not None:
        return plan | {"coefficients": plan["measured"]} | of_card(card, rows)
    if (name := known_card(plan["hardware"]["gpu_model"], machine.memory_gib)) is not None:
        beside = forecast(config, shape, lengths, args, card_of(name, {}))
        plan["beside"] = {"card": name, "pilots": beside["pilots"], "runs": beside["runs"], "basis": beside["basis"]}
    return plan


def machine_of(config: dict[str, Any], card: Card | None) -> Machine:
    """Return what the plan is for."""
    price = config["recommendation"]["price_per_gpu_hour"]
    if card is not None:
        return Machine(
            "cuda", card.memory_gib, price if card.price_per_hour is None else card.price_per_hour, computed=True
        )
    here = hardware()
    if here["device"] == "cpu":
        return Machine("cpu", here["memory_gib"], None)
    return Machine("cuda", here["gpu_memory_gib"], price)


def computed(task: Task, card: Card, simulations: Simulations) -> Outcome:
    """Return what a kind of run takes on a card that is not here."""
    return compute(simulations, task.method, task.settings, card, task.train, task.passes, task.test, task.exam_passes)


def of_card(card: Card, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what plan.json says of a card that is not here, in the place of what it says of this machine."""
    used = sorted({row["settings"]["precision"] for row in rows} - {None})
    return {
        "computed": True,
        "measured_at": None,
        "computed_at": now(),
        "measured": [],
        "load_average": None,
        "hardware": {
            "device": "cuda",
            "gpu_model": card.title,
            "gpu_memory_gib": card.memory_gib,
            "compute_capability": ".".join(map(str, card.capability)),
        },
        "rates": card._asdict() | {"used_precisions": used},
        "basis": rates(card, used),
    }


def kind_of(run: Run, settings: dict[str, Any]) -> str:
    """Return what runs of the same speed a token have in common."""
    training = {key: value for key, value in settings["training"].items() if key not in SAME_SPEED}
    return json.dumps([run.method, training, settings["lora"]], sort_keys=True)


def lengths_of(config: dict[str, Any], shape: Shape, args: argparse.Namespace) -> Lengths:
    """Return the lengths of all rows, from the files that are there."""
    study, limit = config["study"], config["evaluation"]["max_samples"]
    sizes = {f"train_{size_label(size)}": size for size in study["sizes"]}
    sizes |= {run.part: run.size + mixed_rows(run.size, run.mix) for run in runs_of(config) if run.mix is not None}
    sizes |= {"validation": study["validation_size"], "test": min(limit or study["test_size"], study["test_size"])}
    data = Path(config["paths"]["results"]) / "data"
    max_length = config["training"]["max_length"]
    chat = Chat(load_tokenizer(shape.manifest), **config["chat"]) if shape.manifest else None
    found = study_lengths(sizes, data / "encoded", args.corpus, reading_settings(config), chat, max_length)
    if chat is not None and (data / "test.jsonl").is_file():
        items = list(read_jsonl(data / "test.jsonl"))[: sizes["test"]]
        questions = chat.fitted(list(map(question_of, items)), [item["answer"] for item in items], max_length)
        prompts = [len(chat.prompt_ids(question)) for question in questions]
        answers = [len(chat.answer_ids(item["answer"])) for item in items]
        found.parts["test"] = [Row(p + a, a) for p, a in zip(prompts, answers, strict=True)]
    longest = longest_input(config_of(shape))
    return found._replace(examined=examinations(config, json.loads(args.sets), chat, longest, args.options))


def task_of(
    config: dict[str, Any],
    shape: Shape,
    method: str,
    settings: dict[str, Any],
    train: list[Row] | None,
    lengths: Lengths,
    args: argparse.Namespace,
) -> Task:
    """Return what a process needs to measure one kind of run."""
    settings = settings | {name: config[name] for name in ("quantization", "evaluation")}
    settings["largest"] = largest_method(config)
    passes, parts = planned_passes(config, lengths, tuned=train is not None), lengths.parts
    return Task(
        *(shape, method, settings, train, parts["validation"], passes, parts["test"], args.threads, args.seconds),
        exam_passes=lengths.examined.passes,
    )


def measure_apart(task: Task) -> Outcome:
    """Measure in a process of its own, whose memory is then that of the job, and which may run out of it."""
    kind = precision(task.settings["training"]["precision"])
    machine = hardware()
    room, needed = machine["gpu_memory_gib"] or machine["memory_gib"], weights_gib(task.shape, task.method, kind)
    if needed > room:
        return Outcome(None, None, f"the weights alone take {needed:.1f} GiB of {room:.1f}")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(measure, task).result()
        except BrokenProcessPool:
            return Outcome(None, None, "the measurement was killed, as a rule because the machine's memory ended")


def measure(task: Task) -> Outcome:
    """Measure training, prediction and examination of one kind of run; called in a process of its own."""
    leave_out(*UNUSED)
    if not needs_bitsandbytes(task.method, task.settings["training"]["optimizer"]):
        leave_out("bitsandbytes")  # as the job does, whose memory is measured here
    from medscale.plan.examining import measure_examination
    from medscale.plan.prediction import measure_prediction
    from medscale.plan.training import measure_training

    torch.set_num_threads(task.threads)
    training = prediction = examination = None
    try:
        if task.train is not None:
            training = measure_training(
                task.shape, task.method, task.settings, task.train, task.validation, task.seconds
            )
            gc.collect()  # the Trainer and its callbacks hold each other, and the model
            torch.cuda.empty_cache()
        prediction = measure_prediction(
            task.shape, task.method, task.settings, task.passes, task.test, task.seconds / 2
        )
        if task.exam_passes:
            gc.collect()
            torch.cuda.empty_cache()
            examination = measure_examination(
                task.shape, task.method, task.settings, task.exam_passes, task.seconds / 6
            )
    except torch.OutOfMemoryError as error:
        return Outcome(training, prediction, f"out of memory: {str(error).splitlines()[0]}")
    except UserError as error:
        if "out of memory" not in str(error):
            raise
        return Outcome(training, prediction, str(error))
    return Outcome(training, prediction, None, examination)


def assemble(
    config: dict[str, Any],
    shape: Shape,
    lengths: Lengths,
    rows: list[dict[str, Any]],
    pilots: list[dict[str, Any]],
    outcomes: dict[str, Outcome],
    machine: Machine,
) -> dict[str, Any]:
    """Return the content of plan.json."""
    recommendation = config["recommendation"]
    tokens = [row.total for part in lengths.parts.values() for row in part]
    return {
        "schema_version": 1,
        "measured_at": now(),
        "model": {"name": shape.name, "source": shape.source, "random_weights": shape.folder is None},
        "lengths": {"source": lengths.source, "mean_tokens": sum(tokens) / len(tokens)},
        "computed": False,
        "hardware": None if machine.computed else hardware(),
        "software": software(),
        "load_average": os.getloadavg()[0],
        "price_per_gpu_hour": machine.price_per_hour if machine.computed else recommendation["price_per_gpu_hour"],
        "currency": recommendation["currency"],
        "runs": rows,
        "pilots": pilots,
        "pilot_share": pilot_share(pilots, rows),
        "totals": totals([*rows, *pilots], SUMS),
        "further": further(config, rows),
        "examined": {
            "sets": [
                {
                    "name": each.name,
                    "count": each.count,
                    "rows": each.rows,
                    "passes": len(each.passes),
                    "tokens": sum(one.rows * one.width for one in each.passes),
                    "source": each.source,
                }
                for each in lengths.examined.sets
            ],
            "not_in_the_plan": lengths.examined.unknown,
        },
        "sessions": {name: session(limits, rows, machine, pilots) for name, limits in config["sessions"].items()},
        "measured": [measured_facts(kind, outcome) for kind, outcome in outcomes.items()],
        "notes": notes(config, rows, outcomes, machine) + pilot_notes(config, pilots, rows),
    }
