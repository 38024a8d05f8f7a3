"""report.html: complete, in two languages, one file that asks for nothing, and harmless whatever the data contains."""

import json
import re
import shutil
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import synthetic
from made_up_configurations import made_up_configurations
from medscale.base.errors import UserError
from medscale.base.files import read_json, write_json
from medscale.report.inputs import PLOTS
from medscale.report.page import SECTIONS, embedded
from medscale.report.tables import _about_seeds
from medscale.report.texts import all_texts
from report_files import HOSTILE, Page, Study, make_report


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("report"), questions={3: f"头痛{HOSTILE}"}, answers={5: HOSTILE})


@pytest.fixture(scope="module")
def text(study):
    return make_report(study).replace("\u00a0", " ")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_section_is_there_in_order(page):
    sections = [attributes["id"] for tag, attributes in page.elements if tag == "section"]
    # without exams, general texts and pilots in this study
    assert sections == [name for name in SECTIONS if name not in ("knowledge", "rates")]
    assert sections[0] == "answer"
    assert sections[-1] == "answers"


def test_the_answer_stands_first_with_interval_verdict_and_warnings(page):
    start = page.words.index("The answer", page.words.index("How much data, LoRA"))
    answer = page.words[start : page.words.index("All results")]
    for words in (
        "Recommended",
        "推荐",
        "qlora_20k is the cheapest",
        "qlora_20k 是不劣于",
        "The test set is small.",
        "CNY",
    ):
        assert words in answer
    found = re.search(r"NLL, nats per token ↓.*?(\d\.\d{3})\s*\[(\d\.\d{3}), (\d\.\d{3})\]", answer, re.DOTALL)
    assert found
    assert float(found[2]) < float(found[1]) < float(found[3])


def test_results_hold_every_run_with_intervals_and_mark_the_best(text, study):
    table = text[text.index('id="results"') : text.index('id="plots"')]
    rows = re.findall(r'<tr class="kind-.*?</tr>', table, re.DOTALL)
    assert len(rows) == len(study.evaluations)
    best = min(value for each in study.evaluations if (value := each["metrics"]["nll"]["value"]) is not None)
    marked = re.findall(r'<td class="number best" data-value="([\d.]+)">', table)
    assert float(marked[0]) == best
    floor = next(row for row in rows if "floor_bm25" in row)
    assert 'data-value=""><span>–</span>' in floor, "a floor has no NLL, which is not 0"
    ends = study.evaluations[0]["metrics"]["rouge_l"]["ci95"]
    assert f"[{ends[0]:.2f}, {ends[1]:.2f}]" in rows[0]


def test_comparisons_say_in_words_who_is_better(text):
    section = text[text.index('id="comparisons"') : text.index('id="power"')]
    blocks = section.split('class="metric-block')[1:]
    assert len(blocks) == 5
    untold = ["Floors have no model and so no NLL" in block for block in blocks]
    assert untold == [True] + [False] * 4, "why they are not among the comparisons"
    rows = re.findall(r'<tr class="(better|equal)">(.*?)</tr>', blocks[0], re.DOTALL)
    assert {row[0] for row in rows} == {"better", "equal"}
    row = next(row for state, row in rows if state == "better" and "Base model" in row)
    assert "Difference shown: LoRA · 20k did better" in row, "the lower NLL is the better one"
    assert "差异成立，更好的是 LoRA · 20k" in row
    assert "&lt; 0.001" in row
    assert all("Difference not shown" in row for state, row in rows if state == "equal")


def test_the_higher_score_wins_where_higher_is_better(text):
    section = text[text.index('id="comparisons"') : text.index('id="power"')]
    block = next(part for part in section.split('class="metric-block') if 'data-metric="rouge_l"' in part[:60])
    for row in re.findall(r'<tr class="better">(.*?)</tr>', block, re.DOTALL):
        one, other = re.search(r"([\d.]+) / ([\d.]+)</td>", row).groups()
        names = re.search(r'scope="row" class="name"><span class="t-en" lang="en">(.*?) against ', row)[1]
        assert (f"Difference shown: {names} did better" in row) == (float(one) > float(other))


