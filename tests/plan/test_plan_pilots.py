"""The pilots in the plan: what they take follows from their steps, and what share of the study that is."""

import json

import pytest

from medscale.base.config import resolve
from medscale.base.pilots import piloted
from medscale.plan.arithmetic import TimeModel, totals
from medscale.plan.cards import CACHED_BYTES, DISK_BYTES
from medscale.plan.lengths import Lengths, Row
from medscale.plan.outcome import Machine, Measured, Outcome
from medscale.plan.pilots import pilot_notes, pilot_row, pilot_share
from medscale.plan.rows import jobs

ROWS = {"train_800": [Row(100, 50)] * 800, "train_8k": [Row(100, 50)] * 8000, "validation": [Row(100, 50)] * 64}
MACHINE = Machine("cuda", 80.0, 36.0, computed=True)
WEIGHTS = 1e9
A_STEP = 16 * 100 * 1e-3  # seconds: 16 rows of 100 tokens


def measured(**changes):
    facts = dict.fromkeys(Measured._fields, 0) | {"model": TimeModel(0.0, 0.0, 1e-3), "validation": (0.0, 1e-4)}
    facts |= {"micro_batch": 4, "multiple": 1, "precision": "bf16", "watts": None, "notes": [], "reserved_gib": None}
    return Measured(**facts | {"allocated_gib": 10.0} | changes)


def row(config, outcome=None):
    outcome = Outcome(measured(), None, None) if outcome is None else outcome
    return pilot_row(config, piloted(config, "lora"), [outcome] * 2, Lengths(ROWS, ""), MACHINE, WEIGHTS)


def study(**pilot):
    training = {"learning_rate": "auto", "max_length": 512}
    section = {"share": 0.1, "least_steps": 20, "extend": False} | pilot
    return resolve({"study": {"sizes": [800, 8000], "methods": ["lora"]}, "training": training, "pilot": section})


def test_a_pilot_takes_its_steps_its_validations_and_its_loading():
    found = row(study())
    assert found["steps"] == 3 * (20 + 50), "a tenth of 500 steps, and of 50 the least"
    validations = 2 * 64 * 100 * 1e-4
    each = 2 * validations + 70 * A_STEP
    loading = 5 * WEIGHTS / CACHED_BYTES + WEIGHTS / DISK_BYTES
    assert found["train_seconds"] == pytest.approx(3 * each + loading)
    assert found["cost"] == pytest.approx(found["train_seconds"] / 100)
    assert found["fits"]


def test_one_rate_more_a_size_is_counted_where_it_may_be_tried():
    plain, extended = row(study()), row(study(extend=True))
    assert extended["steps"] == 4 * plain["steps"] / 3
    assert extended["trainings"] == 8


def test_the_share_is_of_all_that_the_runs_take():
    config, pilot = study(), row(study())
    run = {
        "run": "lora_8k",
        "fits": True,
        "train_seconds": 4000.0,
        "predict_seconds": 400.0,
        "likelihood_seconds": 50.0,
    }
    assert pilot_share([pilot], [run]) == pytest.approx(pilot["train_seconds"] / 4450)
    assert pilot_share([], [run]) is None
    (note,) = pilot_notes(config, [pilot], [run])
    assert f"{100 * pilot['train_seconds'] / 4450:.1f} % of what all runs take" in note
    assert ("more than a tenth" in note) == (pilot["train_seconds"] > 445)
    assert "more than a tenth" not in pilot_notes(config, [pilot], [run | {"train_seconds": 1e6}])[0]
    assert totals([run, pilot], ("train_seconds", "predict_seconds"))["train_seconds"] == pytest.approx(
        4000 + pilot["train_seconds"], abs=1e-3
    )
    assert totals([run, pilot], ("predict_seconds",))["predict_seconds"] == 400.0


def test_a_session_goes_on_with_the_rate_that_it_was_at():
    pilot = row(study())
    (job,) = jobs(pilot, 2.0)
    assert job.seconds == 2 * pilot["train_seconds"]
    assert job.checkpoint_seconds < job.seconds / 3


def test_what_does_not_fit_is_said():
    pilot = row(study(), Outcome(None, None, "training takes 90.0 GiB"))
    assert (pilot["fits"], pilot["train_seconds"], pilot["steps"]) == (False, None, None)
    assert pilot_notes(study(), [pilot], []) == []
    assert json.dumps(pilot)
