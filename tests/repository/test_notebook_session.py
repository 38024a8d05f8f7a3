"""What the notebooks' cells call: one command line, a session that ends in time, messages without Python's lines."""

import importlib.util
import os
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
import yaml

from medscale.base.config import resolve
from places import ROOT


@pytest.fixture
def session():
    spec = importlib.util.spec_from_file_location("session", ROOT / "notebooks" / "session.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["session"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["session"]


@pytest.fixture
def calls(session, monkeypatch):
    """The targets of each call of Snakemake, instead of calling it; ``status`` is what calls return, by target."""
    called, commands = [], []

    def stream(command, seconds=None):
        target = command[3]
        commands.append(command)
        called.append((target, seconds))
        return stream.status.get(target, 0)

    stream.status = {}
    monkeypatch.setattr(session, "stream", stream)
    return SimpleNamespace(made=called, commands=commands, status=stream.status)


def test_a_call_names_the_study_and_every_card(session, monkeypatch, tmp_path):
    monkeypatch.setattr(session, "cards", lambda: 2)
    settings = "study:\n  sizes: [300]\n"
    study = session.Study(tmp_path / "我的 study", tmp_path / "disk", settings)
    words = study.command("plan", backup={"path": "/a b"})
    assert words[3] == "plan", "a target stands before options that take every word after them"
    options = {word: words[place + 1] for place, word in enumerate(words) if word.startswith("-")}
    assert options["--resources"] == "gpu=2"
    assert options["--directory"] == str(tmp_path / "我的 study")
    assert (tmp_path / "我的 study" / "settings.yaml").read_text(encoding="utf-8") == settings
    assert options["--configfile"] == str(tmp_path / "我的 study" / "settings.yaml")
    given = words[words.index("--config") + 1 :]
    config = resolve({name: yaml.safe_load(value) for name, value in (word.split("=", 1) for word in given)})
    assert config["paths"] == {"results": "results", "resources": str(tmp_path / "disk")}
    assert config["backup"]["path"] == "/a b"


def test_the_demo_is_the_repositorys(session, tmp_path):
    words = session.Study(tmp_path, tmp_path / "disk", "no: settings", demo=True).command()
    assert words[words.index("--configfile") + 1] == str(ROOT / "config" / "demo.yaml")
    assert not (tmp_path / "settings.yaml").exists()


@pytest.mark.parametrize(
    ("said", "status", "count"), [("GPU 0: Tesla T4\nGPU 1: Tesla T4", 0, 2), ("No devices were found", 6, 0)]
)
def test_cards_are_counted(session, tmp_path, monkeypatch, said, status, count):
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{said}'\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert session.cards() == count


def test_no_card_is_none(session, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert session.cards() == 0


def test_every_call_ends_with_a_backup_and_a_failure_is_told_after_it(session, calls, tmp_path):
    study = session.Study(tmp_path, tmp_path / "disk", backup=tmp_path / "backup")
    study.one("lora_16")
    assert [target for target, _ in calls.made] == ["results/lora_16/eval.json", "backup"]
    calls.status["results/lora_16/eval.json"] = 1
    with pytest.raises(session.NotebookError, match=r"\[N101\]$") as caught:
        study.one("lora_16")
    assert len(calls.made) == 4
    assert caught.value._render_traceback_() == [f"error: {caught.value}"]
    calls.status["backup"] = 1
    with pytest.raises(session.NotebookError, match=r"\[N102\]$"):
        study.back_up(tmp_path / "backup")


@pytest.mark.parametrize("due", [["fetch_model"], ["fetch_data", "fetch_model"], []])
def test_what_the_last_sessions_disk_had_is_fetched_beside_the_study(session, calls, monkeypatch, tmp_path, due):
    """As a part of the study it would make all runs stale."""
    study = session.Study(tmp_path / "study", tmp_path / "disk" / "resources")
    table = "job    count\n-----\n" + "".join(f"{rule}    1\n" for rule in [*due, "finetune"])
    told = []
    planned = lambda command, **_: told.append(command) or SimpleNamespace(stdout="", stderr=table)  # noqa: E731
    study.run()
    assert calls.made == [("-s", None)], "a new study fetches by itself"
    monkeypatch.setattr(session.subprocess, "run", planned)
    monkeypatch.setattr(session, "cards", lambda: 0)
    (tmp_path / "study" / "results" / "data").mkdir(parents=True)
    (tmp_path / "study" / "results" / "data" / "model.json").write_text("{}")
    study.one("lora_16")
    (asked,) = told
    assert "--dry-run" in asked
    expected = ["results/lora_16/eval.json"]
    if due:
        expected.insert(0, "results/data/model.json")
        assert str(tmp_path / "disk" / "fetched") in calls.commands[1]
        assert ("results/data/corpus.json" in calls.commands[1]) == ("fetch_data" in due)
    assert [target for target, _ in calls.made[1:]] == expected
    assert str(tmp_path / "study") in calls.commands[-1]


def test_a_plan_backs_nothing_up(session, calls, tmp_path):
    session.Study(tmp_path, tmp_path / "disk", backup=tmp_path / "backup").plan()
    assert [target for target, _ in calls.made] == ["plan"]


def test_a_session_calls_for_as_long_as_it_has_time(session, calls, tmp_path, capsys):
    study = session.Study(tmp_path, tmp_path / "disk", hours=2, backup=tmp_path / "backup")
    study.run()
    ((_, seconds), _) = calls.made
    assert 7100 < seconds <= 7200
    study.started -= 7300
    study.run()
    assert [target for target, _ in calls.made[2:]] == ["backup"], "what is left of the time is for the backup"
    assert "The 2 hours of this session are over" in capsys.readouterr().out


def test_a_backup_comes_back_into_an_empty_study_alone(session, calls, tmp_path):
    study = session.Study(tmp_path / "study", tmp_path / "disk")
    study.restore(tmp_path / "nothing")
    assert calls.made == []
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "index.json").write_text("{}")
    study.restore(tmp_path / "backup")
    assert [target for target, _ in calls.made] == ["restore"]
    calls.status["restore"] = 1
    with pytest.raises(session.NotebookError, match=r"\[N103\]$"):
        study.restore(tmp_path / "backup")
    (tmp_path / "study" / "results" / "lora_16").mkdir(parents=True)
    (tmp_path / "study" / "results" / "lora_16" / "eval.json").write_text("{}")
    study.restore(tmp_path / "backup")
    assert len(calls.made) == 2


def test_lines_come_with_the_exit_status(session, capsys):
    assert session.stream([sys.executable, "-c", "print('一'); raise SystemExit(3)"]) == 3
    assert capsys.readouterr().out.splitlines()[-1] == "一"


def test_time_that_is_over_interrupts_the_jobs_too(session, tmp_path):
    """Which would go on for hours if Snakemake alone were told."""
    job = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    caller = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {job!r}])"
    begun = time.monotonic()
    while not (tmp_path / "pid").exists():  # on a busy machine it may not have begun in time
        assert session.stream([sys.executable, "-c", caller], seconds=5 + time.monotonic() - begun) is None
    assert time.monotonic() - begun < 300
    pid = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed, by kind, as IPython would be told."""
    shown = []
    kind = lambda name: lambda data=None, **more: (name, data or more)  # noqa: E731
    module = SimpleNamespace(display=shown.append, **{name: kind(name) for name in ("HTML", "Image", "Markdown")})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=module))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return shown


def test_a_report_too_large_for_a_notebook_is_named_and_its_plots_are_shown(
    session, displayed, monkeypatch, tmp_path, capsys
):
    study = session.Study(tmp_path, tmp_path / "disk")
    study.summary.mkdir(parents=True)
    study.report()
    assert "report.html: not made yet" in capsys.readouterr().out
    assert displayed == []
    (study.summary / "report.html").write_text('<p title="a">&amp; 一</p>', encoding="utf-8")
    (study.summary / "loss_curves.png").write_bytes(b"png")
    study.report()
    ((kind, text),) = displayed
    assert kind == "HTML"
    assert 'srcdoc="&lt;p title=&quot;a&quot;&gt;&amp;amp; 一&lt;/p&gt;"' in text
    monkeypatch.setattr(session, "LARGEST_INLINE", 10)
    study.report()
    assert displayed[1:] == [("Image", {"filename": str(study.summary / "loss_curves.png"), "width": 800})]
    assert str(study.summary / "report.html") in capsys.readouterr().out


def test_the_table_has_the_runs_and_says_what_was_not_measured(session, displayed, tmp_path):
    study = session.Study(tmp_path, tmp_path / "disk")
    study.summary.mkdir(parents=True)
    csv = "experiment,run,train_size,rouge_l,energy_kwh\nEXP-01,lora_16,16,12.3456,0.1\n,base,,1.0,\n"
    (study.summary / "results_summary.csv").write_text(csv)
    study.table()
    ((_, text),) = displayed
    assert "<td>lora_16</td>" in text
    assert "12.35" in text
    assert "<td>–</td>" in text
    assert "energy" not in text
