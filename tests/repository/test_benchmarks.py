"""The benchmarks run in their small size and write what they promise. No time is asserted here."""

import json
import math
import subprocess
import sys
from importlib.util import find_spec

import pytest

from places import ROOT

CIRCUMSTANCES = {"schema_version", "measured_at", "machine", "versions", "command", "load_average_after"}
SHAPE = {
    "hidden_size": 2048,
    "intermediate_size": 11_008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "vocab_size": 151_936,
}


def run(name, folder, *options):
    """Run a benchmark and return its JSON."""
    output = folder / f"{name}.json"
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", *options, "--output", output]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    result = json.loads(output.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert result.keys() >= CIRCUMSTANCES
    assert str(ROOT) not in output.read_text(encoding="utf-8")
    return result


@pytest.mark.slow
@pytest.mark.skipif(find_spec("trl") is None, reason="the package trl (pip install '.[benchmarks]') is not installed")
def test_training_compares_the_same_loss(tmp_path):
    """With QLoRA, whose code path is a card's."""
    result = run("training", tmp_path, "--size", "ci", "--methods", "qlora")
    found = result["methods"]["qlora"]
    names = {rival["name"]: rival for rival in found["contenders"]}
    assert {"MedScale", "TRL's defaults", "TRL's best", "plain Trainer, padded, all tokens"} <= names.keys()
    for rival in names.values():
        assert rival["medians"]["samples_per_second"] > 0
        assert rival["medians"]["peak_train_allocated_gib"] >= rival["medians"]["peak_load_gib"] > 0
        assert all(map(math.isfinite, rival["rounds"][0]["loss_of_one_batch"].values()))
    assert found["largest_difference_of_losses"].keys() == {"answers", "all_tokens"}
    assert max(found["largest_difference_of_losses"].values()) <= 1e-5
    assert found["speedups"]["MedScale"].keys() >= {"TRL's defaults", "TRL's best"}
    assert result["rows"]["rows"] == 8
    assert all({"name", "arguments", "samples_per_second"} <= trial.keys() for trial in found["tried"])


@pytest.mark.slow
def test_batched_answers_equal_those_one_by_one(tmp_path):
    result = run("prediction", tmp_path, "--size", "ci")
    assert (result["equal_answers"], result["different_answers"]) == (12, 0)
    assert result["speedup"].keys() == {"median", "lowest", "highest"}
    assert result["medscale"]["samples_per_second"] > 0
    assert 1 <= result["answer_tokens"]["max"] <= 16


@pytest.mark.slow
def test_overhead_is_what_jobs_do_not_take(tmp_path):
    result = run("overhead", tmp_path, "--size", "ci")
    assert result["jobs"] == len(result["seconds_by_job"]) > 10
    assert result["jobs_seconds"] == pytest.approx(sum(result["seconds_by_job"].values()), abs=0.1)
    assert result["overhead_seconds"] == pytest.approx(result["wall_seconds"] - result["jobs_seconds"], abs=0.02)
    assert 0 < result["overhead_seconds"] < result["wall_seconds"]


def test_the_useful_arithmetic_of_the_3b_model():
    """A frozen weight costs four operations a token: 2.775 billion in layers, 0.311 billion in the head."""
    from flops import head_share, head_weights, layer_weights, peak_tflops, training_flop

    assert 36 * layer_weights(SHAPE) == 2_774_532_096
    assert head_weights(SHAPE) == 311_164_928
    assert head_share(SHAPE) == pytest.approx(0.101, abs=1e-3)
    one = training_flop(SHAPE, [200], 114)
    assert one == 4 * 2_774_532_096 * 200 + 4 * 311_164_928 * 114 + 6 * 36 * 2048 * 200 * 200
    assert training_flop(SHAPE, [200, 200], 228) == 2 * one
    assert (peak_tflops("NVIDIA H100 80GB HBM3"), peak_tflops("NVIDIA H100 PCIe")) == (989.4, 756.5)
    assert peak_tflops("Tesla T4") == 65.1
    assert peak_tflops("an unknown card") is peak_tflops(None) is None


def test_made_up_rows_have_the_lengths_of_real_ones():
    from training_inputs import made_up_rows

    rows = made_up_rows(2000, 1000, 512, seed=1)
    lengths = sorted(map(len, rows["input_ids"]))
    answers = sum(label >= 0 for labels in rows["labels"] for label in labels)
    assert sum(lengths) / 2000 == pytest.approx(176, abs=4)
    assert lengths[1980] == pytest.approx(267, abs=12)
    assert answers / sum(lengths) == pytest.approx(0.57, abs=0.02)


@pytest.mark.parametrize(("precision", "cuda"), [("fp32", False), ("bf16", True), ("fp16", True)])
def test_no_rival_is_asked_for_less_than_the_effective_batch(precision, cuda):
    """Packs aside, micro-batch times accumulation is the batch, and no precision is forced on a card that lacks it."""
    from training_rivals import EFFECTIVE_BATCH, contenders, trials

    rivals = [*contenders(precision, cuda), *trials(precision, cuda, 2.9)]
    assert len({rival["name"] for rival in rivals}) == len(rivals)
    for rival in rivals:
        arguments = rival["arguments"]
        if rival["kind"] != "medscale" and not arguments.get("packing"):
            assert (
                arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"] == EFFECTIVE_BATCH
            )
        if precision == "fp16":
            assert "bf16" not in (rival["weights"], rival["autocast"])


@pytest.mark.slow
@pytest.mark.workflow
def test_killed_studies_end_as_the_one_without_a_kill(tmp_path):
    result = run("kills", tmp_path, "--kills", "2")
    assert 1 <= result["kills"] <= 2
    assert sum(result["kills_by_stage"].values()) >= result["kills"]
    assert result["studies"] == result["studies_identical"] >= 1
    assert result["studies_with_leftovers"] == 0
    assert result["troubles"] == []
    assert sum(result["next_calls"].values()) == result["kills"]
    assert result["next_calls"].keys() <= {"killed at work", "killed at its start", "finished"}


@pytest.mark.slow
def test_rows_of_templates_are_compared_with_a_bounded_number_of_others(tmp_path):
    result = run("templates", tmp_path, "--rows", "1000", "2000", "--templates", "2")
    runs = result["runs"]
    assert [found["rows"] for found in runs] == [1000, 2000]
    for found in runs:
        assert found["kept"] + sum(found["dropped"].values()) == found["rows"]
        assert found["near_duplicate_pairs_compared"] < 400 * found["rows"]
        assert "refused" in found["split"] or found["families"]["count"] > 0