def test_cleaning_leak_licences_and_disclaimer_are_told(page):
    for words in (
        "1,000 rows read = 930 kept + 70 dropped",
        "Answer is too short",
        "答案过短",
        "unheard_of",
        "Passed: no leak found",
        "Not for commercial use.",
        "The source states no licence here",
        "Nothing in this report is medical advice",
        "医疗免责声明",
        synthetic.sha("model"),
        "Tesla T4",
    ):
        assert words in page.words, words


def test_a_leak_is_not_called_passed(study, tmp_path):
    path = tmp_path / "leak.json"
    write_json(path, read_json(study.folder / "data" / "leak_report.json") | {"passed": False})
    words = Page(make_report(study, "--leak-report", str(path))).words
    assert "Leak found" in words
    assert "no leak found" not in words


def test_answers_and_scores_of_all_runs_are_in_the_data(page, study):
    data = page.data["answers-data"]
    strings = data["strings"]
    assert len(set(strings)) == len(strings)
    assert [run["run"] for run in data["runs"]] == [row["run"] for row in read_rows(study)]
    for run in data["runs"]:
        rows = [json.loads(line) for line in (study.folder / run["run"] / "predictions.jsonl").open(encoding="utf-8")]
        assert [strings[number] for number in run["answers"]] == [row["predict"] for row in rows]
        assert ("nll" in run["scores"]) == (not run["run"].startswith("floor"))
    assert [strings[number] for number in data["references"]] == study.references
    first = data["runs"][0]["scores"]
    rows = [json.loads(line) for line in (study.folder / "lora_20k" / "predictions.jsonl").open(encoding="utf-8")]
    assert first["nll"][0] == pytest.approx(rows[0]["nll_sum"] / rows[0]["n_answer_tokens"], abs=6e-4)


def read_rows(study):
    import pandas as pd

    return pd.read_csv(study.folder / "summary" / "results_summary.csv").to_dict("records")


def test_nothing_is_asked_of_the_network_and_nothing_hostile_is_an_element(text, page):
    for tag, attributes in page.elements:
        assert "src" not in attributes or attributes["src"].startswith("data:image/png;base64,"), tag
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on")], tag
        assert "style" not in attributes, "the policy refuses it"
    assert "url(" not in text
    assert any("default-src 'none'" in str(attributes.get("content")) for _, attributes in page.elements)
    assert "window.broken" in text
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 5
    assert len([tag for tag, _ in page.elements if tag == "img"]) == len(PLOTS)


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_embedded_data_comes_back_and_means_nothing_to_html(value):
    text = embedded(value)
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_half_a_character_does_not_stop_the_report(study, tmp_path):
    assert embedded("\ud83d") == '"\\ud83d"'
    path = tmp_path / "leak.json"
    content = read_json(study.folder / "data" / "leak_report.json")
    content["near"]["worst"][0]["train_question"] = "感冒\ud83d"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert "感冒\ufffd" in make_report(study, "--leak-report", str(path))


def test_texts_are_complete_in_both_languages():
    for section, texts in all_texts().items():
        for key, text in texts.items():
            assert min(map(len, map(str.strip, text))) > 0, f"{section}.{key}"
            assert sorted(re.findall(r"{\w+}", text.en)) == sorted(re.findall(r"{\w+}", text.zh)), f"{section}.{key}"


@pytest.mark.parametrize(
    "options",
    [
        {"floors": ()},
        {"measured_nll": False},
        {"seeds": (42, 7, 9), "control": True},
        {"sizes": synthetic.SEVEN, "floors": ()},
        {"price": None},
        {"methods": ("lora",), "sizes": (500,)},
    ],
    ids=["no floors", "no nll", "three seeds and a control", "fourteen runs", "no price", "one run"],
)
def test_other_studies_read_well_too(options, tmp_path):
    study = Study(tmp_path, items=4, **options)
    page = Page(make_report(study))
    assert len(page.data["answers-data"]["runs"]) == len(study.evaluations)
    words = page.words
    assert ("No price per GPU hour is configured" in words) == ("price" in options)
    assert ("Not measured in any run: NLL." in words) == ("measured_nll" in options)
    assert ("trained with one seed" in words) == ("seeds" not in options)
    assert ("LoRA · 20k · 5 epochs" in words) == ("control" in options)
    assert ("LoRA · 20k · seed 7" in words) == ("seeds" in options)
    assert "Difference to the best" in words
    assert not re.findall(r"\b(?:None|nan|NaN|undefined)\b", words)


