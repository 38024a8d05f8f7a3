"""What the report calls a side of a blind pair: better only where the test and the interval of the rate both say so."""

from types import SimpleNamespace

import pytest

from medscale.report.judging import _agreement, _comparison, _position, _single_seeds, _titles, _unsaid
from medscale.report.texts import both


def entry(rate, ci, p, won, lost):
    counts = {"won": won, "even": 0, "lost": lost, "identical": 0, "by_judge": {}}
    return {"a": "lora", "b": "base", "rate": rate, "ci": ci, "p_holm": p, **counts}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (entry(0.7, (0.6, 0.8), 0.001, 30, 8), "lora"),
        (entry(0.3, (0.2, 0.4), 0.001, 8, 30), "base"),
        (entry(0.483, (0.38, 0.57), 0.006, 29, 11), None),
        (entry(0.7, (0.6, 0.8), 0.03, 30, 8), "lora"),
        (entry(0.7, (0.6, 0.8), 0.07, 30, 8), None),
    ],
)
def test_a_side_is_better_where_test_and_interval_agree(said, words):
    found = _comparison(said, both, 0.05)
    assert found["state"] == ("open" if words is None else "better")
    assert words is None or words in found["words"].en


def test_what_is_not_shown_is_said_to_be_missing_and_why():
    few = {"alpha": 0.5, "ci": None, "equal": 0.5, "units": 1, "judges": 2}
    assert "(no interval: too few pairs that several judged)" in _agreement(few).en
    assert "没有区间" in _agreement(few).zh
    nobody = {"decided": 0, "first": 0, "share": None, "ci": None}
    assert _position(nobody).en == "No verdict preferred an answer, so there is no telling whether the place counted."
    told = "No verdict tells of these criteria, which are therefore not shown: Safe, Clear."
    assert _unsaid(["safe", "clear"]).en == told
    assert _unsaid([]) is None


def test_what_did_better_may_be_one_or_many():
    won = entry(0.7, (0.6, 0.8), 0.001, 30, 8) | {"a": "Reference answers"}
    found = _comparison(won, both, 0.05)
    assert found["words"].en == "Reference answers did better"
    assert found["pair"].zh == "Reference answers 对比 base"
    assert found["rate"] == ("70.0 %", "70.0%")


def test_of_several_seeds_the_one_that_judges_saw_is_named():
    runs = {
        run: {"run": run, "method": "lora", "size_label": "64", "seed": seed}
        for run, seed in (("lora_64", 1), ("lora_64_seed2", 2))
    }
    configurations = [{"configuration": "lora_64", "runs": "lora_64 lora_64_seed2", "seeds": 2}]
    inputs = SimpleNamespace(evaluations=runs, summary=SimpleNamespace(configurations=configurations))
    found = {"criteria": {"overall": {"comparisons": [{"a": "reference", "b": "lora_64"}]}}}
    told = _single_seeds(inputs, found)
    assert "LoRA\u00a0·\u00a064 · seed 1." in told.en
    assert "LoRA\u00a0·\u00a064 · 种子 1。" in told.zh
    assert _titles(inputs)("lora_64").en == "LoRA\u00a0·\u00a064 · seed 1"
    configurations[0] |= {"runs": "lora_64", "seeds": 1}
    assert _single_seeds(inputs, found) is None
    assert _titles(inputs)("lora_64").en == "LoRA\u00a0·\u00a064"


def test_the_level_is_that_of_the_study():
    assert _comparison(entry(0.7, (0.6, 0.8), 0.03, 30, 8), both, 0.01)["state"] == "open"
