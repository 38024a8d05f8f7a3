"""Exams and general texts in the plan: the passes that an examination makes, their price by hand, and what is named."""

import argparse
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoConfig

from medscale.base.config import resolve
from medscale.base.files import write_jsonl
from medscale.base.settings import examination_settings
from medscale.evaluate import continuations, examination
from medscale.evaluate.continuations import Row, loglikelihoods
from medscale.evaluate.kept_answers import Shelf
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer
from medscale.plan import forecast as plan
from medscale.plan.arithmetic import TimeModel
from medscale.plan.cards import CARDS
from medscale.plan.computed import Simulations, compute_examination
from medscale.plan.exam_passes import AskedSet, Examinations, ExamPass, Extent, passes_of
from medscale.plan.exam_rows import OPTION_TOKENS, QUESTION_TOKENS, examinations, guessed_extents, question_extents
from medscale.plan.exam_sizes import Guessed, guessed_size
from medscale.plan.examining import evenly, measure_examination, random_rows
from medscale.plan.outcome import Examining
from medscale.plan.rows import examination as examination_of
from medscale.plan.rows import jobs
from medscale.plan.shapes import SHAPES, Shape, shape_of
from medscale.plan.table import plan_text
from sentences import TEXTS

T4 = CARDS["t4"]
LETTER = {"prompt": "plain", "scored_by": "letter", "normalise": None, "permutations": 1, "description": None}
ONE = {
    **{"id": "q1", "question": "哪个科室看胃？", "options": {"A": "消化科", "B": "骨科", "C": "眼科"}, "answer": "A"},
    **{"multiple": False, "subject": "分诊", "subject_name": None, "format": "columns", "measures": "medicine"},
    "seen": None,
}
SEVERAL = ONE | {"id": "q2", "question": "哪些科室看头痛？", "multiple": True, "answer": "AC"}
TOKENS = QUESTION_TOKENS + 5 * OPTION_TOKENS
"""Of a question with five options that has not been read."""


def exam(**changed):
    """Return an entry of `evaluation.exams` with its defaults."""
    given_file = {"file": "every.zip"} if "id" in changed else {"path": "x.csv"}
    return resolve({"evaluation": {"exams": {"x": given_file | changed}}})["evaluation"]["exams"]["x"]


def seconds(extents, model=TimeModel(0.5, 0.01, 0.001)):  # noqa: B008 (it can't be changed)
    return model.seconds(each.step for each in passes_of(extents))


def tokens(extents):
    return sum(each.rows * each.width for each in passes_of(extents))


sizes = st.integers(1, 300).flatmap(lambda length: st.tuples(st.just(length), st.integers(1, length)))


