"""The view of a call of Snakemake: what its events become, on a terminal and in a file, and what is told at the end."""

import io
import json
import logging
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from snakemake.logging import DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from medscale.watch import ending, view
from medscale.watch.screen import Screen
from medscale.watch.view import View
from places import ROOT

STEPS = "fine-tuning: 120 of 2,500 steps, loss 2.314, 5,120 tokens/s, 3.1/s, about 13 min left\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def call(tmp_path, monkeypatch):
    """A call that works in an empty folder, in English."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.delenv(view.SHOWN, raising=False)
    monkeypatch.setattr(ending, "_calls", [])
    monkeypatch.setattr(ending, "_views", [])
    ending.begin("results", "logs/results")
    return tmp_path


@pytest.fixture
def make(call, monkeypatch):
    """Make views, which are ended at the end."""
    made = []

    def new(**changes):
        settings = dict.fromkeys(("nocolor", "debug_dag", "verbose", "stdout", "dryrun", "printshellcmds"), False)
        settings |= {"quiet": {Quietness.REASON}, "show_failed_logs": True} | changes
        made.append(View(SimpleNamespace(**settings), DefaultFormatter(settings["quiet"]).format))
        return made[-1]

    yield new
    for one in made:
        one.close()


def tell(one, event, msg=None, level=logging.INFO, **values):
    record = logging.LogRecord("snakemake", level, "", 0, msg, (), None)
    record.__dict__.update(values, **({"event": event} if event else {}))
    one.take(record)


def job(one, number, rule, log=(), output=(), **wildcards):
    values = {"wildcards": wildcards, "log": [log] if log else [], "output": output, "rule_msg": "", "reason": "x"}
    tell(one, LogEvent.JOB_INFO, jobid=number, rule_name=rule, **values)


def log_of(step, text):
    path = Path("logs/results") / f"{step}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def error(one, number, rule, log, told=None):
    values = {"rule_name": rule, "rule_msg": told, "jobid": number, "log": [log], "input": [], "output": ["a"]}
    values |= {"aux": {}, "conda_env": None, "shellcmd": "x"}
    tell(one, LogEvent.JOB_ERROR, f"Error in rule {rule}", logging.ERROR, **values)


def lines(text):
    return [line[9:] for line in text.splitlines()]  # behind the time of day


def test_each_job_is_a_line_when_it_ends(make, capsys):
    one = make()
    tell(one, LogEvent.RUN_INFO, "Job stats: …", stats={"clean": 1, "predict": 2, "all": 1, "total": 4})
    job(one, 1, "predict", model="lora_16")
    tell(one, LogEvent.JOB_FINISHED, "Finished jobid: 1", job_id=1)
    said = capsys.readouterr().err
    assert lines(said) == [
        "jobs: 1 clean, 2 predict (4 in all)",
        "predict lora_16: begins",
        "✓ predict lora_16: done in 0 s",
    ]


def pilot(path, **sizes):
    """Write what pilot.py writes, as far as it is shown: by label rates with losses, the fixed one, the end."""
    made = {}
    for label, (rates, fixed, at_edge) in sizes.items():
        chosen = min((rate for rate in rates if rates[rate] is not None), key=rates.get)
        tried = [{"rate": rate, "nll": nll} for rate, nll in rates.items()]
        made[label] = {"chosen": chosen, "fixed": fixed, "at_edge": at_edge, "rates": tried}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"method": "lora", "sizes": made}), encoding="utf-8")
    return str(path)


GRID = {1e-4: 2.5, 3e-4: 2.4, 1e-3: 2.45}


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (
            {"16": (GRID, None, None), "32": (GRID, None, None)},
            "pilot lora: best learning rate 0.0003 on 16 rows, 0.0003 on 32 rows",
        ),
        (
            {"16": (GRID | {3e-3: 2.3}, None, "upper")},
            "pilot lora: best learning rate 0.003 on 16 rows (the largest that was tried: a larger one may be better)",
        ),
        (
            {"16": (GRID, 1e-4, None), "32": (GRID | {1.0: None}, 1.0, None)},
            "pilot lora: best learning rate 0.0003 on 16 rows (the runs take 0.0001, which loses 0.100 nats a token), "
            "0.0003 on 32 rows (the runs take 1, which diverged)",
        ),
        ({"16": (GRID, 3e-4, None)}, "pilot lora: best learning rate 0.0003 on 16 rows"),
    ],
)
def test_what_a_pilot_found_is_told_when_it_has_ended(make, capsys, call, sizes, told):
    one = make()
    output = pilot(call / "results" / "pilot" / "lora.json", **sizes)
    job(one, 1, "pilot", method="lora", output=[output])
    tell(one, LogEvent.JOB_FINISHED, "Finished jobid: 1", job_id=1)
    assert lines(capsys.readouterr().err)[1:] == ["✓ pilot lora: done in 0 s", told]


def test_a_pilot_whose_file_cannot_be_read_has_ended_all_the_same(make, capsys, call):
    one = make()
    for number, content in enumerate(("", "{}", '{"sizes": {"16": {}}}', "[]"), 1):
        (call / "lora.json").write_text(content, encoding="utf-8")
        job(one, number, "pilot", method="lora", output=[str(call / "lora.json")])
        tell(one, LogEvent.JOB_FINISHED, f"Finished jobid: {number}", job_id=number)
    assert lines(capsys.readouterr().err)[1::2] == ["✓ pilot lora: done in 0 s"] * 4


def test_what_snakemake_tells_at_every_call_is_left_to_its_log(make, capsys):
    one = make()
    for text in ("Building DAG of jobs...", "Using shell: /bin/bash", "Provided cores: 2", "Select jobs to execute..."):
        tell(one, None, text)
    tell(one, LogEvent.WORKFLOW_STARTED, "Workflow has started!")
    tell(one, LogEvent.SHELLCMD, "Shell command: …", shellcmd="python x")
    tell(one, LogEvent.RESOURCES_INFO, "Provided resources: gpu=1")
    assert capsys.readouterr().err == ""


def test_errors_of_snakemake_are_shown_in_full(make, capsys):
    text = "LockException:\nError: Directory cannot be locked. Please make sure that no other Snakemake process …"
    tell(make(), LogEvent.ERROR, text, logging.ERROR, exception="LockException")
    tell(make(), None, "Waiting at most 5 seconds for missing files.", logging.WARNING)
    said = capsys.readouterr().err
    assert text in said
    assert "Waiting at most 5 seconds for missing files." in said


def test_a_failed_job_is_one_line_with_its_reason_and_its_log(make, capsys):
    one = make()
    log = log_of("finetune_lora_16", STEPS + "error: loss is nan at step 3. Lower training.learning_rate [T101]\n")
    job(one, 7, "finetune", log, tuned="lora_16")
    error(one, 7, "finetune", log)
    tell(one, LogEvent.ERROR, "RuleException: Command '…' returned non-zero exit status 1.", logging.ERROR)
    error(one, 7, "finetune", log)  # Snakemake says it again at the end
    tell(one, LogEvent.ERROR, "WorkflowError:\nAt least one job did not complete successfully.", logging.ERROR)
    one.close()
    said = capsys.readouterr().err
    reason = "finetune lora_16: failed: loss is nan at step 3. Lower training.learning_rate [T101] (log: " + log + ")"
    assert lines(said)[1] == "✗ " + reason
    begin, end = said.split("\n\n")
    assert begin.count("T101") == 1
    assert end.splitlines() == [
        reason,
        "finetune lora_16 failed; what needs it was not made. Mend the cause and call the same command again.",
    ]


def test_a_job_that_worked_at_another_try_has_not_failed(make, capsys):
    one = make()
    log = log_of("finetune_lora_16", "fine-tuning: 1 of 4 steps\n")
    job(one, 7, "finetune", log, tuned="lora_16")
    error(one, 7, "finetune", log)
    tell(one, None, "Trying to restart job 7.")
    job(one, 7, "finetune", log, tuned="lora_16")
    tell(one, LogEvent.JOB_FINISHED, "Finished jobid: 7", job_id=7)
    one.close()
    said = lines(capsys.readouterr().err)
    assert said[1:] == [
        f"✗ finetune lora_16: failed: its log does not say why (log: {log})",
        "finetune lora_16: once more",
        "finetune lora_16: begins",
        "✓ finetune lora_16: done in 0 s",
    ]


def test_a_job_that_its_cluster_killed_says_what_the_cluster_says(make, capsys):
    one = make()
    log = log_of("finetune_lora_16", STEPS)
    job(one, 7, "finetune", log, tuned="lora_16")
    told = "SLURM-job '9' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable. For further …"
    error(one, 7, "finetune", log, told)
    reason = "SLURM-job '9' failed, SLURM status is: 'TIMEOUT'"
    assert lines(capsys.readouterr().err)[-1] == f"✗ finetune lora_16: failed: {reason} (log: {log})"


def test_a_long_job_says_how_far_it_is_now_and_then(make, capsys, monkeypatch):
    monkeypatch.setattr(view, "LOOK", 0.01)
    monkeypatch.setattr(view, "LINES", 0.05)
    one = make()
    job(one, 7, "finetune", log_of("finetune_lora_16", STEPS), tuned="lora_16")
    one.ended.wait(0.3)
    said = [line for line in lines(capsys.readouterr().err) if "120 of" in line]
    assert 1 <= len(said) <= 6
    assert said[0] == "finetune lora_16: " + STEPS.strip()


def test_on_a_terminal_the_running_jobs_are_a_table(make, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    one = make()
    monkeypatch.setattr(view, "LOOK", 3600)
    drawn = io.StringIO()
    one.screen = Screen("en", False, Console(file=drawn, width=140, force_terminal=True))
    job(one, 7, "finetune", log_of("finetune_lora_16", STEPS), tuned="lora_16")
    job(one, 8, "predict", log_of("predict_base", "waiting for the device: another job holds x.lock\n"), model="base")
    job(one, 9, "clean", log_of("clean", "looking for duplicates: 20 s so far\n"))
    tell(one, LogEvent.PROGRESS, done=5, total=14)
    one._renew()
    table = Console(file=io.StringIO(), width=140, record=True)
    table.print(one.screen.table(one.running.values(), one.done, one.total))
    text = table.export_text()
    assert "5 of 14 jobs done" in text
    line = next(line for line in text.splitlines() if "finetune lora_16" in line)
    assert "120 / 2,500 steps" in line
    assert "loss 2.314, 5,120 tokens/s" in line
    assert "left 13 min" in line
    assert "for another job holds x.lock" in text
    assert "looking for duplicates" in text
    job(one, 10, "plan")  # which writes on the terminal itself
    one._renew()
    assert one.screen.live is None
    assert "\x1b[?25h" in drawn.getvalue()  # the cursor is back


def test_the_log_of_an_earlier_try_says_nothing_of_a_job_in_the_queue(make, monkeypatch):
    log = log_of("finetune_lora_16", STEPS)
    os.utime(log, (time.time() - 600,) * 2)
    one = make()
    job(one, 7, "finetune", log, tuned="lora_16")
    assert one.running[7].state("en") == "it has not begun to write"
    log_of("finetune_lora_16", STEPS)
    assert one.running[7].state("en") == STEPS.strip()


def test_jobs_leave_the_terminal_to_the_view(make):
    make()
    assert os.environ[view.SHOWN] == "1"
    for name in ("train", "evaluate"):
        assert "MEDSCALE_VIEW" in (ROOT / "rules" / f"{name}.smk").read_text(encoding="utf-8")


@pytest.mark.parametrize(("quiet", "errors"), [("all", True), ("progress", True)])
def test_quiet_shows_errors_alone(make, capsys, quiet, errors):
    one = make(quiet=set(Quietness.parse_choices_set([quiet])))
    tell(one, LogEvent.RUN_INFO, "x", stats={"total": 1})
    job(one, 1, "predict", model="base")
    tell(one, LogEvent.JOB_FINISHED, "x", job_id=1)
    assert capsys.readouterr().err == ""
    tell(one, LogEvent.ERROR, "WorkflowError: the configuration is not usable", logging.ERROR)
    assert "not usable" in capsys.readouterr().err


def test_a_dry_run_is_told_by_snakemake_itself(make, capsys):
    one = make(dryrun=True, stdout=True)
    tell(one, None, "Building DAG of jobs...")
    tell(one, LogEvent.RUN_INFO, "Job stats:\njob    count\n")
    one.close()
    assert capsys.readouterr().out == "Building DAG of jobs...\nJob stats:\njob    count\n\n"
    assert view.SHOWN not in os.environ


TABLE = """\
drawing resamples of all runs: 12 s so far
        run        rows    NLL
