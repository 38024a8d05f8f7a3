"""Exams and general texts: accuracies with intervals, differences to the base model, subjects, seeds, small sets."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from medscale.base.errors import UserError
from medscale.compare.holm import holm
from medscale.compare.knowledge import (
    COLUMNS,
    Exam,
    Statistics,
    knowledge_tables,
    read_exams,
    read_retention,
    with_knowledge,
)
from medscale.compare.resampling import Configuration
from medscale.evaluate.eval_file import Scores
from medscale.evaluate.wilson import wilson_interval

STATISTICS = Statistics(resamples=2000, seed=0, alpha=0.05, power=0.8)
SIZES = (100, 300, 1000)


def configurations(seeds=()):
    tuned = [
        Configuration(f"lora_{size}", "tuned", "lora", size, (f"lora_{size}", *(f"lora_{size}_seed{n}" for n in seeds)))
        for size in SIZES
    ]
    return [*tuned, Configuration("base", "base", "base", None, ("base",))]


def evaluations(exam: Exam, name="made", **more):
    told = {"value": 1.5, "ci95": [1.4, 1.7]}
    return [{"run": run, "training": {"steps": 9}, "exams": {name: more}, "retention": told} for run in exam.correct]


def made_up(
    items=400, accuracies=(0.3, 0.4, 0.6), base=0.3, subjects=(None,), measures=("medicine",), seeds=(), wobble=0.0
):
    """Return an exam of which the sizes and the base model answer given shares, on the same hard questions."""
    generator = np.random.default_rng(5)
    hard = generator.random(items)
    runs = {each.name: [] for each in configurations()}
    for each, share in zip(configurations(seeds), (*accuracies, base), strict=True):
        for place, run in enumerate(each.runs):
            runs[run] = (0.7 * hard + 0.3 * generator.random(items) < share + wobble * place).astype(float)
    return Exam(
        [str(place) for place in range(items)],
        [subjects[place % len(subjects)] for place in range(items)],
        [measures[place % len(measures)] for place in range(items)],
        np.full(items, 0.25),
        runs,
    )


def tables(exam, seeds=(), retention=None, **more):
    return knowledge_tables(
        {"made": exam}, retention or {}, configurations(seeds), evaluations(exam, **more), STATISTICS
    )


def row_of(values, name, subject=None, metric="made"):
    here = values[(values["name"] == name) & (values["metric"] == metric)]
    (row,) = here[here["subject"] == subject if subject else here["scope"] == "all"].to_dict("records")
    return row


def test_an_accuracy_stands_with_wilsons_interval_and_the_chance_level():
    exam = made_up()
    values, _ = tables(exam)
    assert tuple(values.columns) == COLUMNS
    row = row_of(values, "lora_1000")
    right = int(exam.correct["lora_1000"].sum())
    # Wilson's interval by its formula
    z, n, p = stats.norm.ppf(0.975), 400, right / 400
    middle, half = (p + z * z / 2 / n), z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    assert row["value"] == pytest.approx(100 * p)
    assert row["lo"] == pytest.approx(100 * (middle - half) / (1 + z * z / n))
    assert row["hi"] == pytest.approx(100 * (middle + half) / (1 + z * z / n))
    assert (row["chance"], row["n_items"], row["measures"], row["seeds"]) == (25, 400, "medicine", 1)


def test_what_was_learned_is_told_from_what_was_not():
    values, compared = tables(made_up())
    learned, equal = row_of(values, "lora_1000"), row_of(values, "lora_100")
    assert learned["base_significant"] is True
    assert learned["base_lo"] > 0
    assert learned["base_difference"] == pytest.approx(learned["value"] - row_of(values, "base")["value"])
    assert equal["base_significant"] is False
    assert np.isnan(row_of(values, "base")["base_difference"])
    ends = compared[compared["kind"] == "ends"].to_dict("records")
    assert [(row["a"], row["b"], row["significant"]) for row in ends] == [("lora_1000", "lora_100", True)]
    assert set(compared["metric"]) == {"made"}


def test_the_test_agrees_with_mcnemars():
    exam = made_up(accuracies=(0.3, 0.36, 0.6))
    _, compared = tables(exam)
    for row in compared[compared["kind"] == "base"].to_dict("records"):
        a, b = exam.correct[row["a"]], exam.correct[row["b"]]
        only = int((a > b).sum()), int((a < b).sum())
        exact = stats.binomtest(only[0], sum(only)).pvalue
        assert (row["p"] <= 0.05) == (exact <= 0.05), (row["p"], exact)


@pytest.mark.parametrize(("items", "small"), [(60, True), (4000, False)])
def test_an_exam_that_could_rank_nothing_is_called_too_small(items, small):
    values, _ = tables(made_up(items, accuracies=(0.4, 0.4, 0.4), base=0.4))
    whole = values[values["scope"] == "all"]
    assert whole["too_small"].tolist() == [small] * 4
    assert (whole["smallest_detectable"] > 5).tolist() == [small] * 4


def test_ninety_questions_that_all_answer_alike_cannot_show_five_points():
    """Five one-sided questions are needed, 5.6 points of 90, and more to have them in four sets of five."""
    values, compared = tables(answered(22, 22, 22, 22, items=90))
    assert values["too_small"].tolist() == [True] * 4
    assert values["smallest_detectable"].tolist() == pytest.approx([8.495] * 4, abs=0.001)
    assert (compared["smallest_detectable"] >= (compared["hi"] - compared["lo"]) / 2).all()


def test_configurations_that_answer_alike_do_not_make_an_exam_look_better():
    alike, apart = (answered(right, 30, 30, 30, items=60) for right in (30, 45))
    apart.correct["lora_100"][:12] = 0
    one, other = (row_of(tables(exam)[0], "base")["smallest_detectable"] for exam in (alike, apart))
    assert other > 1.5 * one
    (expected,) = {
        row["smallest_detectable"] for row in tables(apart)[1].to_dict("records") if "lora_100" in (row["a"], row["b"])
    }
    assert other == expected, "only the pairs that differ count"


def test_general_texts_too_few_for_an_interval_have_no_detectable_difference():
    for texts, known in ((3, False), (40, True)):
        generator = np.random.default_rng(2)
        tokens = np.full(texts, 20.0)
        retention = {
            run: Scores(
                [str(place) for place in range(texts)],
                {"nll_sum": 40 + generator.normal(size=texts), "n_answer_tokens": tokens},
                {},
            )
            for run in made_up().correct
        }
        values, compared = tables(made_up(), retention=retention)
        here = compared[compared["metric"] == "retention"]
        assert (here["smallest_detectable"].notna() == here["lo"].notna()).all()
        assert here["smallest_detectable"].notna().all() == known
        assert values.loc[values["metric"] == "retention", "smallest_detectable"].notna().all() == known


def test_subjects_are_compared_with_the_base_model_and_corrected_over_all_of_them():
    exam = made_up(600, subjects=("seen", "unseen"))
    for run in exam.correct:  # on the one half everybody guesses alike
        exam.correct[run][1::2] = exam.correct["base"][1::2]
    values, _ = tables(exam)
    assert row_of(values, "lora_1000", "seen")["base_significant"] is True
    unseen = row_of(values, "lora_1000", "unseen")
    assert (unseen["base_difference"], unseen["base_significant"], unseen["n_items"]) == (0, False, 300)
    tested = values[(values["scope"] == "subject") & values["base_p"].notna()]
    assert len(tested) == 6
    smallest = tested["base_p"].min()
    assert tested["base_p_holm"].min() == pytest.approx(min(1, 6 * smallest))


def test_the_medical_part_is_told_from_the_rest():
    exam = made_up(600, subjects=("解剖", "历史"), measures=("medicine", "general"))
    for run in exam.correct:  # what is general was forgotten
        exam.correct[run][1::2] *= run == "base"
    values, _ = tables(exam)
    general, medicine = (
        row_of(values[values["scope"] == "measures"], "lora_1000", part) for part in ("general", "medicine")
    )
    assert general["base_significant"] is True
    assert general["value"] == 0
    assert medicine["base_difference"] > 0
    assert row_of(values, "lora_1000")["measures"] == "mixed"


def test_one_subject_alone_is_the_exam_itself():
    values, _ = tables(made_up(subjects=("内科",)))
    assert set(values["scope"]) == {"all"}


def test_several_seeds_give_their_mean_and_a_wider_interval():
    one, _ = tables(made_up(seeds=(2, 3), wobble=0.0), seeds=(2, 3))
    apart, _ = tables(made_up(seeds=(2, 3), wobble=0.15), seeds=(2, 3))
    row, wide = row_of(one, "lora_1000"), row_of(apart, "lora_1000")
    exam = made_up(seeds=(2, 3))
    runs = ["lora_1000", "lora_1000_seed2", "lora_1000_seed3"]
    assert row["value"] == pytest.approx(100 * np.mean([exam.correct[run].mean() for run in runs]))
    assert row["seeds"] == 3
    assert wide["hi"] - wide["lo"] > 3 * (row["hi"] - row["lo"])
    assert row_of(one, "base")["seeds"] == 1


def answered(*shares_of_right, items=20, seeds=(), subjects=(None,)):
    """Return an exam that each run answers right on its first questions; seeds alike."""
    runs = {}
    for each, right in zip(configurations(seeds), shares_of_right, strict=True):
        for run in each.runs:
            runs[run] = (np.arange(items) < right).astype(float)
    labels = [subjects[place % len(subjects)] for place in range(items)]
    return Exam([str(place) for place in range(items)], labels, ["medicine"] * items, np.full(items, 0.25), runs)


@pytest.mark.parametrize("items", [1, 2, 3, 6, 20])
def test_few_questions_of_several_seeds_have_an_interval_that_can_be(items):
    for right in {0, 1, items - 1, items}:
        values, _ = tables(answered(right, right, right, 0, items=items, seeds=(2, 3)), seeds=(2, 3))
        row = row_of(values, "lora_1000")
        assert 0 <= row["lo"] <= row["value"] <= row["hi"] <= 100
        low, high = wilson_interval(right, items)
        assert (row["lo"], row["hi"]) == pytest.approx((100 * low, 100 * high)), "equal seeds add nothing"


def test_a_true_difference_is_shown_however_many_subjects_are_corrected_for():
    subjects = tuple(f"科目{number}" for number in range(60))
    exam = made_up(60 * 60, accuracies=(0.2, 0.2, 0.9), base=0.2, subjects=subjects)
    values, _ = tables(exam)
    parts = values[(values["scope"] == "subject") & (values["name"] == "lora_1000")]
    assert parts["base_significant"].all()
    assert len(parts) == 60


def of_base(compared, name="lora_100"):
    (row,) = compared[(compared["a"] == name) & (compared["b"] == "base")].to_dict("records")
    return row


def answered_apart(won, lost, items):
    """Return an exam of which ``won`` questions are right by lora_100 alone and ``lost`` by the base model alone."""
    exam = answered(won, 0, 0, 0, items=items)
    exam.correct["base"][won : won + lost] = 1
    return exam


def test_items_that_all_differ_alike_have_the_p_of_the_exact_test_and_an_interval_with_width():
    row = of_base(tables(answered(6, 0, 0, 0, items=6))[1])
    assert row["p"] == pytest.approx(2 * 0.5**6 - 0.5**6)
    assert 0 < row["lo"] < 50
    assert row["hi"] == 100
    assert row["smallest_detectable"] > 30, "one question in six may be otherwise"


@pytest.mark.parametrize("items", [4, 5, 20, 400])
def test_no_difference_is_called_one_whose_interval_holds_0(items):
    """The interval holds 0 where p is above alpha, and there alone; it has two ends between -100 and 100."""
    for won in range(min(items, 9) + 1):
        for lost in range(min(items - won, 4) + 1):
            row = of_base(tables(answered_apart(won, lost, items))[1])
            assert -100 <= row["lo"] <= row["difference"] <= row["hi"] <= 100, row
            assert (row["p"] <= 0.05) == (row["lo"] > 0 or row["hi"] < 0), row
            assert not row["significant"] or row["lo"] > 0, row


@pytest.mark.parametrize("seeds", [(), (2,), (2, 3)])
def test_three_of_four_questions_are_no_difference_however_many_seeds_say_so(seeds):
    row = of_base(tables(answered(3, 0, 0, 0, items=4, seeds=seeds), seeds=seeds)[1])
    assert row["p"] == pytest.approx(0.125), "McNemar's mid-p"
    assert row["lo"] < 0
    assert row["significant"] is False


@pytest.mark.parametrize(("seeds", "questions"), [((2,), 10), ((2, 3), 10)])
def test_subjects_of_few_questions_rarely_raise_a_false_alarm_where_seeds_nearly_agree(seeds, questions):
    """Each seed turns one answer in ten of its configuration, and all guess: nothing differs from the base in truth."""
    generator, alarms = np.random.default_rng(7), 0
    subjects = tuple(f"科目{number}" for number in range(52))
    for _ in range(5):
        exam = made_up(52 * questions, subjects=subjects, seeds=seeds)
        first = {each.name: generator.random(52 * questions) < 0.5 for each in configurations()}
        for run in exam.correct:
            turned = (generator.random(52 * questions) < 0.1) & (run != "base")
            exam.correct[run] = (first[run.split("_seed")[0]] ^ turned).astype(float)
        values, _ = tables(exam, seeds=seeds)
        tuned = values[(values["scope"] == "subject") & values["base_p"].notna()].groupby("name")
        alarms += sum((holm(parts["base_p"].to_numpy(dtype=float)) <= 0.05).any() for _, parts in tuned)
    assert alarms <= 1, "of 15 families"


def test_an_exam_that_all_answer_alike_is_not_called_able_to_tell_everything():
    values, _ = tables(answered(2, 2, 2, 2, items=4))
    assert (values["smallest_detectable"] > 40).all()
    assert values["too_small"].tolist() == [True] * 4


def test_a_control_is_compared_with_the_base_model_too():
    exam = made_up()
    exam.correct["lora_1000_mix10"] = exam.correct["lora_300"]
    control = Configuration("lora_1000_mix10", "control", "lora", 1000, ("lora_1000_mix10",))
    values, _ = knowledge_tables({"made": exam}, {}, [*configurations(), control], evaluations(exam), STATISTICS)
    row = row_of(values, "lora_1000_mix10")
    assert row["base_difference"] == pytest.approx(row["value"] - row_of(values, "base")["value"])


def test_the_table_of_configurations_gets_the_exams_and_the_general_texts():
    values, _ = tables(made_up())
    names = [each.name for each in configurations()] + ["floor_bm25"]
    table = with_knowledge(pd.DataFrame({"configuration": names}), values)
    assert table["exam_made"][2] == row_of(values, "lora_1000")["value"]
    assert table["exam_made_hi"][2] == row_of(values, "lora_1000")["hi"]
    assert np.isnan(table["exam_made"][4])


def test_what_eval_json_tells_besides_stands_in_the_table():
    clean = {"accuracy": 41.5, "n": 390}
    values, _ = tables(made_up(), accuracy_without_leaks=clean, accuracy_calibrated={"accuracy": 40.0})
    row = row_of(values, "lora_100")
    assert (row["value_without_leaks"], row["n_without_leaks"], row["value_calibrated"]) == (41.5, 390, 40.0)
    assert row["value_permuted"] is None


def test_the_likelihood_of_general_texts_is_compared_too():
    generator = np.random.default_rng(1)
    tokens = generator.integers(5, 60, 200).astype(float)
    base = tokens * generator.gamma(20, 0.1, 200)
    retention = {
        run: Scores([str(i) for i in range(200)], {"nll_sum": base + extra * tokens, "n_answer_tokens": tokens}, {})
        for run, extra in (("lora_100", 0.0), ("lora_300", 0.1), ("lora_1000", 0.4), ("base", 0.0))
    }
    values, compared = tables(made_up(), retention=retention)
    row = row_of(values, "lora_1000", metric="retention")
    assert row["base_difference"] == pytest.approx(0.4)
    assert row["value"] == pytest.approx((base.sum() + 0.4 * tokens.sum()) / tokens.sum())
    assert (row["lo"], row["hi"]) == (1.4, 1.7)  # those of eval.json
    assert row["too_small"] is None
    kinds = compared[compared["metric"] == "retention"]["kind"].tolist()
    assert sorted(kinds) == ["base", "base", "base", "ends", "size", "size"]


def written(folder, run, rows):
    path = folder / f"{run}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def answer(place, correct, permutation=0, exam="made", choices=4):
    letters = list("ABCDE"[:choices])
    row = {"exam": exam, "id": str(place), "permutation": permutation, "subject": "内科", "measures": "medicine"}
    return row | {
        "answer": "A",
        "chosen": "A",
        "correct": correct,
        "choices": letters,
        "loglikelihoods": [-1.0] * choices,
    }


def test_exams_are_read_as_they_stand_and_not_as_permuted(tmp_path):
    rows = [answer(0, True), answer(0, False, 1), answer(1, False, choices=5), answer(0, True, exam="other")]
    found = read_exams({"base": written(tmp_path, "base", rows)})
    assert found["made"].ids == ["0", "1"]
    assert found["made"].correct["base"].tolist() == [1, 0]
    assert found["made"].chance.tolist() == [0.25, 0.2]
    assert list(found) == ["made", "other"]


def test_runs_that_answered_other_questions_are_not_compared(tmp_path):
    paths = {
        "base": written(tmp_path, "base", [answer(0, True)]),
        "lora_100": written(tmp_path, "lora_100", [answer(1, True)]),
    }
    with pytest.raises(UserError, match="lora_100 answered other questions of the exam made") as caught:
        read_exams(paths)
    assert caught.value.code == "R211"


def test_general_texts_are_read(tmp_path):
    path = written(tmp_path, "base", [{"id": "0", "nll_sum": 3.5, "n_tokens": 2}])
    scores = read_retention({"base": path})["base"]
    assert (scores.ids, scores.columns["nll_sum"].tolist()) == (["0"], [3.5])
