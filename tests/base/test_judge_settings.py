"""Which pairs are judged by default, what they need, and where verdicts are looked for."""

from pathlib import Path

import pytest

from medscale.base import judge_settings
from medscale.base.config import ConfigError, resolve
from medscale.base.errors import UserError
from medscale.base.settings import portable_config, shared_config

TWO = {"study": {"sizes": [50, 20], "seeds": [7, 8]}}


def recommendation(run, **differences):
    """Return what aggregate recommends, with the candidates' differences to the best."""
    candidates = [
        {"run": name, "method": name.split("_")[0], "difference_to_best": difference}
        for name, difference in {"base": 0.4, **differences}.items()
    ]
    return {"run": run, "best": "qlora_50", "candidates": candidates}


FOUR = {"lora_20": 0.02, "lora_50": -0.01, "qlora_20": 0.05, "qlora_50": 0.0}


@pytest.mark.parametrize(
    ("run", "pairs"),
    [
        ("lora_20", [("base", "lora_20"), ("lora_20", "lora_50"), ("lora_50", "qlora_50")]),
        ("lora_50", [("base", "lora_50"), ("lora_50", "qlora_50")]),
        ("qlora_50", [("base", "qlora_50"), ("lora_50", "qlora_50")]),
        ("base", [("base", "qlora_50"), ("lora_50", "qlora_50")]),
        (None, [("base", "qlora_50"), ("lora_50", "qlora_50")]),
    ],
)
def test_where_no_pairs_are_named_the_recommended_run_meets_the_base_model_and_the_methods_meet(run, pairs):
    config = resolve(TWO)
    drawing = judge_settings.drawing(config)
    assert (drawing["pairs"], drawing["largest"]) == (None, {"lora": "lora_50", "qlora": "qlora_50"})
    chosen = judge_settings.chosen_pairs(recommendation(run, **FOUR), drawing["largest"])
    assert chosen == pairs
    assert {name for pair in chosen for name in pair} <= set(judge_settings.judged_rows(config))


def test_what_may_be_recommended_is_needed_with_the_first_seed_and_without_controls():
    config = resolve({"study": TWO["study"] | {"controls": [{"method": "lora", "size": 20, "epochs": 3}]}})
    assert judge_settings.judged_rows(config) == ["base", "lora_50", "lora_20", "qlora_50", "qlora_20"]


def test_a_single_run_is_compared_with_the_base_model_alone():
    config = resolve(
        {"study": {"sizes": [20], "methods": ["lora"], "controls": [{"method": "lora", "size": 20, "epochs": 3}]}}
    )
    largest = judge_settings.largest_runs(config)
    assert judge_settings.chosen_pairs(recommendation("lora_20", lora_20=0.0), largest) == [("base", "lora_20")]


def test_the_reference_answers_need_no_row_of_their_own():
    config = resolve({"judging": {"pairs": [["reference", "base"], ["floor_bm25", "base"]]}})
    assert judge_settings.judged_rows(config) == ["base", "floor_bm25"]
    assert judge_settings.drawing(config)["pairs"] == [("reference", "base"), ("floor_bm25", "base")]


def test_pairs_that_are_named_are_not_drawn_anew_for_another_size():
    drawings = [
        judge_settings.drawing(resolve({"study": {"sizes": sizes}, "judging": {"pairs": [["base", "lora_20"]]}}))
        for sizes in ([20], [20, 50])
    ]
    assert drawings[0] == drawings[1]


@pytest.mark.parametrize(
    ("pairs", "code", "said"),
    [
        ([["base", "lora_21k"]], "C147", r"there is no lora_21k in this study \(did you mean lora_20k\?\)"),
        ([["base", "base"]], "C148", "compares base with itself"),
        ([["base", "lora_20k"], ["lora_20k", "base"]], "C148", "stands twice"),
        ([["base"]], "C105", "must have at least 2"),
        ([], "C105", "must have at least 1"),
    ],
)
def test_pairs_that_are_none_are_refused(pairs, code, said):
    with pytest.raises(ConfigError, match=rf"judging\.pairs.*{said}.*\[{code}\]"):
        resolve({"judging": {"pairs": pairs}})


def test_verdicts_lie_in_the_results_or_where_the_configuration_says(tmp_path):
    assert judge_settings.verdict_folder(resolve({})) == Path("results/judging/verdicts")
    config = resolve({"judging": {"path": str(tmp_path)}})
    for name in ("b.jsonl", "a.jsonl", "c.jsonl.txt", "notes.txt"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "folder.jsonl").mkdir()
    found = [str(tmp_path / name) for name in ("a.jsonl", "b.jsonl", "c.jsonl.txt")]
    assert judge_settings.verdict_files(config) == found


def test_the_folder_of_verdicts_is_no_part_of_what_is_shared():
    config = resolve({"judging": {"path": "/x"}})
    assert shared_config(config)["judging"]["path"] is None
    assert "path" not in portable_config(config)["judging"]


def test_a_file_that_nobody_is_asked_to_make_has_a_digest_where_it_is(tmp_path):
    path = tmp_path / "verdicts.json"
    assert judge_settings.digest_where_there(str(path)) == "none"
    path.write_text("{}", encoding="utf-8")
    assert len(judge_settings.digest_where_there(str(path))) == 64


def test_verdicts_that_are_not_there_are_missed_before_anything_is_trained(tmp_path):
    config = resolve({"paths": {"results": str(tmp_path)}})
    with pytest.raises(UserError, match=r"holds no file of verdicts .*; call snakemake judge_export first") as caught:
        judge_settings.required_verdicts(config)
    assert caught.value.code == "J103"
    assert str(tmp_path / "judging" / "judge.html") in caught.value.text
    (tmp_path / "judging" / "verdicts").mkdir(parents=True)
    (tmp_path / "judging" / "key.json").write_text("{}")
    with pytest.raises(UserError, match="holds no file of verdicts") as caught:
        judge_settings.required_verdicts(config)
    assert "judge_export" not in caught.value.text, "there is a page to save from"
    (tmp_path / "judging" / "verdicts" / "a.jsonl").write_text("")
    assert judge_settings.required_verdicts(config) == [str(tmp_path / "judging" / "verdicts" / "a.jsonl")]


@pytest.mark.parametrize("name", ["{run}.jsonl", "of\nanna.jsonl"])
def test_a_file_of_verdicts_that_snakemake_could_not_name_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match="rename it") as caught:
        judge_settings.required_verdicts(resolve({"judging": {"path": str(tmp_path)}}))
    assert caught.value.code == "J106"