------  -------  ------  -----
EXP-01  lora_16      16  6.712
± is half the width of the 95 % interval, – was not measured; NLL is better lower, the rest higher.

lora_16 is recommended
warning: one seed
"""


@pytest.fixture
def report(call):
    """A report with all that its end is told from."""
    folder = Path("results/summary")
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("<html>")
    found = {"sentence": {"en": "lora_16 is recommended", "zh": "推荐 lora_16"}}
    found["warnings"] = [{"en": "one seed", "zh": "只有一个种子"}]
    (folder / "recommendation.json").write_text(json.dumps(found))
    log_of("aggregate", TABLE)
    return folder / "report.html"


def test_the_end_of_a_study_is_the_table_the_answer_and_the_report(report, make, capsys):
    one = make()
    one.close()
    assert capsys.readouterr().out == (
        "\n        run        rows    NLL\n------  -------  ------  -----\nEXP-01  lora_16      16  6.712\n"
        "± is half the width of the 95 % interval, – was not measured; NLL is better lower, the rest higher.\n\n"
        f"Answer: lora_16 is recommended\nwarning: one seed\n\nReport: {report.absolute()}\n"
    )


def test_the_end_speaks_chinese_where_the_reader_does(report, monkeypatch, capsys):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    ending.tell()
    said = capsys.readouterr().out
    assert "结论：推荐 lora_16\n提醒：只有一个种子\n" in said
    assert f"报告：{report.absolute()}" in said


def test_without_the_view_snakemakes_own_hooks_tell_the_end_once(report, make, capsys):
    ending.tell()
    assert "Answer: lora_16 is recommended" in capsys.readouterr().out
    make()  # it will tell
    ending.tell()
    assert capsys.readouterr().out == ""


def test_a_call_that_made_no_report_tells_of_none(report, make, capsys):
    os.utime(report, (1, 1))
    ending.tell()
    make().close()
    assert capsys.readouterr().out == ""


def test_where_nothing_was_to_be_done_the_answer_is_told_again(report, make, capsys):
    os.utime(report, (1, 1))
    one = make()
    tell(one, None, "Nothing to be done (all requested files are present and up to date).")
    one.close()
    said = capsys.readouterr()
    assert "Everything is there" in said.err
    assert "Answer: lora_16 is recommended" in said.out


def test_failures_are_told_without_the_view_too(call, capsys):
    old = log_of("predict_base", "error: of before [E101]\n")
    os.utime(old, (1, 1))
    log_of("finetune_lora_16", STEPS + "error: the run has diverged [T101]\n")
    log_of("clean", "kept 3 of 4 rows\n")
    ending.tell_failures()
    assert capsys.readouterr().err.splitlines() == [
        "finetune_lora_16: failed: the run has diverged [T101] (log: logs/results/finetune_lora_16.log)",
        "finetune_lora_16 failed; what needs it was not made. Mend the cause and call the same command again.",
    ]


def test_snakemake_finds_the_view_where_its_folder_is_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "workflow" / "logger"))
    monkeypatch.setattr(LoggerPluginRegistry, "_instance", None)
    plugin = LoggerPluginRegistry().get_plugin("medscale")
    settings = SimpleNamespace(quiet=None, dryrun=True, verbose=False, debug_dag=False, nocolor=False, stdout=True)
    settings.printshellcmds = settings.show_failed_logs = False
    handler = plugin.log_handler(settings, None)
    assert handler.writes_to_stream
    handler.close()