def rows_of_results(text: str) -> list[str]:
    table = text[text.index('id="results"') : text.index('id="plots"')]
    return re.findall(r'<tr class="kind-.*?</tr>', table, re.DOTALL)


def test_a_configuration_of_several_seeds_has_its_own_row_with_the_interval_that_is_told_elsewhere(tmp_path):
    study = Study(tmp_path, methods=("lora",), sizes=(20_000, 50_000), seeds=(42, 7), seeds_at=(50_000,), items=4)
    text = make_report(study).replace("\u00a0", " ")
    rows = rows_of_results(text)
    assert len(rows) == len(study.evaluations) + 1
    made = made_up_configurations(study.evaluations).to_dict("records")
    configuration = next(each for each in made if each["seeds"] == 2)
    assert "LoRA · 50k · mean of 2 seeds" in rows[0]
    assert f"[{configuration['rouge_l_lo']:.2f}, {configuration['rouge_l_hi']:.2f}]" in rows[0]
    single = [row for row in rows if ">one seed<" in row]
    assert [re.search("seed [0-9]+", row)[0] for row in single] == ["seed 42", "seed 7"]
    assert not any(" best" in row or "chosen" in row for row in single), "a lucky seed is not the best"
    words = Page(text).words
    assert "Several seeds: LoRA · 50k." in words
    assert "The other configurations have one seed" in words
    assert "the mean over seeds has no interval" not in words
    for path in tmp_path.glob("*/eval.json"):
        each = read_json(path)
        each["metrics"]["chrf"] = {"value": 21.5, "ci95": [20.25, 22.75]}
        write_json(path, each)
    words = Page(make_report(study)).words
    assert "chrF: the mean over seeds has no interval, and these metrics are not compared." in words


@pytest.mark.parametrize(
    ("seeds", "english", "chinese"),
    [
        ([(2, 1)], " In the only comparison between", "训练之间的比较（共 1 组）都是"),
        ([(2, 1), (1, 2)], " In all 2 comparisons between", "训练之间的比较（共 2 组）都是"),
        ([(2, 1), (1, 1)], " In 1 of the 2 comparisons between", "训练之间的 2 组比较中，有 1 组"),
        ([(2, 2), (1, 1)], None, None),
        ([], None, None),
    ],
)
def test_comparisons_of_several_seeds_with_one_are_told_in_any_number(seeds, english, chinese):
    configurations = [{"configuration": f"lora_{n}k", "kind": "tuned", "seeds": n} for n in (1, 2)]
    rows = [{"a": f"a{n}", "b": "b", "kind": "size", "seeds_a": a, "seeds_b": b} for n, (a, b) in enumerate(seeds)]
    summary = SimpleNamespace(configurations=configurations, comparisons=rows)
    told = _about_seeds(SimpleNamespace(evaluations={}, summary=summary), [])[1]
    if english is None:
        assert (
            told.en == "The other configurations have one seed: their intervals hold nothing of the luck of a training."
        )
        assert told.zh == "其余配置只有一个种子，区间不含训练的偶然性。"
    else:
        assert english in told.en
        assert f"。{chinese}" in told.zh


def test_a_study_of_one_seed_has_no_row_and_no_word_of_several(text, study):
    assert len(rows_of_results(text)) == len(study.evaluations)
    for words in ("mean of", ">one seed<", "Several seeds"):
        assert words not in text


LOOSE = re.compile(
    "[\u3400-\u9fff，。：；、（）] +[\u3400-\u9fff，。：；、（）]"  # a space inside Chinese
    "|[0-9] %"  # Chinese writes 95%
    "|[\u3400-\u9fff][^，。：；、（）\\[]{0,12}, "  # a list with the comma of another script
    "|[\u3400-\u9fff][,;:.](?: |$)"
    "|−0(?:\\.0+)?(?![.0-9])"
)