@given(st.lists(sizes, min_size=1, max_size=150))
def test_the_passes_are_those_that_an_examination_makes(rows):
    made = []

    def noted(model, batch, pad):
        made.append(ExamPass(len(batch), max(len(row.ids) for row in batch), max(row.depth for row in batch)))
        return {place: (0.0, len(wanted)) for row in batch for place, wanted in row.wanted.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(continuations, "_loglikelihoods", noted)
        given_rows = [Row([1] * length, {place: [1] * depth}) for place, (length, depth) in enumerate(rows)]
        loglikelihoods(None, given_rows, 0, Shelf(), "test")
    assert passes_of(Extent(*row) for row in rows) == made


def test_passes_by_hand():
    assert passes_of([Extent(100, 1)] * 100) == [ExamPass(81, 100, 1), ExamPass(19, 100, 1)]  # 8,192 tokens a pass
    assert passes_of([Extent(512, 512)] * 3) == [ExamPass(2, 512, 512), ExamPass(1, 512, 512)]  # 1,024 positions
    assert ExamPass(2, 512, 512).step == (1024, 1024)


@pytest.fixture
def files(tmp_path):
    """A study's questions and texts."""
    data = tmp_path / "results" / "data"
    write_jsonl(data / "exams" / "plain.jsonl", [ONE, SEVERAL])
    write_jsonl(data / "exams" / "chat.jsonl", [ONE])
    write_jsonl(data / "exams" / "text.jsonl", [ONE])
    write_jsonl(data / "retention.jsonl", [{"id": f"t{i}", "text": text * (1 + i)} for i, text in enumerate(TEXTS[:9])])
    return data


def test_what_was_read_costs_the_passes_of_the_examination_itself(files, tiny_model, tmp_path, monkeypatch):
    made = []
    compute = continuations._loglikelihoods

    def noted(model, batch, pad):
        made.append(ExamPass(len(batch), max(len(row.ids) for row in batch), max(row.depth for row in batch)))
        return compute(model, batch, pad)

    monkeypatch.setattr(continuations, "_loglikelihoods", noted)
    every = {
        "plain": {"path": "x.csv", "permutations": "all"},
        "chat": {"path": "x.csv", "prompt": "chat"},
        "text": {"path": "x.csv", "scored_by": "text"},
    }
    config = resolve(
        {
            "evaluation": {"exams": every, "retention": {"path": "t.txt", "window": 32}},
            "training": {"precision": "fp32"},
            "paths": {"results": str(tmp_path / "results")},
        }
    )
    examination.run(
        argparse.Namespace(
            **{"run": "base", "method": "base", "fingerprint": "0" * 16, "threads": 1, "model": tiny_model},
            **{"content": None, "adapter": None, "training": None},
            **{"exams": [files / "exams" / f"{name}.jsonl" for name in every], "retention": files / "retention.jsonl"},
            **{"settings": json.dumps(examination_settings(config, None)), "answers": tmp_path / "exams.parquet"},
            **{"texts": tmp_path / "texts.parquet", "examination": tmp_path / "examination.json"},
        )
    )
    chat = Chat(load_tokenizer(tiny_model), **config["chat"])
    found = examinations(config, {}, chat, examination.read_config(tiny_model.parent).max_position_embeddings)
    assert found.passes == made
    assert [(each.name, each.count) for each in found.sets] == [
        ("plain", 2),
        ("chat", 1),
        ("text", 1),
        ("retention", 9),
    ]
    assert all(str(files) in each.source for each in found.sets)
    assert found.unknown == {}


def test_without_a_tokenizer_characters_stand_for_tokens(files, tmp_path):
    section = {"exams": {"plain": {"path": "x.csv"}}, "retention": {"path": "t.txt", "window": 8}}
    config = resolve({"evaluation": section, "paths": {"results": str(tmp_path / "results")}})
    exams, texts = examinations(config, {}, None, 2048).sets
    assert exams.rows == 1 + 4  # a question with one answer, and the combinations AB, AC, BC, ABC
    assert texts.rows > 9  # longer than the window
    assert all("tokens a character (there is no tokenizer yet)" in each.source for each in (exams, texts))


def test_permutations_multiply_and_several_answers_are_combinations():
    once = question_extents([ONE, SEVERAL], LETTER, None, 2048)
    every = question_extents([ONE, SEVERAL], LETTER | {"permutations": "all"}, None, 2048)
    assert len(every) == 3 * len(once)
    assert tokens(every) == pytest.approx(3 * tokens(once), rel=0.05)
    five = Guessed(100, "", options=5, several=0.2)
    assert len(guessed_extents(five, LETTER)) == 80 + 20 * 26
    assert len(guessed_extents(five._replace(least=1), LETTER)) == 80 + 20 * 31
    assert len(guessed_extents(five, LETTER | {"permutations": "all"})) == 5 * (80 + 20 * 26)
    assert len(guessed_extents(five._replace(several=0.0), LETTER | {"scored_by": "text"})) == 100 * 5


@given(st.integers(1, 3000), st.integers(0, 500), st.sampled_from([0.0, 0.1]), st.sampled_from(["letter", "text"]))
def test_more_questions_never_cost_less(count, more, several, scored_by):
    guess, settings = Guessed(count, "", several=several), LETTER | {"scored_by": scored_by}
    fewer, many = (seconds(guessed_extents(guess._replace(questions=n), settings)) for n in (count, count + more))
    assert fewer <= many + 1e-9


def test_the_price_of_an_exam_by_hand():
    model = TimeModel(0.5, 0.01, 0.001)
    extents = guessed_extents(Guessed(200, ""), LETTER)
    assert set(extents) == {Extent(TOKENS, 1)}
    passes = passes_of(extents)
    assert [each.rows for each in passes] == [81, 81, 38]
    sets = [AskedSet("ours", 200, 200, passes, ""), AskedSet("retention", 1, 1, [ExamPass(1, 50, 50)], "")]
    found = examination_of(Examining(model, 6.0, 8.0, None, None), Examinations(sets, {}))
    assert found["examine_seconds_by_set"]["ours"] == pytest.approx(3 * 0.5 + 200 * 0.01 + 200 * TOKENS * 0.001)
    assert found["examine_seconds_by_set"]["retention"] == pytest.approx(0.5 + 50 * 0.01 + 50 * 0.001)
    assert found["examine_seconds"] == pytest.approx(sum(found["examine_seconds_by_set"].values()))
    assert found["examine_load_seconds"] == 6.0
    assert examination_of(None, Examinations([], {}))["examine_seconds"] is None


@pytest.mark.parametrize(
    ("changed", "questions"),
    [
        ({"source": "huggingface", "id": "fzkuji/CMExam", "file": "test.json"}, 6811),
        ({"path": "/data/CMExam/data/test_with_annotations.csv"}, 6811),
        ({"path": ["/d/CMB/CMB-test-choice-question-merge.json", "/d/CMB/CMB-test-choice-answer.json"]}, 11200),
        ({"source": "huggingface", "id": "FreedomIntelligence/CMB", "split": "val"}, 280),
        ({"source": "huggingface", "id": "FreedomIntelligence/CMB", "file": "CMB-val/CMB-val-merge.json"}, 280),
        ({"source": "huggingface", "id": "FreedomIntelligence/CMB", "file": "CMB-train/merge.json"}, None),
        ({"path": "/val/CMB/CMB-test-choice-question-merge.json"}, 11200),
        ({"source": "huggingface", "id": "ceval/ceval-exam", "file": "*/val-*.parquet"}, 1346),
        ({"source": "huggingface", "id": "FreedomIntelligence/CMB", "max_questions": 2000}, 2000),
        ({"source": "huggingface", "id": "FreedomIntelligence/CMB", "max_questions": 20000}, 11200),
        ({"source": "huggingface", "id": "haonan-li/cmmlu", "file": "cmmlu_v1_0_1.zip"}, 11582),
        ({"source": "huggingface", "id": "haonan-li/cmmlu", "subjects": ["anatomy", "virology"]}, 148 + 169),
        ({"source": "huggingface", "id": "haonan-li/cmmlu", "file": "test/anatomy.csv"}, 148),
        ({"source": "huggingface", "id": "haonan-li/cmmlu", "subjects": ["anatomy", "law"]}, None),
        ({"source": "modelscope", "id": "evalscope/ceval", "subjects": ["physician"]}, 49),
        ({"path": "mine.csv", "format": "cmexam"}, 6811),
        ({"path": "CMExam/mine.csv", "format": "columns"}, None),
        ({"path": "mine.csv"}, None),
        ({"path": "mine.csv", "max_questions": 300}, 300),
        ({"source": "demo", "path": None}, 400),
        ({"source": "demo", "path": None, "rows": 40}, 40),
        ({"source": "demo", "path": None, "max_questions": 20}, 16),
        ({"source": "demo", "path": None, "rows": 40, "max_questions": 80}, 80),
    ],
)
def test_the_size_of_an_exam_before_it_is_read(changed, questions):
    guess = guessed_size(exam(**changed))
    assert (guess and guess.questions) == questions


def test_an_exam_that_was_fetched_is_read_for_the_plan(tmp_path):
    from medscale.fetch.manifest import write_manifest

    folder = tmp_path / "sets"
    lines = [{"question": f"第{i}题？", "A": "甲", "B": "乙", "answer": "A"} for i in range(7)]
    write_jsonl(folder / "exam.jsonl", lines)
    manifest = write_manifest(folder, kind="data", source="file")
    write_jsonl(folder / "texts" / "texts.jsonl", [{"text": "春天来了。" * 4} for _ in range(5)])
    texts = write_manifest(folder / "texts", kind="data", source="file")
    hub = {"source": "huggingface", "id": "some/set", "file": "x.jsonl"}
    section = {"exams": {"ours": hub}, "retention": hub | {"max_texts": None}}
    config = resolve({"evaluation": section, "paths": {"results": str(tmp_path / "none")}})
    unread = examinations(config, {}, None, 2048, " --configfile my.yaml")
    assert set(unread.unknown) == {"ours", "retention"}
    assert "none/data/exams/ours.jsonl --cores 1 --configfile my.yaml reads it" in unread.unknown["ours"]
    assert "none/data/retention.jsonl --cores 1 --configfile my.yaml reads them" in unread.unknown["retention"]
    found = examinations(config, {"exam_ours": str(manifest), "retention": str(texts)}, None, 2048)
    assert [(each.name, each.count, each.rows) for each in found.sets] == [("ours", 7, 7), ("retention", 5, 5)]
    assert found.unknown == {}


def test_what_an_earlier_configuration_asked_for_is_not_taken_for_what_is_asked_now(tmp_path):
    """As after a first try with ten questions and ten texts."""
    from medscale.fetch.manifest import write_manifest

    questions = [{"question": f"第{i}题？", "A": "甲", "B": "乙", "answer": "A"} for i in range(40)]
    manifests, data = {}, tmp_path / "results" / "data"
    for name, lines in {"exam_ours": questions, "retention": [{"text": f"春天来了{i}。"} for i in range(40)]}.items():
        write_jsonl(tmp_path / name / "a.jsonl", lines)
        manifests[name] = str(write_manifest(tmp_path / name, kind="data", source="file"))
    write_jsonl(data / "exams" / "ours.jsonl", [ONE] * 10)
    write_jsonl(data / "retention.jsonl", [{"id": f"t{i}", "text": "春天来了。"} for i in range(10)])

    def counts(most, manifests):
        exams, retention = {"ours": {"path": "x.jsonl", "max_questions": most}}, {"path": "t.jsonl", "max_texts": most}
        config = resolve(
            {"evaluation": {"exams": exams, "retention": retention}, "paths": {"results": str(data.parent)}}
        )
        return [each.count for each in examinations(config, manifests, None, 2048).sets]

    assert counts(None, manifests) == [40, 40]
    assert counts(30, manifests) == [30, 30]
    assert counts(10, manifests) == [10, 10]
    assert counts(None, {}) == [10, 10]


def test_why_a_fetched_set_cannot_be_read_is_told(tmp_path):
    from medscale.fetch.manifest import write_manifest

    write_jsonl(tmp_path / "exam" / "exam.jsonl", [{"foo": 1}])
    write_jsonl(tmp_path / "texts" / "texts.jsonl", [{"foo": 1}])
    manifests = {
        "exam_ours": str(write_manifest(tmp_path / "exam", kind="data", source="file")),
        "retention": str(write_manifest(tmp_path / "texts", kind="data", source="file")),
    }
    for most in (None, 30):
        section = {"exams": {"ours": {"path": "x.jsonl", "max_questions": most}}}
        section["retention"] = {"path": "t.jsonl", "max_texts": most}
        config = resolve({"evaluation": section, "paths": {"results": str(tmp_path / "none")}})
        found = examinations(config, manifests, None, 2048)
        told = found.unknown if most is None else {each.name: each.source for each in found.sets}
        assert {each.name: each.count for each in found.sets} == ({} if most is None else {"ours": 30, "retention": 30})
        for name in ("ours", "retention"):
            assert "cannot be read" in told[name]
            assert "foo" in told[name]


def own_sets(folder, exam=None, retention=None):
    """Return a configuration with the user's own files, of which nothing was fetched."""
    section = {"exams": {"ours": {"path": str(folder / "ours.csv")} | (exam or {})}}
    section["retention"] = {"path": str(folder / "texts.jsonl")} | (retention or {})
    return resolve({"evaluation": section, "paths": {"results": str(folder / "none"), "resources": str(folder / "r")}})


@pytest.mark.parametrize("most", [None, 100000, 5])
def test_files_of_the_user_are_read_for_the_plan_though_nothing_was_fetched(tmp_path, most):
    lines = [f"第{i}题问什么,甲,乙,丙,丁,{'ABCD'[i % 4]}" for i in range(14)]
    (tmp_path / "ours.csv").write_text("\n".join(["Question,A,B,C,D,Answer", *lines]), encoding="utf-8")
    write_jsonl(tmp_path / "texts.jsonl", [{"text": f"春天来了{i}。"} for i in range(50)])
    before = sorted(tmp_path.rglob("*"))
    retention = {} if most is None else {"max_texts": most}
    config = own_sets(tmp_path, {"format": "columns", "max_questions": most}, retention)
    found = examinations(config, {"exam_ours": str(tmp_path / "r" / "manifest.json")}, None, 2048)
    exams, texts = found.sets
    assert (exams.count, texts.count) == (min(14, most or 14), min(50, most or 50))
    assert texts.rows == texts.count
    assert sum(each.rows * each.width for each in texts.passes) < 20 * texts.count, "and not the whole window"
    assert exams.source.startswith("the files of evaluation.exams.ours.path")
    assert texts.source.startswith("the files of evaluation.retention.path")
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


def test_a_known_set_of_the_user_has_the_questions_that_its_file_has(tmp_path):
    lines = ["Question,Options,Answer", *(f'问{i},"A 甲\nB 乙",A' for i in range(14))]
    (tmp_path / "ours.csv").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "texts.jsonl").write_text('{"text": "春天来了。"}\n', encoding="utf-8")
    found = examinations(own_sets(tmp_path, {"format": "cmexam"}), {}, None, 2048)
    assert [each.count for each in found.sets] == [14, 1]


