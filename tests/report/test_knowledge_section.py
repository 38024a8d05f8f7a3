"""What the report and the plot tell of exams and general texts, whatever their subjects are called."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from medscale.base.files import write_json
from medscale.compare.knowledge import SUBJECT, Exam, Statistics, knowledge_tables
from medscale.compare.paired_differences import FEWEST_DIFFERING, critical_values
from medscale.compare.resampling import configurations_of
from medscale.evaluate.eval_file import Scores
from medscale.report.facts import reason
from medscale.report.knowledge import RETENTION, _reason, _too_few
from medscale.report.plots.knowledge import COLUMNS, _title, plot_knowledge
from medscale.report.plots.style import DPI, LOOK
from medscale.report.plots.words import DRAWN, Drawn
from medscale.report.summary import write_table
from medscale.report.tables import FEWEST_ITEMS, _unbounded
from medscale.report.texts import say
from report_files import Page, Study, make_report

LETTERS = LOOK["xtick.labelsize"]
SUBJECTS = ("内科", "a$b_{$c", "<b>外科</b>", "2023", "anatomy")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """The report of a study with an exam that is learned, a small one, and general texts that are forgotten."""
    folder = tmp_path_factory.mktemp("examined")
    study = Study(folder, methods=("lora",), sizes=(20_000, 50_000), items=4)
    generator, runs = (
        np.random.default_rng(2),
        [each["run"] for each in study.evaluations if "floor" not in each["run"]],
    )
    gain = {run: place / 10 for place, run in enumerate(["base", *(run for run in runs if run != "base")])}
    hard = generator.random(800)
    learned = {run: (hard < 0.3 + gain[run]).astype(float) for run in runs}
    subjects = [SUBJECTS[place % len(SUBJECTS)] for place in range(800)]
    exams = {
        "cmexam": Exam([str(i) for i in range(800)], subjects, ["medicine"] * 800, np.full(800, 0.2), learned),
        "tiny": Exam(["0", "1"], [None] * 2, ["medicine"] * 2, np.full(2, 0.25), {run: np.ones(2) for run in runs}),
    }
    tokens = generator.integers(5, 50, 60).astype(float)
    retention = {
        run: Scores([str(i) for i in range(60)], {"nll_sum": tokens * (1 + gain[run]), "n_answer_tokens": tokens}, {})
        for run in runs
    }
    told = {"cmexam": {"n": 800, "contaminated": 3, "accuracy_without_leaks": {"accuracy": 40.0, "n": 797}}, "tiny": {}}
    evaluations = [each | {"exams": told, "retention": {"ci95": [1.0, 1.4]}} for each in study.evaluations]
    configurations = configurations_of(study.evaluations)
    tables = knowledge_tables(exams, retention, configurations, evaluations, Statistics(1000, 0, 0.05, 0.8))
    for name, table in zip(("knowledge", "knowledge_comparisons"), tables, strict=True):
        write_table(table, folder / "summary" / f"{name}.csv")
    plot_knowledge(tables[0], pd.DataFrame(configurations), folder / "summary" / "knowledge.png")
    account = {"exam": "cmexam", "read": 803, "kept": 800, "dropped": {"unclear_answer": 2, "duplicate": 1}}
    place = {"file": "a<b>.csv", "row_of_file": 7, "reason": "unclear_answer", "detail": ""}
    account["examples"] = [place | {"question": "<i>第七题", "options": None, "answer": "见解析", "subject": None}]
    account["rejected"] = {"file": "cmexam.rejected.parquet", "listed": 3, "most_of_a_reason": 1000}
    tiny = account | {"exam": "tiny", "read": 2, "kept": 2, "dropped": {}, "examples": []}
    paths = [folder / "data" / f"{each['exam']}.json" for each in (account, tiny)]
    for path, each in zip(paths, (account, tiny), strict=True):
        write_json(path, each)
    return make_report(study, "--examined", "--exams", *map(str, paths))


@pytest.fixture(scope="module")
def words_of_one(tmp_path_factory):
    """The words of a report on an exam of one question, which was learned by heart, and on one general text."""
    folder = tmp_path_factory.mktemp("one")
    study = Study(folder, methods=("lora",), sizes=(20_000,), items=4)
    runs = [each["run"] for each in study.evaluations if "floor" not in each["run"]]
    exams = {"one": Exam(["0"], [None], ["medicine"], np.full(1, 0.25), {run: np.ones(1) for run in runs})}
    nats = {"nll_sum": np.array([30.0]), "n_answer_tokens": np.array([10.0])}
    told = {"one": {"n": 1, "contaminated": 1, "accuracy_without_leaks": {"accuracy": None, "n": 0}}}
    evaluations = [each | {"exams": told, "retention": {"ci95": None}} for each in study.evaluations]
    study.evaluations = evaluations
    for each in evaluations:
        write_json(folder / each["run"] / "eval.json", each)
    configurations = configurations_of(evaluations)
    retention = {run: Scores(["0"], nats, {}) for run in runs}
    tables = knowledge_tables(exams, retention, configurations, evaluations, Statistics(1000, 0, 0.05, 0.8))
    for name, table in zip(("knowledge", "knowledge_comparisons"), tables, strict=True):
        write_table(table, folder / "summary" / f"{name}.csv")
    plot_knowledge(tables[0], pd.DataFrame(configurations), folder / "summary" / "knowledge.png")
    return Page(section(make_report(study, "--examined"))).words


@pytest.mark.parametrize(
    "sentence",
    [
        "One question compares nothing: there is no difference, interval or test to be given.",
        "One text compares nothing: differences have neither interval nor test.",
        "Training rows hold all of these questions: the accuracy tells what was learned by heart.",
    ],
)
def test_what_one_question_or_text_cannot_tell_is_said(words_of_one, sentence):
    assert sentence in words_of_one
    assert "differ by –" not in words_of_one
    assert "stands beside" not in words_of_one


def test_as_few_texts_are_too_few_as_differing_items():
    assert FEWEST_ITEMS == FEWEST_DIFFERING


@pytest.mark.parametrize(
    ("texts", "bounded", "few_resamples", "key"),
    [
        (22, True, False, None),
        (22, False, False, "unlike_texts"),
        (22, False, True, "few_resamples"),
        (5, False, True, "few_texts"),
    ],
)
def test_why_general_texts_have_no_interval(texts, bounded, few_resamples, key):
    compared = {"n_items": texts, "base_difference": 0.1, "base_lo": -0.2 if bounded else None}
    base = {"n_items": texts, "base_difference": None, "base_lo": None}
    assert _too_few(RETENTION, [base, compared], few_resamples) == key


@pytest.mark.parametrize(
    ("items", "resamples", "key"), [(5, 1000, "no_interval"), (600, 1000, "few_resamples"), (600, 1999, "unlike_items")]
)
def test_why_a_comparison_has_no_interval(items, resamples, key):
    """It was said of 600 items that six are the least."""
    inputs = SimpleNamespace(config={"statistics": {"alpha": 0.0005, "resamples": resamples}})
    assert _unbounded(inputs, items) == say(f"comparisons.{key}", items=str(items))
    drawn = np.abs(np.random.default_rng(1).normal(size=(resamples, 1)))
    assert np.isinf(critical_values(drawn, 0.0005)[0]) == (resamples == 1000)


def section(text: str) -> str:
    return re.search(r'<section id="knowledge".*?</section>', text, re.DOTALL)[0]


def test_each_set_has_its_table_its_warning_and_its_parts(text):
    part = section(text)
    assert re.findall(r"<h3>(?:<span[^>]*>)?([^<]+)", part)[:3] == ["cmexam", "tiny", "General texts"]
    assert "800 questions; guessing would give 20.0 %." in part
    assert part.count("Too small to rank") == 1
    assert "with 2 questions" in part
    assert re.search(r"\+(1[5-9]|2[0-5])\.\d \*", part)
    assert part.count("797") >= 3


def test_values_and_differences_have_intervals_of_their_own_levels(text):
    assert "Beneath each value its 95 % interval, beneath a difference its 95 % interval." in section(text)


def test_rows_that_are_no_questions_are_counted_and_the_first_shown(text):
    part = section(text)
    assert "Of 803 rows read, 800 are questions; dropped: Answer is not clear 2, Stands twice 1." in part
    assert part.count("rows read") == 1, "nothing is said of an exam that lost none"
    assert "data/exams/cmexam.rejected.parquet" in part
    row = re.search(r"<tr>\s*<th[^>]*>(?:<span[^>]*>)?a&lt;b&gt;.csv, row 7.*?</tr>", part, re.DOTALL)[0]
    assert "&lt;i&gt;第七题" in row
    assert "见解析" in row
    assert "答案含义不明" in row


def test_reasons_are_called_as_exams_call_them():
    assert _reason("no_answer").zh == "没有答案"
    assert _reason("empty_question").zh == "题干为空"
    assert _reason("duplicate") == reason("duplicate")
    assert reason("no_answer").zh == "提问没有回答", "of a dialogue"


def test_subjects_are_text_and_no_markup(text):
    part = section(text)
    assert "&lt;b&gt;外科&lt;/b&gt;" in part
    assert "a$b_{$c" in part
    assert "<b>外科" not in part


def test_the_subjects_of_known_exams_go_by_their_names_in_either_language(text):
    part = section(text)
    assert "anatomy" in part
    assert "解剖学" in part


@pytest.mark.parametrize(("language", "title"), [("en", "cmmlu: anatomy"), ("zh", "cmmlu：解剖学")])
def test_a_panel_calls_a_known_subject_by_its_name_in_the_language(language, title):
    token = DRAWN.set(Drawn(language))
    try:
        assert _title("cmmlu", SUBJECT, "anatomy", {"anatomy"}) == title
    finally:
        DRAWN.reset(token)


def test_what_was_lost_is_marked_as_worse(text):
    part = section(text)
    assert "+0.200 *" in part
    assert "Base model did better" in part.replace("\u00a0", " ")


@pytest.mark.browser
def test_the_picture_shows_a_whole_panel_on_a_phone_in_letters_that_can_be_read(browser, text, tmp_path):
    (tmp_path / "report.html").write_text(text, encoding="utf-8")
    for width, mobile in ((360, True), (1280, False)):
        context = browser.new_context(viewport={"width": width, "height": 800}, is_mobile=mobile, has_touch=mobile)
        tab = context.new_page()
        tab.goto((tmp_path / "report.html").as_uri())
        shown, drawn, box, page = tab.locator("#knowledge figure img").evaluate(
            "(img) => [img.offsetWidth, img.naturalWidth, img.parentElement.clientWidth, "
            "document.documentElement.scrollWidth]"
        )
        context.close()
        assert page <= width, "the picture scrolls in its own box"
        assert shown / COLUMNS <= box, "a panel is seen whole"
        assert 10 <= LETTERS * shown / (drawn / DPI) / 72 <= 16, "pixels of the smallest letters"


@pytest.fixture(scope="module")
def words_of_few(tmp_path_factory):
    """Return a function from numbers of texts and questions to the report of a study that has no more."""

    def words(texts: int, questions: int, subjects: list[str | None], alike: bool = False, apart: float = 0.0) -> str:
        folder = tmp_path_factory.mktemp("few")
        study = Study(folder, methods=("lora",), sizes=(20_000, 50_000), items=4)
        generator = np.random.default_rng(3)
        runs = [each["run"] for each in study.evaluations if "floor" not in each["run"]]
        right = {run: generator.integers(0, 2, questions).astype(float) for run in runs}
        right = dict.fromkeys(runs, right[runs[0]]) if alike else right
        names = [str(place) for place in range(questions)]
        exams = {"few": Exam(names, subjects, ["medicine"] * questions, np.full(questions, 0.25), right)}
        tokens = np.arange(5.0, 5.0 + texts)
        # the fine-tuned ones lie on either side of the base model, twice as far from each other
        sides = {"lora_20k": apart, "lora_50k": -apart}
        spread = np.random.default_rng(4).normal(size=texts)
        shifts = [sides.get(run, 0.0) * spread for run in runs]
        retention = {
            run: Scores(
                [str(place) for place in range(texts)],
                {"nll_sum": tokens * (1 + place) + generator.random(texts) + shift, "n_answer_tokens": tokens},
                {},
            )
            for place, (run, shift) in enumerate(zip(runs, shifts, strict=True))
        }
        evaluations = [each | {"exams": {"few": {}}, "retention": {"ci95": [1.0, 1.4]}} for each in study.evaluations]
        configurations = configurations_of(study.evaluations)
        tables = knowledge_tables(exams, retention, configurations, evaluations, Statistics(1000, 0, 0.05, 0.8))
        for name, table in zip(("knowledge", "knowledge_comparisons"), tables, strict=True):
            write_table(table, folder / "summary" / f"{name}.csv")
        plot_knowledge(tables[0], pd.DataFrame(configurations), folder / "summary" / "knowledge.png")
        return section(make_report(study, "--examined"))

    return words


def test_few_texts_and_parts_of_one_question_say_why_there_is_no_interval(words_of_few):
    part = words_of_few(5, 9, ["内科"] * 8 + ["外科"])
    assert "Too few texts to compare configurations: with 5, fewer than six," in part
    assert "文本太少，无法比较各配置：只有 5 段" in part
    assert "nats a token would often be missed" not in part, "what no test can find is not said to be missed often"
    assert "no interval: 5 items are too few, six are the least" in part
    assert "A part of one question is not compared." in part


def test_enough_texts_have_intervals_and_no_such_words(words_of_few):
    part = words_of_few(6, 9, ["内科"] * 9)
    assert "nats a token would often be missed" in part
    for text in ("Too few texts", "no interval", "A part of one question"):
        assert text not in part


def test_a_single_question_or_text_is_said_to_compare_nothing(words_of_few):
    part = words_of_few(1, 1, [None])
    assert "One text compares nothing" in part
    assert "One question compares nothing" in part
    assert "– points" not in part
    assert "Too small to rank" not in part


def test_what_an_exam_cannot_show_is_never_said_to_be_less_than_its_intervals(words_of_few):
    part = words_of_few(3, 90, [None] * 90, alike=True)
    assert (
        "Too small to rank configurations that lie close together: with 90 questions, two of them must differ by 8.5 "
        "points to be told apart reliably." in part
    )
    assert "只有 90 道题，两个配置相差 8.5 分才能可靠地区分" in part
    assert "−4.1, +4.1" in part
    assert "Too few texts to compare configurations: with 3," in part
    # the rows of the general texts are the last ones, and have neither interval nor what would be detected
    cells = re.findall(r"<tr.*?</tr>", part.split("nats per token")[-1], re.DOTALL)
    shown = [row for row in cells if "not shown" in row]
    assert shown
    assert all(re.search(r'1\.000</td>\s*<td class="number">–</td>', row) for row in shown)


def test_where_some_pairs_need_more_than_most_both_are_told(words_of_few):
    part = words_of_few(60, 3000, [None] * 3000, apart=9.0)
    usual, some = re.search(
        r"Differences below ([\d.]+) nats a token would often be missed; between some of the configurations, those "
        r"below ([\d.]+)\.",
        part,
    ).groups()
    assert float(some) == pytest.approx(2 * float(usual), rel=0.05)
    assert re.search(r"小于每词元 [\d.]+ 奈特的差异常常检不出来；有的配置之间", part)
    assert "Too small to rank" not in part
    assert re.search(r"Differences below 3\.\d points would often be missed\.", part), "all pairs tell as much"


def test_too_few_questions_to_tell_any_two_apart(words_of_few):
    part = words_of_few(60, 2, [None] * 2)
    assert "Too small to rank anything: with 2 questions" in part
    assert "题目太少，排不出任何高下：只有 2 道题" in part