@pytest.mark.parametrize("options", [{"mix": True}, {"seeds": (42, 7), "methods": ("lora",)}])
def test_the_chinese_text_has_one_form_of_spaces_percents_and_lists(tmp_path, options):
    study = Study(tmp_path, sizes=(20_000,), items=12, **options)
    text = make_report(study)
    chinese = [re.sub("<.*?>", "", each) for each in re.findall(r'lang="zh-CN">(.*?)</span>', text, re.DOTALL)]
    assert len(chinese) > 200
    assert [each for each in chinese if LOOSE.search(each)] == []
    words = Page(text).words
    assert not re.search(r"−0(\.0+)?(?![.0-9])", words), "a minus before zero"


def test_general_rows_are_counted_apart_in_the_leak_check(tmp_path):
    study = Study(tmp_path, methods=("lora",), sizes=(20_000,), items=4)
    assert "all 100,000 training questions of the largest subset." in Page(make_report(study)).words
    path = tmp_path / "data" / "leak_report.json"
    write_json(path, read_json(path) | {"general_questions": 56})
    words = Page(make_report(study)).words
    assert "100,000 training questions of the largest subset and all 56 usable general rows" in words
    assert "的 100,000 个问题，以及全部 56 条可用的通用问答比对" in words


def test_what_general_rows_do_stands_beside_the_same_run_without_them(tmp_path):
    study = Study(tmp_path, methods=("lora",), sizes=(20_000, 50_000), mix=True, items=4)
    report = {"read": 12000, "kept": 10000, "licence": "cc-by-4.0"}
    write_json(tmp_path / "mix.json", report | {"dropped": {"near_test": 150, "short_answer": 50}})
    text = make_report(study, "--mix-report", str(tmp_path / "mix.json")).replace("\u00a0", " ")
    part = text[text.index("What general rows among the training rows do") : text.index('id="power"')]
    rows = re.findall(r'<tr class="kind-.*?</tr>', part, re.DOTALL)
    assert [re.search(r"<code>(.*?)</code>", row)[1] for row in rows] == ["base", "lora_50k", "lora_50k_mix10"]
    retained = {each["run"]: each["retention"]["value"] for each in study.evaluations}
    for row, run in zip(rows, ("base", "lora_50k", "lora_50k_mix10"), strict=True):
        assert f"<span>{retained[run]:.3f}</span>" in row
    assert "12,000 read, 10,000 kept (83.3 %), of which the largest mix takes 5,556" in part
    assert "Near a test question 150" in part
    assert "cc-by-4.0" in part
    assert "LoRA · 50k · 10 % general rows" in text


def test_departments_are_left_out_without_a_test_set(study):
    arguments = list(study.arguments)
    place = arguments.index("--test")
    del arguments[place : place + 2]
    other = object.__new__(Study)
    other.folder, other.arguments = study.folder, arguments
    assert Page(make_report(other)).data["answers-data"]["departments"] is None


@pytest.mark.parametrize(
    "name",
    ["results_summary.csv", "comparisons.csv", "power.csv", "scaling_fit.json", "recommendation.json", "pareto.png"],
)
def test_a_missing_summary_file_is_named(study, tmp_path, name):
    folder = tmp_path / "summary"
    shutil.copytree(study.folder / "summary", folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        make_report(study, "--summary", str(folder))


def test_files_that_do_not_belong_together_are_refused(study, tmp_path):
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    arguments = [argument.replace(str(study.folder), str(copy)) for argument in study.arguments]
    other = object.__new__(Study)
    other.folder, other.arguments = copy, arguments
    predictions = copy / "base" / "predictions.jsonl"
    lines = predictions.read_text(encoding="utf-8").splitlines(keepends=True)

    predictions.write_text("".join(lines[:-1]), encoding="utf-8")
    with pytest.raises(UserError, match="row 24 has another id"):
        make_report(other)
    predictions.write_text("".join(lines).replace('"n_output_tokens": 18', '"n_output_tokens": 19'), encoding="utf-8")
    with pytest.raises(UserError, match="scores are of other predictions"):
        make_report(other)
    predictions.unlink()
    with pytest.raises(UserError, match=r"base.*no such file"):
        make_report(other)
    place = arguments.index(str(predictions))
    other.arguments = [*arguments[:place], *arguments[place + 1 :]]
    with pytest.raises(UserError, match="--predictions: the file of run base was not given"):
        make_report(other)


def test_a_configuration_that_is_not_json_is_refused(study):
    with pytest.raises(UserError, match="--config: not JSON"):
        make_report(study, "--config", "{a: 1}")