def test_why_the_user_s_files_cannot_be_read_is_told(tmp_path):
    (tmp_path / "ours.csv").write_text("foo\n1\n", encoding="utf-8")
    write_jsonl(tmp_path / "texts.jsonl", [{"foo": 1}])
    found = examinations(own_sets(tmp_path, retention={"max_texts": None}), {}, None, 2048)
    for name, key in (("ours", "evaluation.exams.ours"), ("retention", "evaluation.retention")):
        assert found.unknown[name].startswith(f"the files of {key}.path cannot be read: ")
        assert "foo" in found.unknown[name]
    (tmp_path / "ours.csv").unlink()
    (tmp_path / "texts.jsonl").unlink()
    found = examinations(own_sets(tmp_path, {"max_questions": 30}), {}, None, 2048)
    assert [each.count for each in found.sets] == [30, 1000]
    assert all("is not there" in each.source for each in found.sets)


def test_files_that_the_user_has_mended_are_read_as_they_are_now(tmp_path):
    from medscale.fetch.manifest import write_manifest

    (tmp_path / "ours.csv").write_text("question,A,B,answer\n问,甲,乙,A\n", encoding="utf-8")
    write_jsonl(tmp_path / "texts.jsonl", [{"text": "春天来了。"}])
    manifest = write_manifest(tmp_path / "r", kind="data", source="file", root=tmp_path, files=["ours.csv"])
    with (tmp_path / "ours.csv").open("a", encoding="utf-8") as file:
        file.write("另一问,甲,乙,B\n")
    found = examinations(own_sets(tmp_path), {"exam_ours": str(manifest)}, None, 2048)
    assert found.sets[0].count == 2


