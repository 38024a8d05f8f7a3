"""The state of a study as a table for a terminal, as plain text, or as JSON."""

import io
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medscale.base.progress import duration
from medscale.watch.pilots import found
from medscale.watch.study import DONE, FAILED, GPU, NOT_BEGUN, RUNNING, STOPPED, WAITING, Row, Step, Study, logs_of
from medscale.watch.words import word

STYLES = {DONE: "green", RUNNING: "cyan", WAITING: "yellow", FAILED: "bold red", STOPPED: "magenta", NOT_BEGUN: "dim"}
SILENT = 300.0  # seconds: a step writes a line every half minute, so that nothing for so long is told
WIDE = 2000  # columns of a file or a pipe, where no line should be broken


def show(study: Study, tongue: str, stream: TextIO | None = None) -> None:
    """Print the tables and, below them, why what failed did; in a file or a pipe plain, and no line is broken."""
    console = Console(file=stream, highlight=False, markup=False)
    framed = console.is_terminal
    parts = [heading(study, tongue), runs_table(study, tongue, framed), stages_table(study, tongue, framed)]
    parts += [Text(line, "red") for line in failures(study, tongue)]
    if framed:
        console.print(*parts, sep="\n")
        return
    plain = Console(file=io.StringIO(), width=WIDE, no_color=True, highlight=False, markup=False)
    plain.print(*parts, sep="\n", soft_wrap=True)
    print("\n".join(line.rstrip() for line in plain.file.getvalue().splitlines()), file=stream)


def heading(study: Study, tongue: str) -> str:
    """Return how much is done, and who works there."""
    done = sum(step.state == DONE for step in study.steps)
    who = [word("snakemake", tongue, holder) for holder in study.holders] or [word("no snakemake", tongue)]
    return word("head", tongue, study.results, word("count", tongue, done, len(study.steps)), ", ".join(who))


def failures(study: Study, tongue: str) -> list[str]:
    """Return a line for each step that failed, with its reason and its log."""
    return [
        f"{word('has failed', tongue, step.name, step.told.error)} "
        f"({word('log', tongue, f'{logs_of(study.results)}/{step.name}.log')})"
        for step in study.steps
        if step.state == FAILED
    ]


def runs_table(study: Study, tongue: str, framed: bool) -> Table:
    """One line a run: its state, how far it is, or what came out."""
    names = ("run", "state", "now", "how far", "left", "sign", "training", "ROUGE-L", "NLL")
    table = _table([word(name, tongue) if name not in ("ROUGE-L", "NLL") else name for name in names], framed)
    for row in study.rows:
        step = row.step
        said = word(step.state, tongue)
        table.add_row(
            row.name,
            Text(said, STYLES[step.state]),
            "" if step.state == DONE else step.rule,
            how_far(step, tongue),
            duration(step.told.line.left) if _runs(step) and step.told.line and step.told.line.left is not None else "",
            sign_of_life(step, tongue),
            *outcome(row),
        )
    return table


def stages_table(study: Study, tongue: str, framed: bool) -> Table:
    """One line for each step of all runs together; those of one kind share it where all are done or none has begun."""
    table = _table(
        [word("stages", tongue), *(word(name, tongue) for name in ("state", "how far", "left", "sign"))], framed
    )
    for steps in _grouped([*study.before, *study.after]):
        step = steps[0]
        name = step.name if len(steps) == 1 else f"{step.rule} ({len(steps)})"
        left = step.told.line.left if _runs(step) and step.told.line else None
        table.add_row(
            name,
            Text(word(step.state, tongue), STYLES[step.state]),
            how_far(step, tongue),
            "" if left is None else duration(left),
            sign_of_life(step, tongue),
        )
    return table


def _table(heads: list[str], framed: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD if framed else None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(head, overflow="fold", no_wrap=not framed)
    return table


def _grouped(steps: list[Step]) -> list[list[Step]]:
    groups: list[list[Step]] = []
    for step in steps:
        same = groups and groups[-1][0].rule == step.rule and groups[-1][0].state == step.state
        if same and step.state in (DONE, NOT_BEGUN) and step.sizes is None:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups


def _runs(step: Step) -> bool:
    return step.state == RUNNING


def how_far(step: Step, tongue: str) -> str:
    """Return how far a step is, or what it waits for; of a pilot that is done, what it found."""
    if step.sizes is not None:
        return found(step.sizes, tongue)
    if step.state == FAILED:
        return word("below", tongue)
    if step.state == RUNNING:
        return "" if step.told.line is None else str(step.told.line._replace(left=None))
    if step.state == WAITING:
        told = _awaited(step, tongue)
    elif step.state == STOPPED and step.resumes is None:
        told = word("anew", tongue)
    else:
        told = ""
    return ", ".join(filter(None, (told, word("resumes", tongue, step.resumes) if step.resumes is not None else "")))


def _awaited(step: Step, tongue: str) -> str:
    names = ", ".join(step.waits_for)
    if step.told.waits and not names:
        return word("waits for", tongue, step.told.waits)
    if not names:
        return word("its turn", tongue)
    on_the_card = step.rule in GPU and not set(step.waits_for) & set(step.needs)
    return word("has the card" if on_the_card else "waits for", tongue, names)


def sign_of_life(step: Step, tongue: str) -> str:
    """Return when a running step last wrote into its log, and that it does so no more."""
    if step.state not in (RUNNING, STOPPED):
        return ""
    since = duration(step.silent)
    return word("silent" if step.state == RUNNING and step.silent > SILENT else "ago", tongue, since)


def outcome(row: Row) -> tuple[str, str, str]:
    """Return the training time and the headline metrics of a row that is done."""
    if row.step.state != DONE or row.evaluation is None:
        return "", "", ""
    metrics, training = row.evaluation["metrics"], row.evaluation["training"]
    nll = metrics["nll"]["value"]
    return (
        duration(training["seconds"]) if training else "",
        f"{metrics['rouge_l']['f']:.2f}",
        "" if nll is None else f"{nll:.3f}",
    )


def as_json(study: Study) -> dict[str, Any]:
    """Return the state as plain values: of each step its state and what is known; of each row, what came out."""
    return {
        "schema_version": 1,
        "results": study.results,
        "snakemake": [
            {"host": holder.place[0], "pid": holder.pid, "started_at": holder.started_at} for holder in study.holders
        ],
        "steps": [_step_json(study, step) for step in study.steps],
        "rows": [
            {
                "run": row.name,
                "state": row.step.state,
                "step": None if row.step.state == DONE else row.step.name,
                "metrics": None if row.evaluation is None else row.evaluation["metrics"],
            }
            for row in study.rows
        ],
    }


def _step_json(study: Study, step: Step) -> dict[str, Any]:
    line = step.told.line if step.state == RUNNING else None
    return {
        "step": step.name,
        "state": step.state,
        "what": line and line.what,
        "done": line and line.done,
        "total": line and line.total,
        "unit": line and (line.unit or None),
        "values": dict(line.values) if line else {},
        "seconds_left": line and line.left,
        "seconds_since_sign_of_life": round(step.silent, 1) if step.state in (RUNNING, STOPPED) else None,
        "waits_for": list(step.waits_for),
        "resumes_from_step": step.resumes,
        "best_learning_rates": {label: size["chosen"] for label, size in (step.sizes or {}).items()} or None,
        "error": step.told.error if step.state == FAILED else None,
        "log": f"{logs_of(study.results)}/{step.name}.log",
    }
