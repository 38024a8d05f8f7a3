"""From judges' files to verdicts.json, and the two scripts."""

import json
import os
import re
import sys

import pytest

import judge_export
import judge_import
from judged_pairs import PAIRS, judge_all, line, predictions, prefers, shown_and_key
from medscale.base.errors import UserError
from medscale.base.files import read_json, write_json, write_jsonl
from medscale.judge.pairs import ASKED
from medscale.judge.verdict_files import read_verdicts
from medscale.judge.verdicts import told, verdicts_of

MEASURED = {"nll_sum": None, "n_answer_tokens": None, "n_output_tokens": None}


@pytest.fixture
def judged(tmp_path):
    """Return the function that lets judges judge and returns verdicts.json."""

    def judge(*judges, items=40, answers=None, **options):
        shown, key = shown_and_key(answers or predictions(60), items=items, **options)
        for number, says in enumerate(judges):
            (tmp_path / f"{number}.jsonl").write_text("\n".join(judge_all(shown, f"J{number}", says)), encoding="utf-8")
        read = read_verdicts(sorted(tmp_path.glob("*.jsonl")), key["pairs"])
        return verdicts_of(read, key, resamples=1000, seed=0, alpha=0.05)

    return judge


def test_one_of_a_kind_is_told_as_one(judged, tmp_path):
    result = judged(prefers("lora_100k"), items=2)
    shown, key = shown_and_key(predictions(60), items=2)
    rows = [json.dumps({"pair": shown[0].id, "judge": "LW", "overall": "1", "mood": "good"})]
    (tmp_path / "one.jsonl").write_text(rows[0], encoding="utf-8")
    read = read_verdicts([tmp_path / "one.jsonl"], key["pairs"])
    lines = told(verdicts_of(read, key, resamples=1000, seed=0, alpha=0.05))
    assert lines[0] == "1 line read: 1 verdict of 1 judge"
    assert "  not used, no criterion: 'mood', 1 time" in lines
    assert "  1 verdict leaves out a criterion" in lines
    assert told(result)[0].endswith("of 1 judge")
    assert not [line for line in (*lines, *told(result)) if re.search(r"\b1 \w+s\b(?! out)", line)]


def test_what_all_judges_prefer_wins_whichever_place_it_has(judged):
    result = judged(prefers("lora_100k"), prefers("lora_100k", 0.8))
    for criterion in ASKED:
        first, second = result["criteria"][criterion]["comparisons"]
        assert (first["a"], first["b"], second["a"]) == ("base", "lora_100k", "lora_20k")
        assert first["ci"][1] < 0.5
        assert first["p_holm"] < 0.001
        assert first["by_judge"]["J0"] == {"rate": 0.0, "questions": 40}
    (group,) = result["criteria"]["overall"]["strengths"]
    assert group["configurations"][0]["name"] == "lora_100k"
    assert result["criteria"]["overall"]["agreement"]["alpha"] > 0.3
    json.dumps(result, allow_nan=False)


def test_a_judge_of_places_gives_no_configuration_an_advantage(judged):
    result = judged(lambda pair: "1", repeated=0)
    for entry in result["criteria"]["overall"]["comparisons"]:
        assert entry["rate"] == 0.5
        assert entry["p"] == 1
    assert result["judges"][0]["position"]["share"] == 1


def test_a_verdict_of_several_configurations_was_said_once(judged):
    """Three configurations gave the same answers: a judge saw them once, and each of their win rates counts it."""
    same = predictions(20, ("base", "l1"))
    answers = {"base": same["base"], **dict.fromkeys(("l1", "l2", "l3"), same["l1"])}
    pairs = [("base", name) for name in ("l1", "l2", "l3")]
    result = judged(prefers("base", 0.9), prefers("base", 0.8, 1), answers=answers, pairs=pairs, items=20)
    once = judged(prefers("base"), prefers("base"), answers=same, pairs=pairs[:1], items=20)
    shown = result["pairs"]
    assert result["verdicts"] == 2 * shown
    assert sum(entry["questions"] for entry in result["criteria"]["overall"]["comparisons"]) == 60
    for found in result["criteria"].values():
        assert found["agreement"]["units"] == shown
        assert found["position"]["decided"] <= 2 * shown
    for judge in result["judges"]:
        assert judge["position"]["decided"] <= judge["verdicts"] == shown
        assert 2 * judge["shown_twice"] <= shown
        assert judge["same"] + judge["place"] + judge["other"] == judge["shown_twice"]
    assert once["judges"][0]["shown_twice"] == 2