def model_config(name="Qwen/Qwen2.5-3B"):
    fields = dict(SHAPES[name])
    return AutoConfig.for_model(fields.pop("model_type"), **fields)


def test_a_card_s_price_follows_from_its_rates():
    settings = {name: resolve({})[name] for name in ("training", "lora", "quantization", "evaluation")}
    simulations, passes = Simulations(model_config()), [ExamPass(81, 100, 1)] * 9
    lora, qlora = (compute_examination(simulations, method, settings, T4, passes) for method in ("lora", "qlora"))
    vocabulary, hidden, bandwidth = 151936, 2048, 0.75 * T4.bandwidth
    head = 2 * vocabulary * hidden / (T4.sustained * T4.peak["fp32"]) + 3 * 4 * vocabulary / bandwidth
    assert lora.model.micro_batch == pytest.approx(head)
    assert lora.model.step >= 4 * vocabulary * hidden / bandwidth
    blocks = 2 * (3_085_938_688 - vocabulary * hidden) / (T4.sustained * T4.peak["fp16"])  # operations of a token
    assert blocks < lora.model.token < 1.5 * blocks
    assert qlora.model.token > lora.model.token  # whose weights are unpacked, and whose adapter stays apart
    assert lora.load == pytest.approx(2 * 3_085_938_688 / 1e9)
    assert qlora.allocated_gib < lora.allocated_gib < 0.9 * T4.memory_gib
    tight = compute_examination(simulations, "lora", settings, T4._replace(memory_gib=8.5), passes)
    assert tight.allocated_gib < min(lora.allocated_gib, 0.9 * 8.5)  # with fewer rows at once


