"""The plan for a card that is not here: its arithmetic by hand, what fits, and what it says of itself."""

import json

import pytest
from transformers import AutoConfig

from medscale.base.config import resolve
from medscale.base.errors import UserError
from medscale.base.study import Run
from medscale.model.counting import Work
from medscale.plan import forecast as plan
from medscale.plan.arithmetic import totals
from medscale.plan.cards import BANDWIDTH_SHARE, CARDS, LAUNCH_SECONDS, card_of, known_card, spread
from medscale.plan.computed import Simulations, compute, rates, seconds_of
from medscale.plan.lengths import Lengths, default_rows
from medscale.plan.rows import notes, planned_passes, run_row, session
from medscale.plan.shapes import SHAPES, shape_of
from medscale.plan.table import plan_text

T4 = CARDS["t4"]


def model(name="Qwen/Qwen2.5-3B"):
    fields = dict(SHAPES[name])
    return AutoConfig.for_model(fields.pop("model_type"), **fields)


SIMULATIONS = Simulations(model())


def outcome(card, method="lora", config=None, **sections):
    """Return what one kind of run of the default study takes."""
    config = resolve(sections) if config is None else config
    rows = default_rows(400, 512)
    parts = {"train_20k": rows, "validation": rows, "test": rows[:300]}
    settings = {name: config[name] for name in ("training", "lora", "quantization", "evaluation")} | {"largest": "lora"}
    passes = planned_passes(config, Lengths(parts, ""), tuned=True)
    return compute(SIMULATIONS, method, settings, card, rows, passes, parts["test"])


@pytest.fixture(scope="module")
def on_t4():
    return {method: outcome(T4, method) for method in ("lora", "qlora")}


def test_products_traffic_and_launches_decide_in_turn():
    rate, bandwidth = T4.sustained * T4.peak["fp16"], BANDWIDTH_SHARE * T4.bandwidth
    arithmetic = Work(flops=rate, bytes=2 * bandwidth, product_bytes=0.5 * bandwidth, launches=10)
    assert seconds_of(arithmetic, T4, "fp16") == pytest.approx(1 + 1.5)
    traffic = arithmetic._replace(product_bytes=2 * bandwidth)
    assert seconds_of(traffic, T4, "fp16") == pytest.approx(2)
    launched = arithmetic._replace(launches=4 / LAUNCH_SECONDS)
    assert seconds_of(launched, T4, "fp16") == pytest.approx(4)


def test_the_default_study_fits_a_t4_with_every_layer_checkpointed(on_t4):
    lora, qlora = on_t4["lora"].training, on_t4["qlora"].training
    assert lora.checkpointed_layers == qlora.checkpointed_layers == 36
    assert lora.micro_batch == qlora.micro_batch == 4
    assert lora.precision == qlora.precision == "fp16"
    assert lora.allocated_gib <= 7.2
    assert qlora.allocated_gib <= 3.2


def test_a_t4_takes_hours_for_20_000_rows(on_t4):
    config = resolve({})
    rows = default_rows(20_000, 512)
    lengths = Lengths({"train_20k": rows, "validation": rows[:1000], "test": rows[:2000]}, "")
    run = Run("lora_20k", "lora", 20_000, "20k", 42)
    machine = plan.machine_of(config, T4)
    settings = {name: config[name] for name in ("training", "lora")}
    row = run_row(config, run, settings, on_t4["lora"], lengths, machine)
    assert row["steps"] == 1250
    # 20,000 rows of 176 tokens, 3.1e9 weights of which 2 · 3 operations a token and weight; 24 TFLOP/s and the traffic.
    assert 1.0 < row["train_seconds"] / 3600 < 2.2
    assert row["basis"] == "computed, not measured"
    assert row["ranges"]["train_seconds"] == spread(row["train_seconds"])
    assert row["energy_kwh"] is None


def test_a_faster_card_takes_less_and_a_small_one_does_not_fit(on_t4):
    assert outcome(CARDS["a100-80"]).training.model.token < on_t4["lora"].training.model.token / 4
    small = T4._replace(memory_gib=4.0)
    assert "training takes 6.5 GiB, as simulated, of 3.6 that are planned for" in outcome(small).problem
    assert outcome(small, "qlora").problem is None