def test_half_filled_verdicts_count_where_something_was_said(tmp_path):
    shown, key = shown_and_key(predictions(20), items=10, repeated=0)
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(line(pair.id, overall="1") for pair in shown[:7]), encoding="utf-8")
    result = verdicts_of(read_verdicts([path], key["pairs"]), key, resamples=1000, seed=0, alpha=0.05)
    assert result["criteria"]["safe"]["comparisons"] == []
    assert sum(entry["questions"] for entry in result["criteria"]["overall"]["comparisons"]) == 7
    assert result["incomplete"] == 7
    assert "7 verdicts leave out a criterion" in "\n".join(told(result))


def test_comments_are_kept_with_what_they_are_of(tmp_path):
    shown, key = shown_and_key(predictions(20), items=4)
    path = tmp_path / "a.jsonl"
    path.write_text(line(shown[0].id, overall="1", comment="剂量错了"), encoding="utf-8")
    result = verdicts_of(read_verdicts([path], key["pairs"]), key, resamples=1000, seed=0, alpha=0.05)
    role = shown[0].roles[0]
    assert result["comments"][0]["answer_1"] == role.first
    assert result["comments"][0]["comment"] == "剂量错了"


def test_half_a_character_of_a_stranger_does_not_stop_the_import(tmp_path):
    """JSON can hold half of a character, and the name of a file bytes that are none; UTF-8 can hold neither."""
    shown, key = shown_and_key(predictions(20), items=4)
    half = "坏\ud83d"
    rows = [
        {"pair": shown[0].id, "judge": "LW", "overall": "1", "comment": half},
        {"pair": shown[1].id, "judge": "LW", "overall": "1", half: "1", "safe": half},
        {"pair": shown[2].id, "judge": half, "overall": "1"},
        {"pair": half, "judge": "LW", "overall": "1"},
    ]
    path = tmp_path / os.fsdecode("坏".encode() + b"\xff.jsonl")
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    result = verdicts_of(read_verdicts([path], key["pairs"]), key, resamples=1000, seed=0, alpha=0.05)
    write_json(tmp_path / "verdicts.json", result)
    again = read_json(tmp_path / "verdicts.json")
    assert again["comments"][0]["comment"] == "坏\ufffd"
    assert {(entry["file"], entry["reason"]) for entry in again["rejected"]} == {
        ("坏\ufffd.jsonl", "no_judge"),
        ("坏\ufffd.jsonl", "unknown_pair"),
    }
    assert (again["unknown_keys"], again["unknown_values"]) == ({"坏\ufffd": 1}, {"坏\ufffd": 1})
    "\n".join(told(result)).encode()


@pytest.fixture
def study(tmp_path, monkeypatch):
    """Predictions in a folder, and the function that runs one of the two scripts on them."""
    for name, rows in predictions(12).items():
        write_jsonl(tmp_path / name / "predictions.jsonl", ({**row, **MEASURED} for row in rows))
    drawing = {"pairs": PAIRS, "largest": {"lora": "lora_100k"}, "items": 6, "repeated": 0.2, "seed": 1}

    def run(script, *more):
        files = {
            "export": ["--pairs", "pairs.jsonl", "--key", "key.json", "--page", "judge.html"],
            "import": ["--key", "key.json"],
        }
        names = ["--predictions", *(f"{name}/predictions.jsonl" for name in ("base", "lora_20k", "lora_100k"))]
        if script is judge_export:
            pairs = {"pairs": None} if "--recommendation" in more else {}
            arguments = [*names, "--drawing", json.dumps(drawing | pairs), *files["export"], *more]
        else:
            statistics = json.dumps({"resamples": 1000, "seed": 0, "alpha": 0.05})
            arguments = [
                *files["import"],
                "--folder",
                "verdicts",
                "--statistics",
                statistics,
                "--output",
                "verdicts.json",
                *more,
            ]
        monkeypatch.setattr(sys, "argv", [script.__name__, *arguments])
        script.main()

    monkeypatch.chdir(tmp_path)
    return run