EXAMS = {
    "cmexam": {"source": "huggingface", "id": "fzkuji/CMExam", "file": "test.json", "max_questions": 1000},
    "ours": {"source": "huggingface", "id": "some/exam", "file": "x.json"},
}


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Return a function that makes the plan of a small study for a T4."""
    folder = tmp_path_factory.mktemp("study")
    missing, simulations = folder / "missing.json", Simulations(model_config())
    args = argparse.Namespace(model=missing, corpus=missing, sets="{}", options="", threads=1, seconds=1)
    study = {"methods": ["lora", "qlora"], "sizes": [500, 1000], "test_size": 100, "seeds": [1, 2]}

    def made(**evaluation):
        sections = {"study": study, "evaluation": evaluation, "paths": {"results": str(folder)}}
        config = resolve(sections | {"recommendation": {"price_per_gpu_hour": 3.6}})
        shape = shape_of(config["model"], missing)
        return plan.forecast(config, shape, plan.lengths_of(config, shape, args), args, T4, simulations)

    return made


def test_every_model_is_examined_and_it_is_in_money_totals_and_sessions(planned):
    plain, found = planned(), planned(exams=EXAMS, retention={"path": "texts.jsonl", "max_texts": 50})
    assert [row["examine_seconds"] for row in plain["runs"]] == [None] * 9
    assert plain["totals"]["examine_seconds"] is None
    assert "exam" not in plan_text(plain)

    sets = ["cmexam", "retention"]
    assert [each["name"] for each in found["examined"]["sets"]] == sets
    assert list(found["examined"]["not_in_the_plan"]) == ["ours"]
    assert len(found["runs"]) == 9  # two methods, sizes and seeds, and the base model
    for row, before in zip(found["runs"], plain["runs"], strict=True):
        more = row["examine_seconds"] + row["examine_load_seconds"]
        assert row["examine_seconds"] > 0
        assert row["cost"] - before["cost"] == pytest.approx(more / 1000)  # 3.60 an hour
        assert list(row["examine_seconds_by_set"]) == sets
        assert row["ranges"]["examine_seconds"] == [row["examine_seconds"] / 1.25, row["examine_seconds"] / 0.75]
        *others, last = jobs(row, 2.0)
        assert last.name == f"examination of {row['run']}"
        assert last.seconds == pytest.approx(2 * more)
        assert last.checkpoint_seconds < last.seconds  # what was computed stays
        assert len(others) == 1 + (row["run"] != "base")
    by_run = {row["run"]: row["examine_seconds"] for row in found["runs"]}
    assert by_run["base"] == by_run["lora_1k"] == by_run["lora_500_seed2"] < by_run["qlora_1k"]
    assert found["totals"]["examine_seconds"] == pytest.approx(sum(by_run.values()), abs=0.01)
    loads = sum(row["examine_load_seconds"] for row in found["runs"])
    assert found["totals"]["examine_load_seconds"] == pytest.approx(loads, abs=0.01)
    spent = (found["totals"]["examine_seconds"] + loads) / 1000
    assert found["totals"]["cost"] - plain["totals"]["cost"] == pytest.approx(spent, abs=0.01)
    seeds = sum(row["examine_seconds"] + row["examine_load_seconds"] for row in found["runs"] if row["seed"] == 2)
    assert found["further"]["seeds"]["seconds"] - plain["further"]["seeds"]["seconds"] == pytest.approx(seeds, abs=0.01)

    text = plan_text(found)
    assert " exams |" in text.split("## Exams", 1)[0]
    assert "## Exams and general texts, computed" in text
    assert "* cmexam: taken to be CMExam with 6,811 questions, of which 1,000 are asked" in text
    assert "* ours is not in the plan: how many questions it has is not known" in text


def test_ten_times_the_questions_take_ten_times_as_long(planned):
    few, many = (
        planned(exams={"ours": {"path": "x.csv", "max_questions": count}})["runs"][-1]["examine_seconds"]
        for count in (1000, 10000)
    )
    assert many == pytest.approx(10 * few, rel=0.02)


def test_a_measured_examination_is_that_of_passes_of_all_sizes(tiny_model):
    tiny = {"vocab_size": 600, "hidden_size": 64, "layers": 2, "steps": 1, "seed": 0}
    settings = {name: resolve({})[name] for name in ("training", "lora", "quantization")}
    settings["training"] = settings["training"] | {"precision": "fp32"}
    passes = [*passes_of([Extent(90, 1)] * 200), *passes_of([Extent(60, 60)] * 40)]
    found = measure_examination(Shape("tiny", "", tiny=tiny), "lora", settings, passes, 0.5)
    assert found.model.seconds(each.step for each in passes) > 0
    assert all(part >= 0 for part in found.model)
    assert found.allocated_gib > 0
    assert found.load < 0.01


def test_the_passes_that_are_measured_reach_from_the_smallest_to_the_largest():
    passes = [ExamPass(rows, 100, 1) for rows in range(1, 61)]
    chosen = evenly(passes, 12)
    assert (len(chosen), chosen[0].rows, chosen[-1].rows) == (12, 1, 60)
    assert all(a.rows < b.rows for a, b in pairwise(chosen))
    rows = random_rows(ExamPass(5, 40, 3), 600)
    assert passes_of(Extent(row.length, row.depth) for row in rows) == [ExamPass(5, 40, 3)]
    assert len({row.length for row in rows}) == 2  # so that there is padding