def test_fewer_questions_are_answered_at_once_where_the_cache_does_not_fit():
    found = outcome(T4._replace(memory_gib=8.2), evaluation={"batch_size": 2048}).prediction
    assert found.batch_size < 2048
    assert found.allocated_gib <= 0.9 * 8.2


@pytest.mark.parametrize(
    ("name", "expected"),
    [("t4", "Tesla T4"), ("T4", "Tesla T4"), ("A100-80", "A100 80 GB"), ("a100 80", "A100 80 GB"), ("4090", None)],
)
def test_a_card_is_found_however_it_is_written(name, expected):
    assert card_of(name, {}).title == (expected or "GeForce RTX 4090")


def test_an_unknown_card_is_told_with_the_known_ones_and_ones_own():
    with pytest.raises(UserError, match=r"'t5' is no known card. Known are mine, t4, p100.*plan.own_cards"):
        card_of("t5", {"mine": {}})


def test_a_card_of_ones_own_is_described_in_the_configuration():
    own = {"memory_gib": 47.5, "bandwidth_gb_per_second": 864, "compute_capability": 8.9, "price_per_hour": 7}
    config = resolve({"plan": {"own_cards": {"L40S": own | {"tflops": {"fp16": 362, "bf16": 362, "fp32": 91}}}}})
    card = card_of("l40s", config["plan"]["own_cards"])
    assert card.capability == (8, 9)
    assert card.bandwidth == 864e9
    assert card.peak["bf16"] == 362e12
    assert plan.machine_of(config, card).price_per_hour == 7
    assert card.precision("auto") == "bf16"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Tesla T4", "t4"),
        ("Tesla P100-PCIE-16GB", "p100"),
        ("Tesla V100-SXM2-16GB", "v100"),
        ("NVIDIA GeForce RTX 3090", "3090"),
        ("NVIDIA GeForce RTX 3090 Ti", None),
        ("NVIDIA GeForce RTX 4090", "4090"),
        ("NVIDIA GeForce RTX 4090 D", None),
        ("NVIDIA A10", "a10"),
        ("NVIDIA L4", "l4"),
        ("NVIDIA L40S", None),
        ("NVIDIA A100-PCIE-40GB", "a100-40"),
        ("NVIDIA A100 80GB PCIe", "a100-80"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", None),
        ("GRID T4-8Q", None),
        (None, None),
    ],
)
def test_the_driver_s_name_of_a_card_finds_it(model, name):
    assert known_card(model) == name


def test_a_card_with_other_memory_is_another_one():
    assert known_card("Tesla V100-SXM2-16GB", 15.77) == "v100"
    assert known_card("Tesla V100-SXM2-32GB", 31.7) is None
    assert known_card("Tesla T4", 14.74) == "t4"


def test_a_card_s_own_price_comes_before_the_general_one():
    config = resolve({"recommendation": {"price_per_gpu_hour": 2}})
    assert plan.machine_of(config, T4).price_per_hour == 2
    assert plan.machine_of(config, T4._replace(price_per_hour=7.0)).price_per_hour == 7


def test_a_model_that_cannot_be_simulated_is_told(monkeypatch):
    def fail(*_):
        raise RuntimeError("its mask has another form")

    monkeypatch.setattr("medscale.plan.computed._fit", fail)
    found = outcome(T4)
    assert (found.training, found.prediction) == (None, None)
    assert found.problem == "this model cannot be simulated (RuntimeError: its mask has another form)"


def test_a_precision_that_a_card_emulates_is_told():
    assert any("no units for bf16" in line for line in rates(T4, ["bf16"]))
    assert not any("no units for bf16" in line for line in [*rates(T4, ["fp16"]), *rates(CARDS["l4"], ["bf16"])])


