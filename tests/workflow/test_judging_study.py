"""A real study, judged: the report asks for no judge, and shows the verdicts from the call after the import on."""

import json
import shutil

import pytest

from judged_pairs import line
from medscale.base.files import read_json
from medscale.judge.pairs import ASKED
from places import ROOT
from workflow_runner import Study

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
SMALL = {"methods": ["lora"], "sizes": [16], "test_size": 8, "validation_size": 6}
CORES = ("--cores", "2", "--resources", "gpu=1")


def section(study):
    """Return whether the report has a section of the judges."""
    return 'id="judging"' in (study.folder / "results" / "summary" / "report.html").read_text(encoding="utf-8")


def test_verdicts_come_into_the_report_and_nothing_depends_on_them(tmp_path):
    study = Study(ROOT, tmp_path / "study")
    pairs = {"items": 8, "pairs": [["base", "lora_16"], ["reference", "lora_16"]]}
    study.configure(study=SMALL, evaluation={"floors": ["fixed"]}, judging=pairs)
    study.run(*CORES)
    assert not section(study)
    judging = study.folder / "results" / "judging"
    assert not judging.exists()

    done = study.run("judge_import", *CORES, check=False)
    assert done.returncode
    assert "[J103]" in done.stdout
    assert not judging.exists(), "nothing is made for verdicts that are not there"
    study.run("judge_export", *CORES)
    assert study.plan(*CORES) == {}

    shown = [json.loads(text) for text in (judging / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    (judging / "verdicts").mkdir()
    lines = [line(pair["pair"], judge, **dict.fromkeys(ASKED, "1")) for pair in shown for judge in ("甲", "乙")]
    (judging / "verdicts" / "both judges.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert study.plan("judge_import", *CORES) == {"judge_import": 1}
    study.run("judge_import", *CORES)
    assert read_json(judging / "verdicts.json")["verdicts"] == len(lines)
    assert study.plan(*CORES) == {"report": 1}
    study.run(*CORES)
    assert section(study)
    assert study.plan(*CORES) == {}

    # Another judge, more questions asked for, or no file any more: nothing of the study waits for that.
    (judging / "verdicts" / "c.jsonl").write_text(line(shown[0]["pair"], "丙", overall="2"), encoding="utf-8")
    assert study.plan(*CORES) == {}
    assert study.plan("judge_import", *CORES) == {"judge_import": 1}
    study.configure(study=SMALL, evaluation={"floors": ["fixed"]}, judging=pairs | {"seed": 7})
    assert study.plan(*CORES) == {}
    assert study.plan("judge_export", *CORES) == {"judge_export": 1}
    # Without named pairs the recommendation names them, of a study that is there.
    study.configure(study=SMALL, evaluation={"floors": ["fixed"]}, judging={"items": 8})
    assert study.plan("judge_export", *CORES) == {"judge_export": 1}
    study.run("judge_export", *CORES)
    assert [(pair["a"], pair["b"]) for pair in read_json(judging / "key.json")["compared"]] == [("base", "lora_16")]
    assert study.plan(*CORES) == {}
    shutil.rmtree(judging)
    assert study.plan(*CORES) == {"report": 1}
    study.run(*CORES)
    assert not section(study)
    screen = read_json(study.folder / "results" / "lora_16" / "safety.json")
    assert screen["n"] == 8
    assert 'id="safety"' in (study.folder / "results" / "summary" / "report.html").read_text(encoding="utf-8")