def test_the_export_can_be_judged_and_imported(study, tmp_path, capsys):
    study(judge_export)
    assert "6 questions of each comparison\n" in capsys.readouterr().out
    pairs = [json.loads(each) for each in (tmp_path / "pairs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(pairs) == 2 * (6 + 1)
    assert "lora" not in (tmp_path / "judge.html").read_text(encoding="utf-8")
    (tmp_path / "a.jsonl").write_text("\n".join(line(pair["pair"], overall="1") for pair in pairs), encoding="utf-8")
    (tmp_path / "verdicts").mkdir()
    for name in ("王.csv", "b.json"):
        (tmp_path / "verdicts" / name).touch()
    study(judge_import, "--verdicts", "a.jsonl")
    assert "not read, for they are called neither .jsonl nor .jsonl.txt: b.json, 王.csv\n" in capsys.readouterr().out
    study(judge_import, "--verdicts", "a.jsonl")
    result = read_json(tmp_path / "verdicts.json")
    assert result["verdicts"] == len(pairs)
    assert set(result["predictions"]) == {"base", "lora_20k", "lora_100k"}
    assert "base wins" in capsys.readouterr().out


def test_a_test_set_of_fewer_questions_than_were_asked_for_is_told_of(study, capsys):
    drawing = {"pairs": PAIRS, "largest": {}, "items": 500, "repeated": 0.2, "seed": 1}
    study(judge_export, "--drawing", json.dumps(drawing))
    told = "12 questions of each comparison, all that the test set has (judging.items: 500)\n"
    assert told in capsys.readouterr().out


def test_pairs_that_nobody_named_follow_from_the_recommendation(study, tmp_path, capsys):
    candidates = [{"run": name, "method": "lora", "difference_to_best": 0.1} for name in ("lora_20k", "lora_100k")]
    write_json(tmp_path / "recommendation.json", {"run": "lora_20k", "candidates": candidates})
    study(judge_export, "--recommendation", "recommendation.json")
    key = read_json(tmp_path / "key.json")
    assert [(pair["a"], pair["b"]) for pair in key["compared"]] == [("base", "lora_20k"), ("lora_20k", "lora_100k")]
    assert "compared: base with lora_20k, lora_20k with lora_100k\n" in capsys.readouterr().out
    write_json(tmp_path / "recommendation.json", {"run": "lora_100k", "candidates": candidates})
    study(judge_export, "--recommendation", "recommendation.json")
    assert set(read_json(tmp_path / "key.json")["predictions"]) == {"base", "lora_100k"}, "no more than is compared"


def test_an_import_without_files_or_without_a_usable_line_says_so(study, tmp_path):
    study(judge_export)
    with pytest.raises(UserError, match=r"verdicts: holds no file of verdicts.*judging\.path \[J103\]"):
        study(judge_import)
    (tmp_path / "a.jsonl").write_text(line("other", overall="1"), encoding="utf-8")
    with pytest.raises(UserError, match=r"no line of its files can be used \(unknown_pair 1\).*\[J104\]"):
        study(judge_import, "--verdicts", "a.jsonl")
    assert not (tmp_path / "verdicts.json").exists()


def test_answers_that_are_equal_everywhere_leave_nothing_to_judge(study, tmp_path):
    rows = [{**row, **MEASURED} for row in predictions(12)["base"]]
    for name in ("base", "lora_20k", "lora_100k"):
        write_jsonl(tmp_path / name / "predictions.jsonl", rows)
    with pytest.raises(UserError, match=r"judging\.pairs: both sides.*\[J101\]"):
        study(judge_export)


def test_a_key_of_other_answers_is_told_by_the_report_of_them(study, tmp_path):
    study(judge_export)
    before = read_json(tmp_path / "key.json")
    rows = [{**row, "predict": row["predict"] + "。", **MEASURED} for row in predictions(12)["base"]]
    write_jsonl(tmp_path / "base" / "predictions.jsonl", rows)
    study(judge_export)
    after = read_json(tmp_path / "key.json")
    assert before["predictions"]["base"] != after["predictions"]["base"]
    assert before["set"] != after["set"]