def test_sessions_are_packed_at_both_ends_of_a_computed_time():
    row = {"run": "lora_20k", "fits": True, "train_seconds": 10 * 3600, "seconds_between_checkpoints": 900}
    rows = [row | {"predict_seconds": 1800, "likelihood_seconds": 300}]
    machine = plan.machine_of(resolve({}), T4)
    found = session({"hours": 12}, rows, machine)
    assert (found["study"]["sessions"], found["study_at_most"]["sessions"]) == (1, 2)
    measured = session({"hours": 12}, rows, machine._replace(computed=False))
    assert measured["study"]["sessions"] == 1
    assert measured["study_at_most"] is None


def test_runs_that_do_not_fit_leave_the_sums_and_sessions_of_the_others():
    times = {"train_seconds": 3600.0, "seconds_between_checkpoints": 900, "predict_seconds": 60.0}
    times |= {"likelihood_seconds": 30.0, "cost": 2.0, "energy_kwh": None}
    rows = [{"run": "qlora_20k", "fits": True, "problem": None} | times]
    rows.append({"run": "lora_20k", "fits": False, "problem": "too large"} | dict.fromkeys(times))
    machine = plan.machine_of(resolve({}), T4)
    assert totals(rows, ["train_seconds", "cost"]) == {"train_seconds": 3600.0, "cost": 2.0}
    assert session({"hours": 9}, rows, machine)["study"]["sessions"] == 1
    assert notes(resolve({}), rows, {}, machine)[-1] == "Sums and sessions are those of the runs that fit."
    assert totals(rows[1:], ["train_seconds"]) == {"train_seconds": None}
    assert session({"hours": 9}, rows[1:], machine)["study"] is None


def test_what_is_not_computed_is_told():
    training = {"optimizer": "adafactor", "packing": True, "gpus_per_run": 2}
    config = resolve({"training": training, "overrides": {"lora": {"training": {"liger_kernel": True}}}})
    told = " ".join(notes(config, [], {}, plan.machine_of(config, T4)))
    assert "training.gpus_per_run is not counted: the times are those of one card." in told
    for key in ("optimizer", "packing", "liger_kernel"):
        assert f"training.{key} is not counted" in told
    config = resolve({})
    assert "not counted" not in " ".join(notes(config, [], {}, plan.machine_of(config, T4)))


PRICE = {"recommendation": {"price_per_gpu_hour": 2.0}}


def test_a_study_of_few_steps_is_one_for_a_cpu(tmp_path):
    few = resolve({"training": {"max_steps": 5}})
    shape = shape_of(few["model"], tmp_path / "missing.json")
    rows = default_rows(20_000, 512)
    lengths = Lengths(dict.fromkeys(("train_20k", "train_50k", "train_100k"), rows), "")
    assert plan.cpu_days(few, shape, lengths) < plan.LONGEST_DAYS < plan.cpu_days(resolve({}), shape, lengths)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The plan of a small study for two cards, as the script writes it."""
    from argparse import Namespace

    folder = tmp_path_factory.mktemp("plan")
    config = resolve(
        {"plan": {"cards": ["t4", 4090]}, "study": {"sizes": [1000], "test_size": 100}, "paths": {"results": "none"}}
    )
    missing = folder / "missing.json"
    args = Namespace(
        config=json.dumps(config),
        model=missing,
        corpus=missing,
        sets="{}",
        options="",
        threads=2,
        seconds=1,
        output=folder / "out",
    )
    (folder / "out").mkdir()
    plan.run(args)
    return folder / "out"


def test_the_plan_of_a_card_says_in_every_line_that_nothing_was_measured(written):
    assert {path.name for path in written.iterdir()} == {
        *("plan_t4.json", "plan_t4.md", "plan_4090.json", "plan_4090.md")
    }
    text = (written / "plan_t4.md").read_text(encoding="utf-8")
    assert text.startswith("# Plan for Tesla T4: computed, not measured\n")
    runs = [line for line in text.splitlines() if line.startswith(("| lora", "| qlora", "| base", "| all"))]
    times = [line for line in runs if "computed, not measured" in line]
    assert len(times) == 4, "two runs, the base model, and all together"
    assert all(" to " in line for line in times)
    assert "24" in text or "37%" in text
    assert "assumed" in text
    facts = json.loads((written / "plan_t4.json").read_text(encoding="utf-8"))
    assert facts["computed"] is True
    assert facts["measured"] == []
    assert facts["coefficients"][0]["training"]["model"]["token"] > 0
    assert "## Sessions, computed" in text
    assert facts["measured_at"] is None
    assert facts["hardware"]["gpu_model"] == "Tesla T4"
    assert all(row["fits"] for row in facts["runs"])
    assert plan_text(facts) == text


def test_further_seeds_and_general_rows_are_priced_and_counted_in_the_totals(tmp_path):
    from argparse import Namespace

    missing = tmp_path / "missing.json"
    args = Namespace(model=missing, corpus=missing, sets="{}", options="", threads=2, seconds=1)
    study = {"methods": ["lora"], "sizes": [500, 1000, 2000], "test_size": 100}

    def planned(evaluation=None, **more):
        study_of = {"study": study | more, "evaluation": evaluation or {}}
        config = resolve({**study_of, "paths": {"results": str(tmp_path)}, **PRICE})
        shape = shape_of(config["model"], missing)
        return plan.forecast(config, shape, plan.lengths_of(config, shape, args), args, CARDS["t4"])

    plain = planned()
    assert plain["further"] == {}
    assert "seeds after the first" not in plan_text(plain)
    found = planned(
        seeds=[1, 2, 3],
        seeds_at=["smallest", "largest"],
        mix={"source": "demo", "share": 0.2},
    )
    assert [row["run"] for row in found["runs"]] == [
        *("lora_500", "lora_500_seed2", "lora_500_seed3", "lora_1k", "lora_2k", "lora_2k_seed2", "lora_2k_seed3"),
        *("lora_2k_mix20", "lora_2k_mix20_seed2", "lora_2k_mix20_seed3", "base"),
    ]
    seeds, mix = found["further"]["seeds"], found["further"]["mix"]
    assert (seeds["trainings"], mix["trainings"]) == (6, 1)
    spent = sum(found["totals"][name] for name in ("train_seconds", "predict_seconds", "likelihood_seconds"))
    before = sum(plain["totals"][name] for name in ("train_seconds", "predict_seconds", "likelihood_seconds"))
    assert seeds["seconds"] + mix["seconds"] == pytest.approx(spent - before, rel=1e-3)
    assert seeds["cost"] + mix["cost"] == pytest.approx(found["totals"]["cost"] - plain["totals"]["cost"], abs=0.02)
    by_run = {row["run"]: row for row in found["runs"]}
    assert by_run["lora_2k_mix20"]["steps"] == pytest.approx(by_run["lora_2k"]["steps"] / 0.8, abs=1)
    text = plan_text(found)
    assert "The seeds after the first are 6 of the 10 trainings" in text
    assert "The runs with general rows are 1 of the 10 trainings" in text
    assert any("general rows of study.mix" in note for note in found["notes"])


def test_computed_figures_stand_beside_measured_ones_on_a_known_card(tmp_path, monkeypatch):
    """With a card that is only claimed to be here, and a measurement that is only claimed to have been made."""
    from argparse import Namespace

    card = {"device": "cuda", "gpu_model": "Tesla T4", "gpu_memory_gib": 14.56, "cpu": "", "cores": 2}
    made = outcome(T4)
    monkeypatch.setattr(plan, "hardware", lambda: card | {"memory_gib": 16.0})
    monkeypatch.setattr(plan, "measure_apart", lambda task: made)
    config = resolve({"study": {"methods": ["lora"], "sizes": [1000]}, "paths": {"results": str(tmp_path)}})
    missing = tmp_path / "missing.json"
    args = Namespace(model=missing, corpus=missing, sets="{}", options="", threads=2, seconds=1)
    shape = shape_of(config["model"], missing)
    found = plan.forecast(config, shape, plan.lengths_of(config, shape, args), args)
    assert found["computed"] is False
    assert found["beside"]["card"] == "t4"
    measured, computed = found["runs"][0], found["beside"]["runs"][0]
    assert (measured["basis"], computed["basis"]) == ("measured", "computed, not measured")
    assert computed["train_seconds"] == pytest.approx(measured["train_seconds"], rel=0.1)
    text = plan_text(found)
    assert text.startswith("# Plan\n")
    assert "Computed for this card (t4) from declared rates, not measured:" in text
